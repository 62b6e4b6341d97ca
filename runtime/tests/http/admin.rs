//! Operations of the owner: documents in bulk, generations, adapters, aliases, keys, status, backup.

use http::Method;
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn ingestion_answers_for_each_document() {
    let app = TestApp::new().await;
    let body = json!({"documents": [
        {"id": "a", "text": "Otters.", "acl": ["public"]},
        {"id": "", "text": "x"},
        {"text": "no id"},
        {"id": "b", "text": "x", "colour": "red"},
        {"id": "c", "content_base64": "IyBIZWFkCgpCb2R5Lg==", "content_type": "text/markdown", "acl": ["public"]},
        {"id": "d", "text": "x", "effective_from": "soon"},
        "nonsense",
        {"id": "a", "text": "Otters.", "acl": ["public"]},
    ]});
    let reply = app.post("/admin/v1/ingest", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.body["results"].as_array().unwrap();
    let told: Vec<Value> = results
        .iter()
        .map(|result| json!([result["id"], result["version"], result["error"]["code"]]))
        .collect();
    assert_eq!(
        Value::from(told),
        json!([
            ["a", 1, null],
            ["", null, "invalid_value"],
            [null, null, "invalid_value"],
            ["b", null, "unknown_field"],
            ["c", 1, null],
            ["d", null, "invalid_value"],
            [null, null, "invalid_value"],
            ["a", 1, null],
        ])
    );
    assert_eq!(results[7]["unchanged"], true);
    assert_eq!(reply.body["generation"], app.quoin.retriever().generation());
    assert_eq!(app.get("/v1/documents/c").await.status, 200);
}

#[tokio::test]
async fn a_key_is_shown_once_and_listed_without_itself() {
    let app = TestApp::new().await;
    let body = json!({"name": "ci", "scopes": ["answer", "search"], "tokens": ["group:hr"]});
    let made = app.post("/admin/v1/keys", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.body["key"].as_str().unwrap().starts_with("qk_"));
    let listed = app.owner(Method::GET, "/admin/v1/keys", None).await;
    let key = &listed.body["keys"][0];
    assert_eq!((&key["id"], &key["name"]), (&made.body["id"], &json!("ci")));
    assert_eq!(key["scopes"], json!(["answer", "search"]));
    assert_eq!(key["tokens"], json!(["group:hr"]));
    assert!(!listed.text.contains(made.body["key"].as_str().unwrap()));
}

#[tokio::test]
async fn a_key_out_of_bounds_is_refused() {
    let app = TestApp::new().await;
    for body in [
        json!({"name": "", "scopes": ["answer"]}),
        json!({"name": "n", "scopes": []}),
        json!({"name": "n", "scopes": ["everything"]}),
        json!({"name": "n", "scopes": ["answer"], "tokens": ["a b"]}),
        json!({"name": "n".repeat(129), "scopes": ["answer"]}),
    ] {
        let reply = app.owner(Method::POST, "/admin/v1/keys", Some(&body)).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
    }
    assert_eq!(
        app.owner(Method::DELETE, "/admin/v1/keys/nope", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_index_is_listed_rebuilt_and_verified() {
    let app = TestApp::with_pages().await;
    let rebuilt = app.post("/admin/v1/index/rebuild", &json!({})).await;
    assert_eq!(rebuilt.status, 200, "{}", rebuilt.text);
    let listed = app.get("/admin/v1/index").await.body;
    assert!(
        listed["generations"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["active"] == true),
        "{listed}"
    );
    let verified = app.post("/admin/v1/index/verify", &json!({})).await.body;
    assert_eq!(
        (&verified["ok"], &verified["problems"]),
        (&json!(true), &json!([])),
        "{verified}"
    );
    assert_eq!(
        app.post("/admin/v1/index/999999/activate", &json!({}))
            .await
            .status,
        404
    );
    assert_eq!(
        app.post("/admin/v1/index/x/activate", &json!({}))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn adapters_and_aliases_that_do_not_exist_are_told() {
    let app = TestApp::new().await;
    assert_eq!(
        app.get("/admin/v1/adapters").await.body["adapters"],
        json!([])
    );
    assert_eq!(app.get("/admin/v1/adapters/support@1").await.status, 404);
    assert_eq!(app.get("/admin/v1/adapters/Not%20One").await.status, 400);
    let put = async |body: Value| {
        app.owner(Method::PUT, "/admin/v1/aliases/champion", Some(&body))
            .await
    };
    assert_eq!(put(json!({"to": "support@1"})).await.status, 404);
    assert_eq!(put(json!({"to": "base"})).await.status, 200);
    assert_eq!(
        put(json!({"to": "base", "expect": "support@1"}))
            .await
            .status,
        409
    );
    assert_eq!(
        app.get("/admin/v1/aliases").await.body,
        json!({"aliases": []})
    );
}

#[tokio::test]
async fn a_backup_holds_documents_and_keys() {
    let app = TestApp::with_pages().await;
    app.key(&["search"], &[]).await;
    let target = app.folder.path().join("backup");
    let body = json!({"path": target});
    let made = app
        .owner(Method::POST, "/admin/v1/backup", Some(&body))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(target.join("quoin.db").is_file());
    let again = app
        .owner(Method::POST, "/admin/v1/backup", Some(&body))
        .await;
    assert_eq!(again.status, 409, "{}", again.text);
    let relative = app
        .owner(
            Method::POST,
            "/admin/v1/backup",
            Some(&json!({"path": "backup"})),
        )
        .await;
    assert_eq!(relative.status, 400);

    let mut config = quoin::config::Config::default();
    config.data = quoin::config::DataFolder(target);
    let options = quoin::service::OpenOptions {
        generator: Some(app.generator.clone()),
        ..quoin::service::OpenOptions::default()
    };
    let restored = quoin::service::Quoin::open_with(config, options)
        .await
        .unwrap();
    assert!(restored.storage().keys().any());
    let access = quoin_retriever::Access::admin();
    let search = quoin_retriever::SearchRequest::new("annual leave", 5);
    let found = restored.retriever().search(&search, &access).unwrap();
    assert_eq!(found.hits[0].document.as_str(), "leave.md");
}

#[tokio::test]
async fn status_and_configuration_are_shown() {
    let app = TestApp::with_pages().await;
    let status = app.get("/admin/v1/status").await.body;
    assert_eq!(status["readiness"]["ready"], true);
    assert_eq!(status["index"]["documents"], 2);
    let config = app.get("/admin/v1/config").await.body;
    assert_eq!(config["server"]["max_question_bytes"], 16_384);
}
