//! `POST /v1/feedback`: who may rate what.

use http::Method;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn an_answer_can_be_rated_by_whom_it_was_given_to() {
    let app = TestApp::with_pages().await;
    let ann = app.key(&["answer", "feedback"], &[]).await;
    let bob = app.key(&["answer", "feedback"], &[]).await;
    let ask = json!({"question": "How many days of annual leave?"});
    let answer = app
        .with_key(&ann, Method::POST, "/v1/answers", Some(&ask))
        .await
        .body;
    let rating = json!({"answer_id": answer["id"], "metric": "helpful", "value": true, "comment": "Yes.", "citation": 0});
    let stored = app
        .with_key(&ann, Method::POST, "/v1/feedback", Some(&rating))
        .await;
    assert_eq!(stored.status, 201, "{}", stored.text);
    assert_eq!(stored.body["answer_id"], answer["id"]);
    assert!(stored.body["id"].as_str().unwrap().starts_with("fb_"));
    let other = app
        .with_key(&bob, Method::POST, "/v1/feedback", Some(&rating))
        .await;
    assert_eq!(other.status, 404, "{}", other.text);
    let unknown = json!({"answer_id": "ans_0", "metric": "helpful", "value": 1});
    assert_eq!(
        app.with_key(&ann, Method::POST, "/v1/feedback", Some(&unknown))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn answers_of_every_api_and_abstentions_can_be_rated() {
    let app = TestApp::builder()
        .saying([crate::app::ABSTAINS; 3])
        .with_pages()
        .await;
    let messages = json!([{"role": "user", "content": "Who won in 1954?"}]);
    let chat = app
        .post("/v1/chat/completions", &json!({"messages": messages}))
        .await
        .body;
    let streamed = app
        .post(
            "/v1/chat/completions",
            &json!({"messages": messages, "stream": true}),
        )
        .await;
    let streamed = streamed
        .chunks()
        .into_iter()
        .find_map(|chunk| chunk["id"].as_str().map(str::to_owned))
        .unwrap();
    let response = app
        .post("/v1/responses", &json!({"input": "Who won in 1954?"}))
        .await
        .body;
    for id in [
        chat["quoin"]["id"].as_str().unwrap(),
        &streamed,
        response["quoin"]["id"].as_str().unwrap(),
        response["id"].as_str().unwrap(),
    ] {
        let rating = json!({"answer_id": id, "metric": "correct", "value": 0.5});
        assert_eq!(app.post("/v1/feedback", &rating).await.status, 201, "{id}");
    }
}

#[tokio::test]
async fn a_rating_out_of_bounds_is_refused_with_the_field() {
    let app = TestApp::new().await;
    for (body, param) in [
        (
            json!({"answer_id": "a", "metric": "", "value": 1}),
            "metric",
        ),
        (
            json!({"answer_id": "a", "metric": "has space", "value": 1}),
            "metric",
        ),
        (
            json!({"answer_id": "a", "metric": "m", "value": "good"}),
            "value",
        ),
        (
            json!({"answer_id": "a", "metric": "m", "value": null}),
            "value",
        ),
        (
            json!({"answer_id": "a", "metric": "m", "value": 1, "comment": "c".repeat(10_000)}),
            "comment",
        ),
        (
            json!({"answer_id": "a", "metric": "m", "value": 1, "citation": -1}),
            "citation",
        ),
    ] {
        let reply = app.post("/v1/feedback", &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
    }
}
