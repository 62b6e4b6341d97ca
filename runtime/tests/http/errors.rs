//! The one form of errors: status, code, the field at fault, what came, and nothing of a defect's cause.

use http::Method;
use serde_json::json;

use crate::app::{POSTS, TestApp, request};

#[tokio::test]
async fn every_error_has_one_form() {
    let app = TestApp::new().await;
    let key = app.key(&["search"], &[]).await;
    let replies = [
        (404, app.get("/nope").await),
        (
            405,
            app.send(request(Method::PATCH, "/v1/answers", None, &[]))
                .await,
        ),
        (401, app.get("/v1/documents").await),
        (
            403,
            app.with_key(
                &key,
                Method::POST,
                "/v1/answers",
                Some(&json!({"question": "q"})),
            )
            .await,
        ),
        (
            400,
            app.with_key(&key, Method::POST, "/v1/search", Some(&json!({})))
                .await,
        ),
        (
            404,
            app.with_key(&key, Method::GET, "/v1/documents/nope", None)
                .await,
        ),
    ];
    for (status, reply) in replies {
        assert_eq!(reply.status, status, "{}", reply.text);
        let error = &reply.body["error"];
        for field in ["message", "type", "code", "param"] {
            assert!(
                error.get(field).is_some(),
                "{field} is missing in {}",
                reply.text
            );
        }
        assert_eq!(
            reply.body["request_id"],
            reply.header("x-request-id"),
            "{}",
            reply.text
        );
        assert_eq!(reply.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    let app = TestApp::new().await;
    for (sent, kept) in [
        ("abc-123", true),
        ("has space", false),
        ("", false),
        (&"x".repeat(129) as &str, false),
        ("quote\"", false),
    ] {
        let reply = app
            .send(request(
                Method::GET,
                "/nope",
                None,
                &[("x-request-id", sent)],
            ))
            .await;
        assert_eq!(reply.header("x-request-id") == sent, kept, "{sent}");
        assert!(!reply.header("x-request-id").is_empty());
        assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_with_what_is_allowed() {
    let app = TestApp::new().await;
    let reply = app
        .send(request(Method::DELETE, "/v1/answers", None, &[]))
        .await;
    assert_eq!(reply.status, 405, "{}", reply.text);
    assert_eq!(reply.code(), "method_not_allowed");
    assert!(
        reply.header("allow").contains("POST"),
        "{}",
        reply.header("allow")
    );
}

#[tokio::test]
async fn malformed_json_is_400_with_its_position() {
    let app = TestApp::new().await;
    for path in POSTS {
        for (body, says) in [
            ("{\"question\": ", "line 1 column"),
            ("{'question': 1}", "line 1 column"),
            ("\n\n{\"a\" 1}", "line 3 column"),
            ("{\"question\": \"a\", }", "line 1 column"),
            ("{\"question\": \"\\ud800\"}", "line 1 column"),
            ("{} trailing", "line 1 column"),
            ("", "empty"),
            ("   ", "empty"),
        ] {
            let reply = app.post_raw(path, body).await;
            assert_eq!(reply.status, 400, "{path} {body:?}: {}", reply.text);
            // What the fields before the mistake are is noticed first.
            let by_field = ["unknown_field", "invalid_value"].contains(&reply.code());
            assert!(
                reply.code() == "malformed_json" || by_field,
                "{path} {body:?}: {}",
                reply.text
            );
            assert!(
                by_field || reply.message().contains(says),
                "{path} {body:?}: {}",
                reply.message()
            );
        }
    }
}

#[tokio::test]
async fn malformed_json_reads_as_follows() {
    let app = TestApp::new().await;
    for (body, message) in [
        (
            "{\"question\": ",
            "the body is not JSON: EOF while parsing a value at line 1 column 13",
        ),
        (
            "{'question': 1}",
            "the body is not JSON: key must be a string at line 1 column 2",
        ),
        (
            "{\"question\": \"a\"\n,}",
            "the body is not JSON: trailing comma at line 2 column 2",
        ),
        (
            "{\"question\": \"a\"} b",
            "the body is not JSON: trailing characters at line 1 column 19",
        ),
        ("", "the body is empty: JSON is expected"),
        (
            r#"["How many days?", null]"#,
            "the body is a list: a JSON object is expected",
        ),
    ] {
        let reply = app.post_raw("/v1/answers", body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code(), reply.message()),
            (400, "malformed_json", message)
        );
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_400() {
    let app = TestApp::new().await;
    for path in POSTS {
        for body in ["null", "true", "7", "\"text\"", "[]", "[{}]"] {
            let reply = app.post_raw(path, body).await;
            assert_eq!(reply.status, 400, "{path} {body}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_wrong_type_names_the_field() {
    let app = TestApp::new().await;
    for (path, body, param) in [
        ("/v1/answers", json!({"question": 7}), "question"),
        (
            "/v1/answers",
            json!({"question": "q", "top_k": "three"}),
            "top_k",
        ),
        (
            "/v1/answers",
            json!({"question": "q", "top_k": -1}),
            "top_k",
        ),
        (
            "/v1/answers",
            json!({"question": "q", "mode": "psychic"}),
            "mode",
        ),
        (
            "/v1/answers",
            json!({"question": "q", "history": [{"role": "user", "content": "a"}, {"role": "x", "content": "a"}]}),
            "history[1].role",
        ),
        ("/v1/answers", json!({}), "question"),
        ("/v1/search", json!({"query": ["a"]}), "query"),
        ("/v1/search", json!({"query": "a", "at": "whenever"}), "at"),
        (
            "/v1/feedback",
            json!({"answer_id": "a", "metric": "m"}),
            "value",
        ),
        ("/v1/embeddings", json!({"input": {"a": 1}}), "input"),
        (
            "/v1/rerank",
            json!({"query": "q", "documents": "text"}),
            "documents",
        ),
    ] {
        let reply = app.post(path, &body).await;
        assert_eq!(reply.status, 400, "{path} {body}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
    }
}

#[tokio::test]
async fn an_unknown_field_is_named_on_native_routes() {
    let app = TestApp::new().await;
    for (path, body) in [
        ("/v1/answers", json!({"question": "q", "tok_k": 3})),
        ("/v1/search", json!({"query": "q", "tok_k": 3})),
        (
            "/v1/feedback",
            json!({"answer_id": "a", "metric": "m", "value": 1, "tok_k": 3}),
        ),
        (
            "/admin/v1/keys",
            json!({"name": "n", "scopes": ["answer"], "tok_k": 3}),
        ),
    ] {
        let reply = app.post(path, &body).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text);
        assert_eq!(reply.code(), "unknown_field");
        assert_eq!(reply.body["error"]["param"], "tok_k");
    }
}

#[tokio::test]
async fn a_panic_is_500_with_the_request_id_and_says_nothing_of_its_cause() {
    let generator =
        quoin_engine::scripted::ScriptedGenerator::new(|_| panic!("a secret of the engine"));
    let app = TestApp::builder().generator(generator).with_pages().await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of leave?"}),
        )
        .await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert_eq!(reply.code(), "internal");
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
    assert!(!reply.text.contains("secret"), "{}", reply.text);
    assert_eq!(app.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_defect_of_the_engine_is_500_without_its_words() {
    let app = TestApp::builder()
        .saying(["this breaks the grammar"])
        .with_pages()
        .await;
    let reply = app
        .post(
            "/v1/answers",
            &json!({"question": "How many days of leave?", "mode": "grounded"}),
        )
        .await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert!(!reply.text.contains("breaks the grammar"), "{}", reply.text);
}
