//! Rollouts under traffic, over HTTP, with the bundled model and a real adapter: promoted, aborted, refused, and found again after
//! a restart.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use quoin_eval::gates::{GateOptions, Gates};
use quoin_eval::record::{EvaluatedRun, QuestionRecord};
use quoin_eval::{DatasetReference, Report};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::server::{QUESTION, Server, plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_no_worse_is_promoted_through_shadow_and_steps() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    let mut plan = plan(&[5000, 10000]);
    plan["shadow_pairs"] = json!(3);
    let (status, started) = server.start(plan).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    assert_eq!(started["state"]["name"], "shadow");
    assert_eq!(server.aliases().await["challenger"], "support@1");

    let answered = server.ask_until("promoted").await;
    assert!(
        answered["base"] >= 10 && answered["support@1"] >= 10,
        "{answered:?}"
    );
    assert_eq!(server.ask(None).await["release"]["adapter"], "support@1");
    for _ in 0..50 {
        if server.aliases().await.contains_key("champion") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let aliases = server.aliases().await;
    assert_eq!(aliases["champion"], "support@1");
    assert!(!aliases.contains_key("challenger"), "{aliases:?}");

    let picture = "/admin/v1/rollouts/current/plot";
    let (status, _) = server.call(Method::GET, picture, None).await;
    assert_eq!(status, StatusCode::OK);
    let history = server.get("/admin/v1/rollouts").await;
    assert_eq!(history["intact"], true, "{history:#}");
    let lines = history["audit"].as_array().unwrap().iter();
    let actions: Vec<&str> = lines.map(|line| line["action"].as_str().unwrap()).collect();
    let want = [
        "verify", "evaluate", "shadow", "advance", "advance", "bake", "promote",
    ];
    assert_eq!(actions, want);
    for (change, words) in [
        (
            "UPDATE rollout_audit SET line = replace(line, 'shadow', 'shadoW') WHERE sequence = 3",
            "line 3",
        ),
        (
            "UPDATE rollout_audit SET line = substr(line, 2) WHERE sequence = 4",
            "line 4",
        ),
        (
            "UPDATE rollout_audit SET transition = replace(transition, '10000', '10001') WHERE sequence = 5",
            "line 5",
        ),
        ("DELETE FROM rollout_audit WHERE sequence = 7", "line 7"),
    ] {
        let database = rusqlite::Connection::open(folder.path().join("quoin.db")).unwrap();
        database.execute_batch("SAVEPOINT before").unwrap();
        let rows: Vec<(i64, String, String, String)> = database
            .prepare("SELECT sequence, rollout, line, transition FROM rollout_audit")
            .unwrap()
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(database.execute(change, []).unwrap(), 1, "{change}");
        database.execute_batch("RELEASE before").unwrap();
        let history = server.get("/admin/v1/rollouts").await;
        assert_eq!(history["intact"], false, "{change}");
        let problem = history["problem"].as_str().unwrap();
        assert!(problem.contains(words), "{change}: {problem}");
        for (sequence, rollout, line, transition) in rows {
            database
                .execute(
                    "INSERT OR REPLACE INTO rollout_audit VALUES (?1, ?2, ?3, ?4)",
                    (sequence, rollout, line, transition),
                )
                .unwrap();
        }
        assert_eq!(server.get("/admin/v1/rollouts").await["intact"], true);
    }
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_whose_answers_are_judged_bad_is_aborted_and_the_champion_answers_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    let (status, started) = server.start(plan(&[5000, 10000])).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    for _ in 0..200 {
        if server.state().await != "canary" {
            break;
        }
        let answer = server.ask(None).await;
        let good = answer["release"]["adapter"] == "base";
        let body = json!({"answer_id": answer["id"], "metric": "helpful", "value": good});
        // The answer is in the log a moment after it was given.
        for _ in 0..50 {
            let rated = server
                .call(Method::POST, "/v1/feedback", Some(body.clone()))
                .await;
            if rated.0 == StatusCode::CREATED {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    let status = server.get("/admin/v1/rollouts/current").await;
    assert_eq!(status["state"]["name"], "aborted", "{status:#}");
    assert_eq!(status["state"]["why"]["guardrail"], "negative_feedback");
    for _ in 0..5 {
        assert_eq!(server.ask(None).await["release"]["adapter"], "base");
    }
    assert_eq!(server.start(plan(&[10000])).await.0, StatusCode::CREATED);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_a_rollout_is_where_it_was_and_sessions_keep_their_release() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    let mut plan = plan(&[5000, 10000]);
    plan["units_per_arm"] = json!(1000);
    assert_eq!(server.start(plan).await.0, StatusCode::CREATED);
    let sessions: Vec<String> = (0..24).map(|number| format!("session {number}")).collect();
    let mut before = Vec::new();
    for session in &sessions {
        before.push(server.ask(Some(session)).await["release"]["adapter"].clone());
    }
    let stood = server.get("/admin/v1/rollouts/current").await;
    // What was queued is written; nothing else is said goodbye to.
    server.close().await;

    let server = Server::open(folder.path()).await;
    let stands = server.get("/admin/v1/rollouts/current").await;
    for field in ["id", "state", "weight_basis_points", "arms", "guardrails"] {
        assert_eq!(stands[field], stood[field], "{field}");
    }
    let mut after = Vec::new();
    for session in &sessions {
        after.push(server.ask(Some(session)).await["release"]["adapter"].clone());
    }
    assert_eq!(after, before);
    assert!(before.contains(&json!("support@1")) && before.contains(&json!("base")));
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    let refused = |(status, body): (StatusCode, Value)| {
        (
            status.as_u16(),
            body["error"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let told = |word: &str| {
        let path = format!("/admin/v1/rollouts/current/{word}");
        let server = &server;
        async move {
            server
                .call(Method::POST, &path, Some(json!({"reason": "a test"})))
                .await
        }
    };
    let (status, message) = refused(told("pause").await);
    assert_eq!(status, 404, "{message}");
    let (status, message) = refused(server.start(json!({"alpha_basis_points": 6000})).await);
    assert_eq!(status, 400);
    assert!(
        message.contains("`alpha_basis_points` is `6000`"),
        "{message}"
    );

    assert_eq!(
        server.start(plan(&[5000, 10000])).await.0,
        StatusCode::CREATED
    );
    let (status, message) = refused(server.start(plan(&[10000])).await);
    assert_eq!(status, 409);
    assert!(message.contains("one rollout at a time"), "{message}");
    let (status, message) = refused(told("resume").await);
    assert_eq!(status, 409, "{message}");
    assert_eq!(told("pause").await.1["state"]["name"], "paused");
    for _ in 0..5 {
        assert_eq!(server.ask(None).await["release"]["adapter"], "base");
    }
    assert_eq!(told("resume").await.1["state"]["name"], "canary");
    assert_eq!(told("abort").await.1["state"]["name"], "aborted");
    assert_eq!(told("promote").await.0, StatusCode::NOT_FOUND);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_can_choose_the_arm_and_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    assert_eq!(
        server.start(plan(&[100, 10000])).await.0,
        StatusCode::CREATED
    );
    for (arm, adapter) in [("canary", "support@1"), ("stable", "base")] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/answers")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("x-quoin-arm", arm)
            .body(Body::from(
                json!({"question": QUESTION, "mode": "grounded"}).to_string(),
            ))
            .unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["x-quoin-adapter"], adapter);
    }
    let status = server.get("/admin/v1/rollouts/current").await;
    assert_eq!(status["overridden"], 2, "{status:#}");
    assert_eq!(status["arms"]["canary"]["requests"], 0);
    let body = json!({"to": "support@1"});
    let moved = server
        .call(Method::PUT, "/admin/v1/aliases/champion", Some(body))
        .await;
    assert_eq!(moved.0, StatusCode::CONFLICT, "{}", moved.1);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_cannot_be_loaded_after_a_restart_is_aborted_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    assert_eq!(server.start(plan(&[10000])).await.0, StatusCode::CREATED);
    server.close().await;
    let weights = folder
        .path()
        .join("adapters/support/1/adapter_model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut permissions = std::fs::metadata(&weights).unwrap().permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "as somebody with the right to write would"
    )]
    permissions.set_readonly(false);
    std::fs::set_permissions(&weights, permissions).unwrap();
    std::fs::write(&weights, bytes).unwrap();

    let server = Server::open(folder.path()).await;
    for _ in 0..40 {
        assert_eq!(server.ask(None).await["release"]["adapter"], "base");
        let status = server.get("/admin/v1/rollouts/current").await;
        if status["state"]["name"] == "aborted" {
            assert_eq!(status["state"]["why"]["failure"], "engine_errors_in_a_row");
            server.close().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("the rollout goes on without its canary");
}

/// A run that passes any gate on exact match, by a release.
fn passed(release: &str) -> Value {
    let report = Report {
        release: Some(release.to_owned()),
        adapter: Some("support@1".to_owned()),
        ..Report::of_answers(
            DatasetReference {
                name: "made up".to_owned(),
                digest: "sha256:0".to_owned(),
                documents: 1,
            },
            "",
            BTreeMap::new(),
        )
    };
    let questions = (0..40).map(|number| QuestionRecord {
        id: number.to_string(),
        metrics: [("exact".to_owned(), 1.0)].into(),
        ..QuestionRecord::default()
    });
    let run = EvaluatedRun::new(report, questions.collect()).unwrap();
    let gates = "[[gate]]\nmetric = \"exact\"\nmode = \"absolute\"\nmin = 0.5\n";
    let gates = Gates::parse(gates).unwrap();
    let report = gates.evaluate(&run, &BTreeMap::new(), GateOptions::default());
    json!(report.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_without_a_passed_gate_is_refused_unless_somebody_answers_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path()).await;
    server.add_support().await;
    let start = |force: Value| {
        let body = json!({"adapter": "support@1", "plan": plan(&[10000]), "force": force});
        server.call(Method::POST, "/admin/v1/rollouts", Some(body))
    };
    let refused = |(status, body): (StatusCode, Value)| {
        assert_eq!(status, StatusCode::CONFLICT, "{body}");
        body["error"]["message"].as_str().unwrap().to_owned()
    };
    let keep = async |report: Value| {
        let path = folder.path().join("gate.json");
        std::fs::write(&path, report.to_string()).unwrap();
        let body = json!({"path": path});
        let reports = "/admin/v1/adapters/support@1/reports";
        let (status, kept) = server.call(Method::POST, reports, Some(body)).await;
        assert!(status.is_success(), "{kept}");
        kept["digest"].clone()
    };
    let abort = || {
        server.call(
            Method::POST,
            "/admin/v1/rollouts/current/abort",
            Some(json!({})),
        )
    };
    let message = refused(start(Value::Null).await);
    assert!(message.contains("no report of a gate"), "{message}");

    let (_, forced) = start(json!("we know it")).await;
    assert_eq!(forced["gate"]["kind"], "forced", "{forced}");
    let release = forced["canary"]["release"].as_str().unwrap().to_owned();
    abort().await;
    keep(passed("sha256:another")).await;
    let message = refused(start(Value::Null).await);
    assert!(message.contains("has changed since"), "{message}");

    let mut failed = passed(&release);
    failed["passed"] = json!(false);
    failed["verdict"] = json!("fail");
    keep(failed).await;
    let message = refused(start(Value::Null).await);
    assert!(message.contains("ended with `fail`"), "{message}");

    let digest = keep(passed(&release)).await;
    let (status, started) = start(Value::Null).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    assert_eq!(started["gate"], json!({"kind": "passed", "report": digest}));
    let history = server.get("/admin/v1/rollouts").await;
    let lines = history["audit"].as_array().unwrap();
    let reasons = lines.iter().filter_map(|line| line["reason"].as_str());
    assert!(reasons.clone().any(|reason| reason.contains("we know it")));
    server.close().await;
}
