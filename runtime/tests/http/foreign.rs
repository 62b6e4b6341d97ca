//! The APIs of others beside chat and responses: embeddings, rerank, vector stores, Dify, models.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, request};

#[tokio::test]
async fn embeddings_come_as_numbers_and_in_base64() {
    let app = TestApp::new().await;
    let input = json!(["annual leave", "hardware token"]);
    let floats = app
        .post("/v1/embeddings", &json!({"model": "quoin", "input": input}))
        .await;
    assert_eq!(floats.status, 200, "{}", floats.text);
    assert_eq!(floats.body["object"], "list");
    let packed = app
        .post(
            "/v1/embeddings",
            &json!({"model": "quoin", "input": input, "encoding_format": "base64"}),
        )
        .await
        .body;
    for index in 0..2 {
        let numbers: Vec<f64> =
            serde_json::from_value(floats.body["data"][index]["embedding"].clone()).unwrap();
        let bytes = STANDARD
            .decode(packed["data"][index]["embedding"].as_str().unwrap())
            .unwrap();
        let unpacked: Vec<f64> = bytes
            .chunks(4)
            .map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap())))
            .collect();
        assert_eq!(numbers.len(), unpacked.len());
        assert!(
            numbers
                .iter()
                .zip(&unpacked)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        assert_eq!(packed["data"][index]["index"], index);
        let length: f64 = numbers.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-3, "{length}");
    }
    let one = app
        .post("/v1/embeddings", &json!({"input": "annual leave"}))
        .await
        .body;
    assert_eq!(
        one["data"][0]["embedding"],
        floats.body["data"][0]["embedding"]
    );
}

#[tokio::test]
async fn embeddings_refuse_what_they_cannot_do_by_name() {
    let app = TestApp::new().await;
    for (body, param) in [
        (json!({"input": []}), "input"),
        (json!({"input": ["a", ""]}), "input[1]"),
        (json!({"input": [[1, 2, 3]]}), "input[0]"),
        (json!({"input": [1, 2, 3]}), "input[0]"),
        (
            json!({"input": "a", "encoding_format": "hex"}),
            "encoding_format",
        ),
        (json!({"input": "a", "dimensions": 7}), "dimensions"),
        (json!({}), "input"),
    ] {
        let reply = app.post("/v1/embeddings", &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
    }
}

#[tokio::test]
async fn rerank_puts_the_best_first_and_gives_all_back() {
    let app = TestApp::new().await;
    let body = json!({
        "model": "rerank-v3.5", "query": "annual leave", "return_documents": true,
        "documents": ["The VPN needs a token.", {"text": "Employees have 27 days of annual leave."}, "Lunch is at noon."],
    });
    for path in ["/v1/rerank", "/v2/rerank"] {
        let reply = app.post(path, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let results = reply.body["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0]["index"], 1);
        assert_eq!(
            results[0]["document"]["text"],
            "Employees have 27 days of annual leave."
        );
        let scores: Vec<f64> = results
            .iter()
            .map(|result| result["relevance_score"].as_f64().unwrap())
            .collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        assert!(reply.body["id"].is_string());
    }
    let two = app
        .post(
            "/v1/rerank",
            &json!({"query": "leave", "documents": ["a", "b", "c"], "top_n": 2}),
        )
        .await
        .body;
    assert_eq!(two["results"].as_array().unwrap().len(), 2);
    assert_eq!(two["results"][0].get("document"), None);
    for (body, param) in [
        (json!({"query": "q", "documents": []}), "documents"),
        (json!({"query": "q", "documents": [7]}), "documents[0]"),
        (
            json!({"query": "q", "documents": ["a"], "top_n": 0}),
            "top_n",
        ),
        (json!({"documents": ["a"]}), "query"),
    ] {
        let reply = app.post("/v1/rerank", &body).await;
        assert_eq!(reply.status, 400, "{}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_vector_store_search_has_openai_s_form_and_filters() {
    let app = TestApp::new().await;
    for (id, team) in [("a", "hr"), ("b", "it"), ("c", "law")] {
        let body = json!({"text": "Otters play in rivers.", "acl": ["public"], "title": id, "metadata": {"team": team}});
        app.send(request(
            Method::PUT,
            &format!("/v1/documents/{id}"),
            Some(&body),
            &[],
        ))
        .await;
    }
    let ids = |body: &Value| -> Vec<String> {
        let mut ids: Vec<String> = body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| hit["file_id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let path = "/v1/vector_stores/vs_1/search";
    let all = app
        .post(path, &json!({"query": "otters", "rewrite_query": true}))
        .await
        .body;
    assert_eq!(all["object"], "vector_store.search_results.page");
    assert_eq!(ids(&all), ["a", "b", "c"]);
    let hit = &all["data"][0];
    assert_eq!(
        hit["content"][0],
        json!({"type": "text", "text": "Otters play in rivers."})
    );
    assert_eq!(hit["filename"], hit["file_id"]);
    assert!(hit["attributes"]["team"].is_string());
    let eq = |team: &str| json!({"type": "eq", "key": "team", "value": team});
    for (filter, found) in [
        (eq("it"), vec!["b"]),
        (
            json!({"type": "in", "key": "team", "value": ["it", "law"]}),
            vec!["b", "c"],
        ),
        (
            json!({"type": "or", "filters": [eq("hr"), eq("law")]}),
            vec!["a", "c"],
        ),
        (json!({"type": "and", "filters": [eq("hr")]}), vec!["a"]),
    ] {
        let body = app
            .post(path, &json!({"query": "otters", "filters": filter}))
            .await
            .body;
        assert_eq!(ids(&body), found, "{filter}");
    }
    for filter in [
        json!({"type": "gt", "key": "n", "value": 1}),
        json!({"type": "and", "filters": [eq("a"), eq("b")]}),
        json!({"type": "eq"}),
        json!(7),
    ] {
        let reply = app
            .post(path, &json!({"query": "otters", "filters": filter}))
            .await;
        assert_eq!(reply.status, 400, "{filter}: {}", reply.text);
    }
}

#[tokio::test]
async fn dify_gets_records_with_metadata() {
    let app = TestApp::with_pages().await;
    let body = json!({"knowledge_id": "k", "query": "annual leave", "retrieval_setting": {"top_k": 1, "score_threshold": 0.0}});
    let reply = app.post("/retrieval", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let record = &reply.body["records"][0];
    assert_eq!(record["title"], "Page leave.md");
    assert_eq!(record["metadata"]["document"], "leave.md");
    assert!(record["content"].as_str().unwrap().contains("27 days") && record["score"].is_number());
    let nothing = json!({"query": "annual leave", "retrieval_setting": {"score_threshold": 1e9}});
    assert_eq!(
        app.post("/retrieval", &nothing).await.body["records"],
        json!([])
    );
}

#[tokio::test]
async fn dify_s_conditions_on_metadata_hold_or_are_refused_by_name() {
    let app = TestApp::new().await;
    for (id, team) in [("a", "hr"), ("b", "it")] {
        let body = json!({"text": "Otters play in rivers.", "acl": ["public"], "title": id, "metadata": {"team": team}});
        app.owner(Method::PUT, &format!("/v1/documents/{id}"), Some(&body))
            .await;
    }
    let ask = |condition: Value| {
        let conditions = json!({"logical_operator": "and", "conditions": [condition]});
        json!({"query": "otters", "metadata_condition": conditions})
    };
    let is = json!({"name": ["team"], "comparison_operator": "is", "value": "it"});
    let found = app.post("/retrieval", &ask(is)).await.body;
    assert_eq!(found["records"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["records"][0]["title"], "b");
    let none = json!({"name": "team", "comparison_operator": "=", "value": "law"});
    let found = app.post("/retrieval", &ask(none)).await.body;
    assert_eq!(found["records"], json!([]));
    let contains = json!({"name": ["team"], "comparison_operator": "contains", "value": "i"});
    let refused = app.post("/retrieval", &ask(contains)).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(
        refused.body["error"]["param"],
        "metadata_condition.conditions[0].comparison_operator"
    );
}

#[tokio::test]
async fn models_are_listed_as_openai_does() {
    let app = TestApp::new().await;
    let body = app.get("/v1/models").await.body;
    assert_eq!(body["object"], "list");
    let ids: Vec<_> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(ids, ["quoin", "base"]);
    for field in ["id", "object", "created", "owned_by", "root", "parent"] {
        assert!(body["data"][0].get(field).is_some(), "{field}");
    }
    assert_eq!(app.get("/v1/models/quoin").await.body["object"], "model");
    assert_eq!(app.get("/v1/models/support@1").await.status, 404);
}
