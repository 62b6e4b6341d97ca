//! A deletion reaches the request log, feedback and the receipts; backups made before are named.

use std::time::Instant;

use http::Method;
use serde_json::{Value, json};

use crate::app::{PATIENCE, TestApp};

const TEXT: &str =
    "Die Schlüsselnummer der Tresorkammer lautet siebenundvierzig-elf, verwahrt von Frau Ölçer.";

/// Whether any file of the data folder holds some bytes.
fn files_hold(app: &TestApp, text: &str) -> bool {
    walkdir::WalkDir::new(app.folder.path().join("data"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .any(|file| {
            file.windows(text.len())
                .any(|window| window == text.as_bytes())
        })
}

async fn purged(app: &TestApp) -> Value {
    let begun = Instant::now();
    loop {
        let receipt = app.get("/admin/v1/deletions/a/vault.md").await.body;
        if receipt["purge"] == "done" {
            return receipt;
        }
        assert!(begun.elapsed() < PATIENCE, "{receipt}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_was_logged_about_a_deleted_document_goes_with_it() {
    let app = TestApp::builder()
        .config(|config| config.log.content = true)
        .saying([
            r#"{"cite":"[[1]]","answer":"siebenundvierzig-elf, verwahrt"}"#,
            r#"{"cite":"[[1]]","answer":"siebenundvierzig-elf, verwahrt"}"#,
        ])
        .build()
        .await;
    let path = "/v1/documents/a/vault.md";
    let body = json!({"text": TEXT, "acl": ["public"]});
    let put = app
        .send(crate::app::request(Method::PUT, path, Some(&body), &[]))
        .await;
    assert_eq!(put.status, 200, "{}", put.text);
    let ask = json!({"question": "Wie lautet die Schlüsselnummer der Tresorkammer?"});
    let answer = app.post("/v1/answers", &ask).await.body;
    assert_eq!(answer["citations"][0]["document"], "a/vault.md", "{answer}");
    let rating = json!({"answer_id": answer["id"], "metric": "helpful", "value": true,
        "comment": "siebenundvierzig-elf stimmt", "demonstration": "Es ist siebenundvierzig-elf."});
    assert_eq!(app.post("/v1/feedback", &rating).await.status, 201);
    let backup = app.folder.path().join("backup");
    let made = app.post("/admin/v1/backup", &json!({"path": backup})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        app.post("/admin/v1/index/rebuild", &json!({})).await.status,
        200
    );
    for text in [
        "Tresorkammer",
        "siebenundvierzig-elf stimmt",
        "elf, verwahrt\",\"request\"",
    ] {
        assert!(files_hold(&app, text), "{text}");
    }

    let deleted = app
        .send(crate::app::request(Method::DELETE, path, None, &[]))
        .await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    assert_eq!(deleted.body["id"], "a/vault.md");
    let receipt = purged(&app).await;
    let log = receipt["places"]
        .as_array()
        .unwrap()
        .iter()
        .find(|place| place["place"] == "request_log");
    assert!(log.unwrap()["purged_at"].is_string(), "{receipt}");
    assert_eq!(receipt["backups"][0]["holds"], true, "{receipt}");
    let key = app.get("/admin/v1/receipt-key").await.body;
    assert_eq!(receipt["key"], key["key"]);
    let read: quoin_retriever::DeletionReceipt = serde_json::from_value(receipt).unwrap();
    assert!(read.is_genuine());
    for text in ["Tresorkammer", "siebenundvierzig-elf"] {
        assert!(!files_hold(&app, text), "{text}");
    }
    let body = json!({"phrases": ["Tresorkammer", "siebenundvierzig-elf"]});
    let report = app.post("/admin/v1/verify-erased/a/vault.md", &body).await;
    assert_eq!(report.body["erased"], true, "{}", report.text);
    // The rating stays, without its words, and so does the request.
    assert_eq!(app.quoin.storage().logged_requests().await.unwrap(), 1);
    let page = app.get("/metrics").await;
    assert!(
        page.text.contains("quoin_deletion_pending_seconds 0"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn receipts_are_for_administrators_and_of_what_was_deleted() {
    let app = TestApp::with_pages().await;
    let missing = app.get("/admin/v1/deletions/leave.md").await;
    assert_eq!(missing.status, 404, "{}", missing.text);
    let listed = app.get("/admin/v1/deletions").await.body;
    assert_eq!(listed, json!({"deletions": [], "next": null}));
    let reader = app.key(&["answer", "ingest"], &[]).await;
    for path in [
        "/admin/v1/deletions",
        "/admin/v1/deletions/leave.md",
        "/admin/v1/receipt-key",
    ] {
        let refused = app.with_key(&reader, Method::GET, path, None).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
    }
}
