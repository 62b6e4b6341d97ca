//! Questions that lean on what was said before, and results that are not sure enough to answer from.

use quoin::config::Rewriting;
use serde_json::{Value, json};

use crate::app::{FIRST_SENTENCE, TestApp};

fn leaning() -> Value {
    json!({
        "question": "And in Kobe?",
        "history": [
            {"role": "user", "content": "How many days of annual leave are there in Hull?"},
            {"role": "assistant", "content": "There are 27."}
        ],
        "trace": true
    })
}

#[tokio::test]
async fn a_search_takes_what_was_said_before_and_tells_what_it_searched_for() {
    let app = TestApp::with_pages().await;
    let mut body = leaning();
    body["query"] = body["question"].take();
    for field in ["question", "trace"] {
        body.as_object_mut().unwrap().remove(field);
    }
    let reply = app.post("/v1/search", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let standalone = "How many days of annual leave are there? And in Kobe?";
    assert_eq!(reply.body["standalone"], standalone);
    assert_eq!(reply.body["hits"][0]["document"], "leave.md");
    assert!(reply.body["confidence"].as_f64().unwrap() > 0.0);
    let alone = app
        .post("/v1/search", &json!({"query": "annual leave in Hull"}))
        .await;
    assert!(alone.body.get("standalone").is_none(), "{}", alone.text);
}

#[tokio::test]
async fn the_question_of_a_conversation_is_rewritten_by_words_or_by_the_model() {
    let by_words = TestApp::with_pages().await;
    let reply = by_words.post("/v1/answers", &leaning()).await;
    assert_eq!(
        reply.body["trace"]["query"],
        "How many days of annual leave are there? And in Kobe?"
    );

    let by_model = TestApp::builder()
        .config(|config| config.answers.rewriting = Rewriting::Model)
        .saying([
            "\"How many days of annual leave are there in Kobe?\"",
            FIRST_SENTENCE,
        ])
        .with_pages()
        .await;
    let reply = by_model.post("/v1/answers", &leaning()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(
        reply.body["trace"]["query"],
        "How many days of annual leave are there in Kobe?"
    );
    assert_eq!(reply.body["status"], "answered");
}

#[tokio::test]
async fn nothing_is_generated_from_what_retrieval_is_not_sure_of() {
    let app = TestApp::builder()
        .config(|config| config.answers.retrieval_threshold = 0.3)
        .with_pages()
        .await;
    let ask = |question: &str| json!({"question": question});
    let unsure = app
        .post(
            "/v1/answers",
            &ask("What is the melting point of tungsten?"),
        )
        .await;
    assert_eq!(unsure.body["status"], "abstained", "{}", unsure.text);
    assert_eq!(unsure.body["usage"]["completion_tokens"], 0);
    let sure = app
        .post(
            "/v1/answers",
            &ask("How many days of annual leave do employees have?"),
        )
        .await;
    assert_eq!(sure.body["status"], "answered", "{}", sure.text);
}

#[tokio::test]
async fn a_model_that_only_points_is_not_asked_where_no_sentence_scores_enough() {
    let app = TestApp::builder()
        .config(|config| {
            config.model.prompt = "pointer".to_owned();
            config.answers.extractive_threshold = 0.999;
        })
        .with_pages()
        .await;
    let question = json!({"question": "How many days of annual leave do employees have?"});
    let unsure = app.post("/v1/answers", &question).await;
    assert_eq!(unsure.body["status"], "abstained", "{}", unsure.text);
    assert_eq!(unsure.body["usage"]["prompt_tokens"], 0);
    let confidence = unsure.body["confidence"].as_f64().unwrap();
    assert!(confidence > 0.3 && confidence < 0.999, "{confidence}");
}
