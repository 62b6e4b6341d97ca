//! `POST /v1/answers`: modes, schemas, citations, traces, fallbacks.

use http::Method;
use serde_json::{Value, json};

use crate::app::{ABSTAINS, TestApp, slice};

#[tokio::test]
async fn an_answer_quotes_the_document_letter_by_letter() {
    let app = TestApp::with_pages().await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?"}),
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["status"], "answered");
    assert_eq!(reply.body["answer"], "From the first sentence.");
    let citation = &reply.body["citations"][0];
    assert_eq!(citation["quote"], "Employees have 27 days of annual leave.");
    assert_eq!(citation["document"], "leave.md");
    assert_eq!(citation["title"], "Page leave.md");
    let text = app.get("/v1/documents/leave.md/text").await.body;
    let quoted = slice(
        text["text"].as_str().unwrap(),
        &citation["start"],
        &citation["end"],
    );
    assert_eq!(Value::from(quoted), citation["quote"]);
}

#[tokio::test]
async fn an_answer_has_every_field_of_the_contract() {
    let app = TestApp::with_pages().await;
    let body = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?", "trace": true}),
        )
        .await
        .body;
    for field in [
        "id",
        "status",
        "answer",
        "citations",
        "confidence",
        "release",
        "usage",
        "timings_ms",
        "trace",
    ] {
        assert!(body.get(field).is_some(), "{field} is missing in {body}");
    }
    for field in [
        "document", "title", "uri", "passage", "quote", "start", "end", "page", "heading",
    ] {
        assert!(
            body["citations"][0].get(field).is_some(),
            "{field} is missing in {}",
            body["citations"][0]
        );
    }
    for field in ["id", "adapter", "generation", "route"] {
        assert!(
            body["release"].get(field).is_some(),
            "{field} is missing in {}",
            body["release"]
        );
    }
    assert!(body["usage"]["prompt_tokens"].as_u64() > Some(0));
    assert!(body["usage"]["completion_tokens"].as_u64() > Some(0));
    assert!(body["id"].as_str().unwrap().starts_with("ans_"));
}

#[tokio::test]
async fn headers_name_the_release_that_answered() {
    let app = TestApp::with_pages().await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?"}),
        )
        .await;
    let release = &reply.body["release"];
    assert_eq!(
        reply.header("x-quoin-release"),
        release["id"].as_str().unwrap()
    );
    assert_eq!(reply.header("x-quoin-adapter"), "base");
    assert_eq!(reply.header("x-quoin-route"), "stable");
    assert_eq!(
        reply.header("x-quoin-generation"),
        release["generation"].to_string()
    );
    assert!(!reply.header("x-request-id").is_empty());
}

#[tokio::test]
async fn an_abstention_has_no_answer_and_no_citations() {
    let app = TestApp::builder().saying([ABSTAINS]).with_pages().await;
    let body = app
        .post(
            "/v1/answers",
            &json!({"question": "Who won the cup in 1954?"}),
        )
        .await
        .body;
    assert_eq!(body["status"], "abstained");
    assert_eq!(body["answer"], Value::Null);
    assert_eq!(body["citations"], json!([]));
}

#[tokio::test]
async fn nothing_to_read_is_an_abstention() {
    let app = TestApp::new().await;
    let body = app
        .post("/v1/answers", &json!({"question": "How many days?"}))
        .await
        .body;
    assert_eq!(body["status"], "abstained", "{body}");
}

#[tokio::test]
async fn an_answer_satisfies_its_schema() {
    let said = r#"{"cite":"[[1]]","answer":{"days":27}}"#;
    let app = TestApp::builder().saying([said]).with_pages().await;
    let schema = json!({
        "type": "object",
        "properties": {"days": {"type": "integer"}},
        "required": ["days"],
        "additionalProperties": false,
    });
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of leave?", "schema": schema}),
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["answer"], json!({"days": 27}));
}

#[tokio::test]
async fn a_schema_that_cannot_be_enforced_is_422_with_the_reason() {
    let app = TestApp::with_pages().await;
    for (schema, reason) in [
        (
            json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/other.json"}}, "required": ["a"]}),
            "example.com",
        ),
        (json!({"not": {"type": "string"}}), "not"),
        (
            json!({"type": "string", "minLength": 9, "maxLength": 3}),
            "Length",
        ),
        (json!({"type": "banana"}), "banana"),
        (doubled(39), "20000 sub-schemas"),
        (
            json!({"type": "integer", "multipleOf": 999_983}),
            "multipleOf",
        ),
    ] {
        let reply = app
            .post(
                "/v1/answers",
                &json!({"question": "How many days?", "schema": schema}),
            )
            .await;
        assert_eq!(reply.status, 422, "{schema}: {}", reply.text);
        assert_eq!(reply.code(), "unenforceable_schema");
        assert_eq!(reply.body["error"]["param"], "schema");
        assert!(
            reply.message().contains(reason),
            "{schema}: {}",
            reply.message()
        );
    }
}

/// Each definition is twice the one before: small to write, and not to be checked before the end of time.
fn doubled(times: usize) -> Value {
    let mut definitions = json!({"d0": {"type": "string"}});
    for number in 1..=times {
        let before = json!({"$ref": format!("#/$defs/d{}", number - 1)});
        definitions[format!("d{number}")] = json!({"allOf": [before, before]});
    }
    json!({"$defs": definitions, "$ref": format!("#/$defs/d{times}")})
}

#[tokio::test]
async fn what_is_no_schema_at_all_is_400() {
    let app = TestApp::with_pages().await;
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    for schema in [
        json!("string"),
        json!(7),
        json!([]),
        json!({"description": "d".repeat(200_000)}),
        deep,
    ] {
        let reply = app
            .post(
                "/v1/answers",
                &json!({"question": "How many days?", "schema": schema}),
            )
            .await;
        assert_eq!(reply.status, 400, "{}", reply.text);
        assert_eq!(reply.body["error"]["param"], "schema", "{}", reply.text);
    }
}

#[tokio::test]
async fn extractive_answers_without_the_model() {
    let app = TestApp::builder().saying([""; 0]).with_pages().await;
    let reply = app
        .post("/v1/answers", &json!({"question": "How many days of annual leave do employees have?", "mode": "extractive"}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("x-quoin-route"), "extractive");
    assert_eq!(
        reply.body["answer"], "Employees have 27 days of annual leave.",
        "{}",
        reply.text
    );
    assert_eq!(reply.body["usage"]["completion_tokens"], 0);
}

#[tokio::test]
async fn closed_book_answers_without_documents() {
    let app = TestApp::builder().saying([r#""Paris""#]).build().await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "Capital of France?", "mode": "closed_book"}),
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["answer"], "Paris");
    assert_eq!(reply.body["citations"], json!([]));
}

#[tokio::test]
async fn an_unknown_model_is_404_and_says_what_there_is() {
    let app = TestApp::with_pages().await;
    for model in ["gpt-4o", "support@9"] {
        let reply = app
            .post(
                "/v1/answers",
                &json!({"question": "How many days?", "model": model}),
            )
            .await;
        assert_eq!(reply.status, 404, "{}", reply.text);
        assert_eq!(reply.code(), "model_not_found");
        assert_eq!(reply.body["error"]["param"], "model");
    }
}

#[tokio::test]
async fn a_deleted_document_is_never_quoted_again() {
    let app = TestApp::with_pages().await;
    app.owner(Method::DELETE, "/v1/documents/leave.md", None)
        .await;
    let body = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of annual leave?", "trace": true}),
        )
        .await
        .body;
    assert!(!body.to_string().contains("leave.md"), "{body}");
    assert!(!body.to_string().contains("27 days"), "{body}");
}
