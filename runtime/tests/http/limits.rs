//! Bounds on what clients make the server hold, and how long they may take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Method, Request};
use quoin_engine::scripted::ScriptedGenerator;
use serde_json::json;

use crate::app::{FIRST_SENTENCE, TestApp, request};

fn slow() -> ScriptedGenerator {
    ScriptedGenerator::new(|_| FIRST_SENTENCE.to_owned())
        .with_token_time(Duration::from_millis(300))
}

#[tokio::test]
async fn one_request_too_many_is_429_with_retry_after() {
    let app = TestApp::builder()
        .generator(slow())
        .limits(|limits| limits.max_concurrent_requests = 1)
        .build()
        .await;
    let app = Arc::new(app.pages().await);
    let first = tokio::spawn({
        let app = app.clone();
        async move {
            app.post(
                "/v1/answers",
                &json!({"question": "How many days of annual leave?"}),
            )
            .await
        }
    });
    app.until(|model| model.running == 1).await;
    let second = app.get("/v1/documents").await;
    assert_eq!(second.status, 429, "{}", second.text);
    assert_eq!(second.code(), "too_many_requests");
    assert_eq!(second.body["error"]["type"], "rate_limit_error");
    assert_eq!(second.header("retry-after"), "1");
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(app.get(path).await.status, 200, "{path} answers under load");
    }
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(
        app.get("/v1/documents").await.status,
        200,
        "the place is free again"
    );
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends() {
    let app = TestApp::builder()
        .generator(slow())
        .limits(|limits| limits.max_concurrent_requests = 1)
        .with_pages()
        .await;
    let body = json!({"question": "How many days of annual leave?", "stream": true});
    let stream = app
        .open(request(Method::POST, "/v1/answers", Some(&body), &[]))
        .await;
    assert_eq!(app.get("/v1/documents").await.status, 429);
    drop(stream);
    assert_eq!(
        app.get("/v1/documents").await.status,
        200,
        "a client that went away leaves its place"
    );
}

#[tokio::test]
async fn a_full_engine_queue_is_429_with_retry_after() {
    let app = TestApp::builder()
        .generator(slow().with_queue(1, 0))
        .build()
        .await;
    let app = Arc::new(app.pages().await);
    let ask = json!({"question": "How many days of annual leave?", "mode": "grounded"});
    let first = tokio::spawn({
        let (app, ask) = (app.clone(), ask.clone());
        async move { app.post("/v1/answers", &ask).await }
    });
    app.until(|model| model.running == 1).await;
    let second = app.post("/v1/answers", &ask).await;
    assert_eq!(second.status, 429, "{}", second.text);
    assert_eq!(second.code(), "queue_full");
    assert!(second.header("retry-after").parse::<u64>().unwrap() >= 1);
    let mut streamed = ask.clone();
    streamed["stream"] = json!(true);
    let third = app.post("/v1/answers", &streamed).await;
    assert_eq!(third.status, 429, "a stream too: {}", third.text);
    let fallback = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?"}),
        )
        .await;
    assert_eq!(fallback.status, 200, "{}", fallback.text);
    assert_eq!(fallback.body["release"]["route"], "fallback:queue_full");
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let app = TestApp::builder()
        .generator(slow())
        .config(|config| config.server.request_timeout_ms = 400)
        .with_pages()
        .await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?", "mode": "grounded"}),
        )
        .await;
    assert_eq!(reply.status, 504, "{}", reply.text);
    assert_eq!(reply.code(), "timeout");
    assert!(reply.message().contains("400 ms"), "{}", reply.message());
}

#[tokio::test]
async fn a_body_that_stops_coming_is_408() {
    let app = TestApp::builder()
        .limits(|limits| limits.body_silence = Duration::from_millis(100))
        .build()
        .await;
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/v1/search")
        .header("host", "localhost")
        .body(body)
        .unwrap();
    let reply = app.send(request).await;
    assert_eq!(reply.status, 408, "{}", reply.text);
    assert_eq!(reply.code(), "body_timeout");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let app = TestApp::new().await;
    let chunks = futures::stream::iter([
        Ok(Bytes::from_static(b"{\"query\"")),
        Err(std::io::Error::other("gone")),
    ]);
    let request = Request::post("/v1/search")
        .header("host", "localhost")
        .body(Body::from_stream(chunks))
        .unwrap();
    assert_eq!(app.send(request).await.status, 400);
}

#[tokio::test]
async fn bodies_that_would_take_more_memory_than_there_is_wait_and_then_are_429() {
    let app = TestApp::builder()
        .limits(|limits| {
            limits.body_memory_bytes = 200 << 10;
            limits.body_silence = Duration::from_millis(500);
        })
        .build()
        .await;
    let app = Arc::new(app);
    let trickle = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    let slow = Request::post("/v1/search")
        .header("host", "localhost")
        .body(Body::from_stream(trickle))
        .unwrap();
    let first = tokio::spawn({
        let app = app.clone();
        async move { app.send(slow).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let large = "x".repeat(100 << 10);
    let second = app
        .post("/v1/search", &json!({"query": "leave", "unknown": large}))
        .await;
    assert_eq!(second.status, 429, "{}", second.text);
    assert!(second.message().contains("204800 bytes"), "{}", second.text);
    let small = app.post("/v1/search", &json!({"query": "leave"})).await;
    assert_eq!(small.status, 200, "small bodies take no share");
    first.abort();
    let after = app
        .post("/v1/search", &json!({"query": "leave", "unknown": large}))
        .await;
    assert_eq!(after.status, 400, "the share is free again: {}", after.text);
}
