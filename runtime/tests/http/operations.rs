//! Health, readiness, metrics, `OpenAPI`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn health_and_readiness_are_told() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/health").await.body["status"], "ok");
    let ready = app.get("/ready").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert_eq!(ready.body["status"], "ready");
    assert!(ready.body["checks"].is_array());
}

#[tokio::test]
async fn the_metrics_page_counts_what_happened_and_names_no_content() {
    let app = TestApp::with_pages().await;
    app.post(
        "/v1/answers",
        &json!({"question": "How many days of annual leave?"}),
    )
    .await;
    app.post("/v1/search", &json!({"query": "annual leave"}))
        .await;
    app.get("/v1/documents/leave.md").await;
    let page = app.get("/metrics").await;
    assert!(page.header("content-type").starts_with("text/plain"));
    for name in [
        "quoin_request_duration_seconds",
        "quoin_stage_duration_seconds",
        "quoin_requests_running",
        "quoin_requests_waiting",
        "quoin_answers_total",
        "quoin_documents",
        "quoin_passages",
        "quoin_index_generation",
        "quoin_deletion_pending_seconds",
    ] {
        assert!(
            page.text.contains(name),
            "{name} is missing in {}",
            page.text
        );
    }
    assert!(
        page.text.contains(r#"route="/v1/documents/{*id}""#),
        "{}",
        page.text
    );
    for content in ["leave.md", "annual", "27 days"] {
        assert!(!page.text.contains(content), "{content}");
    }
}

/// Every route of the router, as `/openapi.json` writes it.
const ROUTES: [&str; 36] = [
    "get /health",
    "get /ready",
    "get /metrics",
    "get /openapi.json",
    "post /v1/answers",
    "post /v1/search",
    "get /v1/documents",
    "put /v1/documents/{id}",
    "get /v1/documents/{id}",
    "delete /v1/documents/{id}",
    "get /v1/documents/{id}/text",
    "post /v1/feedback",
    "post /v1/chat/completions",
    "post /v1/responses",
    "post /v1/embeddings",
    "post /v1/rerank",
    "post /v2/rerank",
    "get /v1/models",
    "get /v1/models/{id}",
    "post /v1/vector_stores/{id}/search",
    "post /retrieval",
    "post /admin/v1/ingest",
    "get /admin/v1/keys",
    "post /admin/v1/keys",
    "delete /admin/v1/keys/{id}",
    "get /admin/v1/index",
    "post /admin/v1/index/rebuild",
    "post /admin/v1/index/verify",
    "post /admin/v1/index/rollback",
    "post /admin/v1/index/{generation}/activate",
    "get /admin/v1/adapters",
    "post /admin/v1/adapters",
    "get /admin/v1/adapters/{version}",
    "post /admin/v1/adapters/{version}/verify",
    "get /admin/v1/aliases",
    "put /admin/v1/aliases/{alias}",
];
/// The rest of them.
const MORE_ROUTES: [&str; 20] = [
    "patch /v1/documents/{id}",
    "get /admin/v1/sources",
    "post /admin/v1/sources/{name}/scan",
    "get /admin/v1/config",
    "get /admin/v1/status",
    "post /admin/v1/backup",
    "post /admin/v1/index/repair",
    "get /admin/v1/receipt-key",
    "get /admin/v1/deletions",
    "get /admin/v1/deletions/{id}",
    "post /admin/v1/verify-erased/{id}",
    "post /v1/answers/{id}/replay",
    "post /admin/v1/adapters/message",
    "post /admin/v1/adapters/{version}/reports",
    "get /admin/v1/ratings",
    "get /admin/v1/rollouts",
    "post /admin/v1/rollouts",
    "get /admin/v1/rollouts/{id}",
    "get /admin/v1/rollouts/{id}/plot",
    "post /admin/v1/rollouts/{id}/{word}",
];

#[tokio::test]
async fn openapi_describes_every_route_and_each_is_served() {
    let app = TestApp::new().await;
    let description = app.get("/openapi.json").await.body;
    assert!(description["openapi"].as_str().unwrap().starts_with("3."));
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.insert(format!("{method} {path}"));
        }
    }
    let expected: BTreeSet<String> = ROUTES
        .iter()
        .chain(&MORE_ROUTES)
        .map(|route| (*route).to_owned())
        .collect();
    assert_eq!(described, expected);
    for route in &described {
        let (method, path) = route.split_once(' ').unwrap();
        let method = method.to_uppercase().parse().unwrap();
        let path = path.replace(['{', '}'], "");
        let reply = app
            .send(crate::app::request(method, &path, None, &[]))
            .await;
        assert_ne!(reply.status, 405, "{route}");
        let unrouted = reply.message().starts_with("there is no `");
        assert!(!unrouted, "{route}: {}", reply.text);
    }
}

#[tokio::test]
async fn every_reference_in_openapi_leads_somewhere() {
    let app = TestApp::new().await;
    let description = app.get("/openapi.json").await.body;
    let mut references = Vec::new();
    collect(&description, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(reference) if name == "$ref" => references.push(reference.to_owned()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
