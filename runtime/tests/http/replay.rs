//! `POST /v1/answers/{id}/replay`: again under the recorded release, for whom the answer was given to.

use http::Method;
use serde_json::{Value, json};

use crate::app::{ABSTAINS, FIRST_SENTENCE, TestApp};

async fn app(content: bool, says: [&str; 2]) -> TestApp {
    TestApp::builder()
        .config(move |config| config.log.content = content)
        .saying(says)
        .with_pages()
        .await
}

fn path(answer: &Value) -> String {
    format!("/v1/answers/{}/replay", answer["id"].as_str().unwrap())
}

#[tokio::test]
async fn the_same_question_under_the_same_release_gives_the_same_answer() {
    let app = app(true, [FIRST_SENTENCE; 2]).await;
    let ask = json!({"question": "How many days of annual leave?", "mode": "grounded", "top_k": 2});
    let answer = app.post("/v1/answers", &ask).await.body;
    let replay = app.post(&path(&answer), &json!({})).await;
    assert_eq!(replay.status, 200, "{}", replay.text);
    assert_eq!(replay.body["differs"], json!([]), "{}", replay.text);
    assert_eq!(replay.body["recorded"]["id"], answer["id"]);
    assert_eq!(replay.body["now"]["answer"], answer["answer"]);
    assert_ne!(replay.body["now"]["id"], answer["id"]);
    assert_eq!(replay.body["now"]["release"]["id"], answer["release"]["id"]);
}

#[tokio::test]
async fn what_has_changed_since_is_named() {
    let app = app(true, [FIRST_SENTENCE, ABSTAINS]).await;
    let ask = json!({"question": "How many days of annual leave?", "mode": "grounded"});
    let answer = app.post("/v1/answers", &ask).await.body;
    assert_eq!(answer["status"], "answered");
    app.put_page("new", "Another page.", &["public"]).await;
    let replay = app.post(&path(&answer), &json!({})).await;
    let want = json!(["release", "generation", "answer", "documents"]);
    assert_eq!(replay.body["differs"], want, "{}", replay.text);
}

#[tokio::test]
async fn a_question_that_was_not_kept_and_an_answer_of_somebody_else_are_refused() {
    let silent = app(false, [FIRST_SENTENCE; 2]).await;
    let ask = json!({"question": "How many days of annual leave?"});
    let answer = silent.post("/v1/answers", &ask).await.body;
    let refused = silent.post(&path(&answer), &json!({})).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("log.content"), "{}", refused.text);

    let app = app(true, [FIRST_SENTENCE; 2]).await;
    let ann = app.key(&["answer"], &[]).await;
    let bob = app.key(&["answer"], &[]).await;
    let answer = app
        .with_key(&ann, Method::POST, "/v1/answers", Some(&ask))
        .await
        .body;
    let of_bob = app
        .with_key(&bob, Method::POST, &path(&answer), Some(&json!({})))
        .await;
    assert_eq!(of_bob.status, 404, "{}", of_bob.text);
    let of_ann = app
        .with_key(&ann, Method::POST, &path(&answer), Some(&json!({})))
        .await;
    assert_eq!(of_ann.status, 200, "{}", of_ann.text);
}
