//! Server-sent events: order, headers, ends, clients that go away.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use quoin::service::Quoin;
use quoin_engine::Generator as _;
use quoin_engine::scripted::ScriptedGenerator;
use quoin_retriever::{Access, DocumentId};
use serde_json::{Value, json};

use crate::app::{ABSTAINS, FIRST_SENTENCE, TestApp, request};

fn long_answer() -> String {
    let words = "word ".repeat(400);
    format!(r#"{{"cite":"[[1]]","answer":"{words}"}}"#)
}

#[tokio::test]
async fn a_native_stream_tells_retrieval_deltas_and_the_answer() {
    let app = TestApp::with_pages().await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?", "stream": true}),
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(
        reply
            .header("content-type")
            .starts_with("text/event-stream")
    );
    let events = reply.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"retrieval"), "{names:?}");
    assert_eq!(events.last().map(|(_, data)| data.as_str()), Some("[DONE]"));
    assert_eq!(names[names.len() - 2], "answer");
    let deltas: String = events
        .iter()
        .filter(|(name, _)| name == "delta")
        .map(|(_, data)| {
            serde_json::from_str::<Value>(data).unwrap()["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let answer: Value = serde_json::from_str(&events[events.len() - 2].1).unwrap();
    assert_eq!(Value::from(deltas), answer["answer"]);
    assert_eq!(
        answer["citations"][0]["quote"],
        "Employees have 27 days of annual leave."
    );
    assert_eq!(
        reply.header("x-quoin-release"),
        answer["release"]["id"].as_str().unwrap()
    );
    assert_eq!(
        reply.header("x-quoin-generation"),
        answer["release"]["generation"].to_string()
    );
}

#[tokio::test]
async fn an_answer_that_is_there_at_once_is_one_delta_and_an_abstention_is_none() {
    let app = TestApp::builder().saying([ABSTAINS]).with_pages().await;
    let extractive = json!({"question": "How many days of annual leave do employees have?", "mode": "extractive", "stream": true});
    let reply = app.post("/v1/answers", &extractive).await;
    let names: Vec<String> = reply.events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["retrieval", "delta", "answer", ""],
        "{}",
        reply.text
    );
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "Who won in 1954?", "stream": true}),
        )
        .await;
    let names: Vec<String> = reply.events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["retrieval", "answer", ""], "{}", reply.text);
}

#[tokio::test]
async fn chat_chunks_give_the_text_then_annotations_once_then_the_usage() {
    let app = TestApp::with_pages().await;
    let body = json!({
        "model": "quoin", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "How many days of annual leave?"}],
    });
    let reply = app.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(
        reply.text.trim_end().ends_with("data: [DONE]"),
        "{}",
        reply.text
    );
    let chunks = reply.chunks();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk")
    );
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "From the first sentence.");
    let annotated = chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["delta"]["annotations"].is_array())
        .count();
    assert_eq!(annotated, 1);
    let finished: Vec<_> = chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop")
        .collect();
    assert_eq!(finished.len(), 1);
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert!(last["usage"]["total_tokens"].as_u64() > Some(0));
    assert!(!reply.header("x-quoin-release").is_empty());
}

#[tokio::test]
async fn a_chat_stream_without_the_option_has_no_usage() {
    let app = TestApp::with_pages().await;
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "How many days of annual leave?"}]});
    let reply = app.post("/v1/chat/completions", &body).await;
    assert!(
        reply
            .chunks()
            .iter()
            .all(|chunk| chunk.get("usage").is_none()),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn structured_chat_streams_json_and_refuses_when_it_abstains() {
    let said = [r#"{"cite":"[[1]]","answer":{"days":27}}"#, ABSTAINS];
    let app = TestApp::builder().saying(said).build().await.pages().await;
    let schema = json!({"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"], "additionalProperties": false});
    let body = json!({
        "stream": true, "messages": [{"role": "user", "content": "How many days of leave?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "days", "schema": schema}},
    });
    let answered = app.post("/v1/chat/completions", &body).await;
    let text: String = answered
        .chunks()
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({"days": 27}),
        "{}",
        answered.text
    );
    let refused = app.post("/v1/chat/completions", &body).await;
    let refusal: String = refused
        .chunks()
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["refusal"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        refusal, "The documents do not answer this question.",
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn what_fails_at_once_is_a_status_and_not_an_event() {
    let app = TestApp::with_pages().await;
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}, "required": ["a"]});
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days?", "stream": true, "schema": schema}),
        )
        .await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How?", "stream": true, "model": "nope"}),
        )
        .await;
    assert_eq!(reply.status, 404, "{}", reply.text);
}

#[tokio::test]
async fn what_fails_later_is_an_error_event_with_the_request_id() {
    let generator =
        ScriptedGenerator::new(|_| long_answer()).with_token_time(Duration::from_millis(20));
    let app = TestApp::builder()
        .generator(generator)
        .config(|config| config.server.request_timeout_ms = 1500)
        .with_pages()
        .await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of leave?", "stream": true}),
        )
        .await;
    assert_eq!(reply.status, 200);
    let events = reply.events();
    let error: Value = events
        .iter()
        .find(|(name, _)| name == "error")
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .unwrap();
    assert_eq!(error["error"]["code"], "timeout");
    assert_eq!(error["request_id"], reply.header("x-request-id"));
    assert_eq!(events.last().map(|(_, data)| data.as_str()), Some("[DONE]"));
}

#[tokio::test]
async fn nothing_is_shown_of_an_answer_whose_source_was_deleted_while_it_was_written() {
    let quoin: Arc<OnceLock<Arc<Quoin>>> = Arc::default();
    let writing = Arc::clone(&quoin);
    let generator = ScriptedGenerator::new(move |_| {
        let retriever = writing.get().unwrap().retriever();
        let id = DocumentId::new("leave.md").unwrap();
        retriever.delete(&id, &Access::admin()).unwrap();
        FIRST_SENTENCE.to_owned()
    });
    let app = TestApp::builder().generator(generator).build().await;
    assert!(quoin.set(app.quoin.clone()).is_ok());
    let question = "How many days of annual leave?";
    let native = json!({"question": question, "stream": true});
    let chat = json!({"messages": [{"role": "user", "content": question}], "stream": true});
    for (path, body) in [("/v1/answers", native), ("/v1/chat/completions", chat)] {
        app.put_page(
            "leave.md",
            "Employees have 27 days of annual leave.",
            &["public"],
        )
        .await;
        let reply = app.post(path, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(!reply.text.contains("first sentence"), "{}", reply.text);
        assert!(!reply.text.contains("27 days"), "{}", reply.text);
        assert!(reply.text.contains("abstained"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_generation() {
    let generator =
        ScriptedGenerator::new(|_| long_answer()).with_token_time(Duration::from_millis(10));
    let app = TestApp::builder().generator(generator).with_pages().await;
    let body = json!({"question": "How many days of leave?", "stream": true});
    let mut response = app
        .open(request(Method::POST, "/v1/answers", Some(&body), &[]))
        .await;
    assert_eq!(response.status(), 200);
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    app.until(|model| model.running == 0).await;
    let after = app.generator.occupancy();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let later = app.generator.occupancy();
    assert_eq!(
        after.generated_tokens, later.generated_tokens,
        "nothing more is generated"
    );
    assert!(later.generated_tokens < 400, "it was not finished");
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_the_engine() {
    let app = TestApp::builder()
        .generator(ScriptedGenerator::new(|_| long_answer()))
        .with_pages()
        .await;
    let body = json!({"question": "How many days of leave?", "stream": true});
    let response = app
        .open(request(Method::POST, "/v1/answers", Some(&body), &[]))
        .await;
    // The model finishes although nobody reads.
    app.until(|model| model.running == 0 && model.generated_tokens > 0)
        .await;
    drop(response);
}

#[tokio::test]
async fn the_same_question_streams_and_answers_the_same() {
    let app = TestApp::builder()
        .saying([FIRST_SENTENCE, FIRST_SENTENCE])
        .with_pages()
        .await;
    let plain = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?"}),
        )
        .await
        .body;
    let streamed = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?", "stream": true}),
        )
        .await;
    let answer: Value = streamed
        .events()
        .iter()
        .find(|(name, _)| name == "answer")
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .unwrap();
    assert_eq!(plain["answer"], answer["answer"]);
    assert_eq!(plain["citations"], answer["citations"]);
    assert_eq!(plain["release"], answer["release"]);
}
