//! Adapter versions of the bundled model: added, pinned, champion, and which of them stay in memory.

use std::time::Duration;

use http::{Method, StatusCode};
use quoin::answer::types::{AnswerRequest, Mode};
use quoin::caller::Caller;
use quoin::config::Citing;
use quoin::service::Quoin;
use quoin_adapters::{AdapterId, Alias};

use serde_json::json;

use crate::conformance;
use crate::server::{QUESTION, SUPPORT, Server};

fn add(quoin: &Quoin, name: &str) -> AdapterId {
    let base = quoin.base_identity().unwrap();
    let added = quoin
        .registry()
        .add(SUPPORT.as_ref(), &name.parse().unwrap(), &base)
        .unwrap();
    added.version.id()
}

/// The markers that `model` cites, and the adapter that the answer records.
async fn ask(quoin: &std::sync::Arc<Quoin>, model: &str) -> (String, String) {
    let request = AnswerRequest {
        question: "How many days of annual leave do employees have?".to_owned(),
        mode: Mode::Grounded,
        model: Some(model.to_owned()),
        trace: true,
        ..AnswerRequest::default()
    };
    let answer = quoin.answer(&Caller::local(), request, None).await.unwrap();
    (
        answer.trace.unwrap().output.unwrap(),
        answer.release.adapter,
    )
}

fn in_memory(quoin: &Quoin) -> Vec<String> {
    let cards = quoin.models().into_iter();
    cards
        .filter(|card| card.loaded && card.parent.is_some())
        .map(|card| card.id)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_answers_when_it_is_pinned_or_champion_and_leaves_the_base_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let id = add(&quoin, "support");
    let (base, _) = ask(&quoin, "base").await;
    let (pinned, adapter) = ask(&quoin, &id.to_string()).await;
    assert_eq!(adapter, "support@1");
    assert_ne!(pinned, base, "the adapter changes what is cited");
    quoin
        .registry()
        .set_alias(&Alias::champion(), None, Some(&id))
        .unwrap();
    assert_eq!(ask(&quoin, "quoin").await, (pinned, adapter));
    quoin
        .registry()
        .set_alias(&Alias::champion(), Some(&id), None)
        .unwrap();
    assert_eq!(ask(&quoin, "quoin").await, (base, "base".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_adapters_three_are_in_memory_and_the_one_that_was_not_used_for_longest_makes_room()
 {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let names: Vec<String> = ('a'..='t').map(String::from).collect();
    for name in &names {
        add(&quoin, name);
    }
    for name in &names {
        let model = format!("{name}@1");
        assert_eq!(ask(&quoin, &model).await.1, model);
        assert!(in_memory(&quoin).len() <= 3, "{:?}", in_memory(&quoin));
    }
    for model in ["a@1", "b@1", "c@1", "a@1", "d@1"] {
        assert_eq!(ask(&quoin, model).await.1, model);
    }
    assert_eq!(in_memory(&quoin), ["a@1", "c@1", "d@1"]);
    assert_eq!(
        ask(&quoin, "b@1").await.1,
        "b@1",
        "and comes back when it is asked"
    );
    assert_eq!(in_memory(&quoin), ["a@1", "b@1", "d@1"]);
}

/// Waits until what happens beside requests has happened.
async fn until(reached: impl Fn() -> bool) {
    for _ in 0..600 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_champion_and_the_one_before_it_are_loaded_unasked_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let ids: Vec<AdapterId> = ["a", "b", "c", "d", "e"]
        .map(|name| add(&quoin, name))
        .into();
    for (alias, id) in [(Alias::champion(), &ids[0]), (Alias::previous(), &ids[1])] {
        quoin.registry().set_alias(&alias, None, Some(id)).unwrap();
    }
    until(|| in_memory(&quoin) == ["a@1", "b@1"]).await;
    for model in ["c@1", "d@1", "e@1", "c@1"] {
        ask(&quoin, model).await;
        assert_eq!(in_memory(&quoin), ["a@1", "b@1", model]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_waits_for_a_load_the_first_request_is_told_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = conformance::config(folder.path(), Citing::Point);
    config.adapters.wait_for_load = false;
    let quoin = conformance::with_documents(Quoin::open(config).await.unwrap()).await;
    let server = Server::of(quoin);
    server.add_support().await;
    let body = json!({"question": QUESTION, "mode": "grounded", "model": "support@1"});
    let (status, headers, text) = server
        .send(Method::POST, "/v1/answers", Some(body.clone()))
        .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("`support@1` is being loaded"), "{text}");
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    until(|| in_memory(&server.quoin) == ["support@1"]).await;
    let (status, answer) = server.call(Method::POST, "/v1/answers", Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["release"]["adapter"], "support@1");
    let unknown = json!({"question": QUESTION, "model": "support@9"});
    let (status, _) = server
        .call(Method::POST, "/v1/answers", Some(unknown))
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    server.close().await;
}
