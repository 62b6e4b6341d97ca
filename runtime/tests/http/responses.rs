//! `POST /v1/responses`, as OpenAI's clients send and read it.

use serde_json::{Value, json};

use crate::app::{ABSTAINS, TestApp};

#[tokio::test]
async fn a_response_has_the_form_that_clients_expect() {
    let app = TestApp::with_pages().await;
    let request = json!({"model": "quoin", "input": "How many days of annual leave?", "instructions": "Be brief."});
    let reply = app.post("/v1/responses", &request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = &reply.body;
    assert_eq!(body["object"], "response");
    assert_eq!(body["status"], "completed");
    assert_eq!(body["error"], Value::Null);
    assert!(body["id"].as_str().unwrap().starts_with("resp_ans_"));
    let item = &body["output"][0];
    assert_eq!(
        (&item["type"], &item["role"]),
        (&json!("message"), &json!("assistant"))
    );
    let part = &item["content"][0];
    assert_eq!(part["type"], "output_text");
    assert_eq!(part["text"], "From the first sentence.");
    assert_eq!(part["annotations"][0]["type"], "url_citation");
    assert_eq!(part["annotations"][0]["title"], "Page leave.md");
    assert!(body["usage"]["input_tokens"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_list_of_messages_is_a_conversation() {
    let app = TestApp::with_pages().await;
    let request = json!({"input": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "How many days of annual leave?"}]},
    ]});
    let reply = app.post("/v1/responses", &request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn the_schema_of_text_format_is_enforced() {
    let said = r#"{"cite":"[[1]]","answer":{"days":27}}"#;
    let app = TestApp::builder()
        .saying([said, ABSTAINS])
        .with_pages()
        .await;
    let schema = json!({"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"], "additionalProperties": false});
    let request = json!({
        "input": "How many days of leave?",
        "text": {"format": {"type": "json_schema", "name": "days", "schema": schema}},
    });
    let body = app.post("/v1/responses", &request).await.body;
    assert_eq!(
        body["output"][0]["content"][0]["text"], r#"{"days":27}"#,
        "{body}"
    );
    let refused = app.post("/v1/responses", &request).await.body;
    assert_eq!(
        refused["output"][0]["content"][0]["type"], "refusal",
        "{refused}"
    );
}

#[tokio::test]
async fn a_stream_tells_each_step_in_order() {
    let app = TestApp::with_pages().await;
    let request = json!({"input": "How many days of annual leave?", "stream": true});
    let reply = app.post("/v1/responses", &request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let names: Vec<String> = reply.events().into_iter().map(|(name, _)| name).collect();
    let mut distinct = names.clone();
    distinct.dedup();
    assert_eq!(
        distinct,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.annotation.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let chunks = reply.chunks();
    for (number, (chunk, name)) in chunks.iter().zip(&names).enumerate() {
        assert_eq!(chunk["sequence_number"], number);
        assert_eq!(chunk["type"], name.as_str());
    }
    let text: String = chunks
        .iter()
        .filter(|chunk| chunk["type"] == "response.output_text.delta")
        .filter_map(|chunk| chunk["delta"].as_str())
        .collect();
    assert_eq!(text, "From the first sentence.");
    let last = chunks.last().unwrap();
    assert_eq!(
        last["response"]["output"][0]["content"][0]["text"],
        "From the first sentence."
    );
    assert_eq!(last["response"]["id"], chunks[0]["response"]["id"]);
}

#[tokio::test]
async fn what_needs_memory_or_other_media_is_refused_by_name() {
    let app = TestApp::with_pages().await;
    let cases = [
        (
            json!({"input": "x", "previous_response_id": "resp_1"}),
            "previous_response_id",
        ),
        (json!({"input": "x", "background": true}), "background"),
        (
            json!({"input": [{"type": "function_call_output", "output": "x"}]}),
            "input[0]",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0]",
        ),
        (json!({"input": 7}), "input"),
        (json!({}), "input"),
        (
            json!({"input": "x", "text": {"format": {"type": "json_schema"}}}),
            "text.format.schema",
        ),
        (
            json!({"input": "x", "max_output_tokens": 0}),
            "max_output_tokens",
        ),
    ];
    for (request, param) in cases {
        let reply = app.post("/v1/responses", &request).await;
        assert_eq!(reply.status, 400, "{param}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
    }
}
