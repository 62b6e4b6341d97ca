//! `POST /v1/search`: hits, stages, filters.

use http::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, request, slice};

#[tokio::test]
async fn a_hit_has_every_field_of_the_contract_and_its_place_in_the_text() {
    let app = TestApp::with_pages().await;
    let reply = app
        .post("/v1/search", &json!({"query": "annual leave days"}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(
        reply.header("x-quoin-generation"),
        reply.body["generation"].to_string()
    );
    let hit = &reply.body["hits"][0];
    for field in [
        "document", "passage", "title", "uri", "text", "start", "end", "score", "stages",
    ] {
        assert!(hit.get(field).is_some(), "{field} is missing in {hit}");
    }
    for stage in ["bm25", "vector", "fused", "rerank"] {
        assert!(
            hit["stages"].get(stage).is_some(),
            "{stage} is missing in {}",
            hit["stages"]
        );
    }
    assert_eq!(hit["stages"]["bm25"]["rank"], 1);
    assert!(hit["stages"]["bm25"]["score"].is_number());
    let text = app
        .get(&format!(
            "/v1/documents/{}/text",
            hit["document"].as_str().unwrap()
        ))
        .await
        .body;
    assert_eq!(
        Value::from(slice(
            text["text"].as_str().unwrap(),
            &hit["start"],
            &hit["end"]
        )),
        hit["text"]
    );
}

#[tokio::test]
async fn top_k_bounds_the_hits() {
    let app = TestApp::new().await;
    for number in 0..5 {
        app.put_page(&format!("p{number}"), "Otters play in rivers.", &["public"])
            .await;
    }
    let hits = app
        .post("/v1/search", &json!({"query": "otters", "top_k": 3}))
        .await
        .body;
    assert_eq!(hits["hits"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn filters_narrow_and_an_unknown_one_is_named() {
    let app = TestApp::new().await;
    for (id, team) in [("a", "hr"), ("b", "it")] {
        let body = json!({"text": "Otters play in rivers.", "acl": ["public"], "metadata": {"team": team}});
        app.send(request(
            Method::PUT,
            &format!("/v1/documents/{id}"),
            Some(&body),
            &[],
        ))
        .await;
    }
    let hits = app
        .post(
            "/v1/search",
            &json!({"query": "otters", "filters": {"metadata": {"team": "it"}}}),
        )
        .await
        .body;
    assert_eq!(hits["hits"].as_array().unwrap().len(), 1, "{hits}");
    assert_eq!(hits["hits"][0]["document"], "b");
    let reply = app
        .post(
            "/v1/search",
            &json!({"query": "otters", "filters": {"colour": "red"}}),
        )
        .await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert!(reply.message().contains("colour"), "{}", reply.message());
}

#[tokio::test]
async fn a_search_as_of_a_moment_sees_what_was_in_force() {
    let app = TestApp::new().await;
    for (id, from, until) in [
        ("old", "2024-01-01", "2026-01-01"),
        ("new", "2026-01-01", "2100-01-01"),
    ] {
        let body = json!({"text": "Otters rest by the river.", "acl": ["public"], "effective_from": from, "effective_until": until});
        let reply = app
            .send(request(
                Method::PUT,
                &format!("/v1/documents/{id}"),
                Some(&body),
                &[],
            ))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    for (at, document) in [("2025-06-01", "old"), ("2026-06-01T12:00:00Z", "new")] {
        let hits = app
            .post("/v1/search", &json!({"query": "otters", "at": at}))
            .await
            .body;
        let found: Vec<_> = hits["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| hit["document"].clone())
            .collect();
        assert_eq!(found, [document], "{at}");
    }
}
