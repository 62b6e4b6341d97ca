//! What a caller may not see is not there, whichever way it asks.

use http::Method;
use serde_json::{Value, json};

use crate::app::{Reply, TestApp, request};

const ALL: [&str; 4] = ["answer", "search", "ingest", "feedback"];
const SECRET: &str = "The secret bonus pool holds ninehundredthousand crowns.";

/// A public page, a page for `group:hr`, one without a list, and keys for a member of that group and another.
async fn company() -> (TestApp, String, String) {
    let app = TestApp::builder().build().await;
    app.put_page("public.md", "The canteen opens at noon.", &["public"])
        .await;
    app.put_page("hr/bonus.md", SECRET, &["group:hr"]).await;
    app.put_page(
        "unlisted.md",
        "Nobody but an admin reads of the bonus pool here.",
        &[],
    )
    .await;
    let ann = app.key(&ALL, &["group:hr"]).await;
    let bob = app.key(&ALL, &["group:sales"]).await;
    (app, ann, bob)
}

async fn as_key(
    app: &TestApp,
    key: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Reply {
    app.with_key(key, method, path, body.as_ref()).await
}

#[tokio::test]
async fn nothing_that_a_caller_can_ask_shows_a_document_that_it_may_not_see() {
    let (app, ann, bob) = company().await;
    let question = "How much does the secret bonus pool hold?";
    let asks = [
        ("/v1/answers", json!({"question": question, "trace": true})),
        (
            "/v1/answers",
            json!({"question": question, "mode": "extractive", "trace": true}),
        ),
        (
            "/v1/answers",
            json!({"question": question, "stream": true, "trace": true}),
        ),
        (
            "/v1/search",
            json!({"query": question, "top_k": 50, "explain": true}),
        ),
        (
            "/v1/search",
            json!({"query": question, "top_k": 50, "rerank": false}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": question}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"stream": true, "messages": [{"role": "user", "content": question}]}),
        ),
        ("/v1/responses", json!({"input": question})),
        ("/v1/responses", json!({"input": question, "stream": true})),
        (
            "/v1/vector_stores/x/search",
            json!({"query": question, "max_num_results": 50}),
        ),
        (
            "/retrieval",
            json!({"knowledge_id": "x", "query": question, "retrieval_setting": {"top_k": 50, "score_threshold": 0.0}}),
        ),
    ];
    for (path, body) in asks {
        let seen = as_key(&app, &ann, Method::POST, path, Some(body.clone())).await;
        assert!(
            seen.text.contains("hr/bonus.md") || seen.text.contains("ninehundredthousand"),
            "{path}: a member sees it: {}",
            seen.text
        );
        assert!(!seen.text.contains("unlisted.md"), "{path}: {}", seen.text);
        let hidden = as_key(&app, &bob, Method::POST, path, Some(body)).await;
        assert_eq!(hidden.status, 200, "{path}: {}", hidden.text);
        for trace in ["hr/bonus", "ninehundredthousand", "unlisted"] {
            assert!(
                !hidden.text.contains(trace),
                "{path} shows {trace}: {}",
                hidden.text
            );
        }
    }
}

#[tokio::test]
async fn a_hidden_document_is_404_as_one_that_does_not_exist() {
    let (app, ann, bob) = company().await;
    for (method, path) in [
        (Method::GET, "/v1/documents/hr/bonus.md"),
        (Method::GET, "/v1/documents/hr/bonus.md/text"),
        (Method::GET, "/v1/documents/hr%2Fbonus.md/text"),
        (Method::DELETE, "/v1/documents/hr/bonus.md"),
    ] {
        let hidden = as_key(&app, &bob, method.clone(), path, None).await;
        let absent = as_key(&app, &bob, method, &path.replace("bonus", "absent"), None).await;
        assert_eq!(hidden.status, 404, "{}", hidden.text);
        let same = |reply: &Reply| {
            (
                reply.status,
                reply.body["error"]["code"].clone(),
                reply.message().replace("bonus", "absent"),
            )
        };
        assert_eq!(same(&hidden), same(&absent));
    }
    assert_eq!(
        as_key(
            &app,
            &ann,
            Method::GET,
            "/v1/documents/hr/bonus.md/text",
            None
        )
        .await
        .body["text"],
        SECRET
    );
}

#[tokio::test]
async fn a_list_holds_what_may_be_seen() {
    let (app, ann, bob) = company().await;
    let ids = |reply: &Reply| -> Vec<String> {
        let list = reply.body["documents"].as_array().unwrap();
        list.iter()
            .map(|document| document["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let of = async |key: &str| ids(&as_key(&app, key, Method::GET, "/v1/documents", None).await);
    assert_eq!(of(&ann).await, ["hr/bonus.md", "public.md"]);
    assert_eq!(of(&bob).await, ["public.md"]);
    let admin = app.key(&["admin"], &[]).await;
    assert_eq!(
        of(&admin).await,
        ["hr/bonus.md", "public.md", "unlisted.md"]
    );
}

#[tokio::test]
async fn a_hidden_document_cannot_be_replaced() {
    let (app, ann, bob) = company().await;
    let body = json!({"text": "Now public.", "acl": ["public"]});
    let refused = as_key(
        &app,
        &bob,
        Method::PUT,
        "/v1/documents/hr/bonus.md",
        Some(body.clone()),
    )
    .await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(
        as_key(
            &app,
            &ann,
            Method::GET,
            "/v1/documents/hr/bonus.md/text",
            None
        )
        .await
        .body["text"],
        SECRET
    );
    assert_eq!(
        as_key(
            &app,
            &ann,
            Method::PUT,
            "/v1/documents/hr/bonus.md",
            Some(body)
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn a_hidden_document_cannot_be_hidden_from_others_by_one_that_supersedes_it() {
    let (app, ann, bob) = company().await;
    let usurper =
        |target: &str| json!({"text": "Nothing here.", "acl": ["public"], "supersedes": target});
    let hidden = as_key(
        &app,
        &bob,
        Method::PUT,
        "/v1/documents/x",
        Some(usurper("hr/bonus.md")),
    )
    .await;
    let missing = as_key(
        &app,
        &bob,
        Method::PUT,
        "/v1/documents/y",
        Some(usurper("no.md")),
    )
    .await;
    assert_eq!(
        (hidden.status.as_u16(), missing.status.as_u16()),
        (200, 200),
        "{}",
        hidden.text
    );
    let query = json!({"query": "secret bonus pool"});
    let found = as_key(&app, &ann, Method::POST, "/v1/search", Some(query)).await;
    assert!(found.text.contains("ninehundredthousand"), "{}", found.text);
}

#[tokio::test]
async fn access_follows_the_list_at_once() {
    let (app, _, bob) = company().await;
    let ask = async || {
        as_key(
            &app,
            &bob,
            Method::POST,
            "/v1/search",
            Some(json!({"query": "bonus pool"})),
        )
        .await
        .text
    };
    assert!(!ask().await.contains("ninehundredthousand"));
    app.put_page("hr/bonus.md", SECRET, &["group:hr", "group:sales"])
        .await;
    assert!(ask().await.contains("ninehundredthousand"));
    app.put_page("hr/bonus.md", SECRET, &["group:hr"]).await;
    assert!(!ask().await.contains("ninehundredthousand"));
}

#[tokio::test]
async fn an_admin_may_read_as_someone_and_nobody_else_may() {
    let (app, _, bob) = company().await;
    let search = json!({"query": "bonus pool"});
    let with = async |key: &str, tokens: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("x-quoin-as", tokens)];
        app.send(request(Method::POST, "/v1/search", Some(&search), &headers))
            .await
    };
    let admin = app.key(&["admin"], &[]).await;
    assert!(
        with(&admin, "group:hr")
            .await
            .text
            .contains("ninehundredthousand")
    );
    assert!(
        !with(&admin, "public,group:sales")
            .await
            .text
            .contains("ninehundredthousand")
    );
    assert_eq!(with(&bob, "group:hr").await.status, 403);
    assert_eq!(with(&admin, "not one").await.status, 400);
}

#[tokio::test]
async fn nothing_in_a_body_changes_who_asks() {
    let (app, _, bob) = company().await;
    let body = json!({
        "messages": [{"role": "user", "content": "How much does the secret bonus pool hold?"}],
        "user": "group:hr", "tokens": ["group:hr"], "acl": ["group:hr"], "metadata": {"tokens": "group:hr"}, "admin": true,
    });
    let reply = as_key(&app, &bob, Method::POST, "/v1/chat/completions", Some(body)).await;
    assert!(
        !reply.text.contains("ninehundredthousand"),
        "{}",
        reply.text
    );
}
