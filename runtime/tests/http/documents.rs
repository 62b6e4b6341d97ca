//! Documents put, read, listed and deleted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, request};

async fn put(app: &TestApp, path: &str, body: &Value) -> crate::app::Reply {
    app.send(request(Method::PUT, path, Some(body), &[])).await
}

#[tokio::test]
async fn a_document_is_found_as_soon_as_the_put_answers() {
    let app = TestApp::new().await;
    let reply = put(
        &app,
        "/v1/documents/a.txt",
        &json!({"text": "Zebras graze at dawn.", "acl": ["public"]}),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["id"], "a.txt");
    assert_eq!(reply.body["version"], 1);
    assert_eq!(reply.body["passages"], 1);
    let hits = app
        .post("/v1/search", &json!({"query": "zebras"}))
        .await
        .body;
    assert_eq!(hits["hits"][0]["document"], "a.txt");
}

#[tokio::test]
async fn ids_may_hold_slashes_and_any_script_encoded_or_not() {
    let app = TestApp::new().await;
    for (written, id) in [
        ("a/b/c.md", "a/b/c.md"),
        ("a%2Fb%2Fd.md", "a/b/d.md"),
        ("%C3%BC%20%E6%97%A5%E6%9C%AC.md", "ü 日本.md"),
        (
            "http://example.com/x%3Fy=1%23z",
            "http://example.com/x?y=1#z",
        ),
        ("/etc/leading", "/etc/leading"),
        ("100%25", "100%"),
    ] {
        let path = format!("/v1/documents/{written}");
        let stored = put(
            &app,
            &path,
            &json!({"text": format!("This is {id}."), "acl": ["public"]}),
        )
        .await;
        assert_eq!(stored.status, 200, "{written}: {}", stored.text);
        assert_eq!(stored.body["id"], id);
        assert_eq!(app.get(&path).await.body["id"], id, "{written}");
        let text = app.get(&format!("{path}/text")).await.body;
        assert_eq!(
            text,
            json!({"id": id, "text": format!("This is {id}.")}),
            "{written}"
        );
    }
    assert_eq!(
        app.get("/v1/documents/a%2Fb/c.md").await.body["id"],
        "a/b/c.md"
    );
}

#[tokio::test]
async fn an_id_that_ends_in_text_is_reachable_in_both_ways_of_writing() {
    let app = TestApp::new().await;
    put(
        &app,
        "/v1/documents/notes/text",
        &json!({"text": "One.", "acl": ["public"]}),
    )
    .await;
    assert_eq!(
        app.get("/v1/documents/notes%2Ftext").await.body["id"],
        "notes/text"
    );
    assert_eq!(
        app.get("/v1/documents/notes/text").await.body["version"],
        1,
        "there is no document `notes`"
    );
    put(
        &app,
        "/v1/documents/notes",
        &json!({"text": "Two.", "acl": ["public"]}),
    )
    .await;
    assert_eq!(
        app.get("/v1/documents/notes/text").await.body["text"],
        "Two."
    );
    assert_eq!(
        app.get("/v1/documents/notes/text/text").await.body["text"],
        "One."
    );
}

#[tokio::test]
async fn a_file_comes_in_base64_with_its_type() {
    let app = TestApp::new().await;
    let html = "<html><head><title>T</title></head><body><h1>Head</h1><p>Ducks <b>swim</b>.</p></body></html>";
    let body = json!({"content_base64": STANDARD.encode(html), "content_type": "text/html; charset=utf-8", "acl": ["public"]});
    let reply = put(&app, "/v1/documents/page.html", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let text = app.get("/v1/documents/page.html/text").await.body["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(text.contains("Ducks swim."), "{text:?}");
}

#[tokio::test]
async fn what_is_put_is_shown() {
    let app = TestApp::new().await;
    let body = json!({
        "text": "# Head\n\nBody.", "content_type": "text/markdown", "title": "T", "uri": "https://example.com/a",
        "acl": ["group:b", "group:a"], "metadata": {"team": "hr"}, "source": "wiki",
        "effective_from": "2026-01-31", "effective_until": "2026-12-31T23:00:00+01:00",
    });
    let reply = put(&app, "/v1/documents/a.md", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let shown = app.get("/v1/documents/a.md").await.body;
    assert_eq!(shown["title"], "T");
    assert_eq!(shown["uri"], "https://example.com/a");
    assert_eq!(shown["acl"], json!(["group:a", "group:b"]));
    assert_eq!(shown["metadata"], json!({"team": "hr"}));
    assert_eq!(shown["source"], "wiki");
    assert_eq!(shown["effective_from"], "2026-01-31T00:00:00Z");
    assert_eq!(shown["effective_until"], "2026-12-31T22:00:00Z");
}

#[tokio::test]
async fn putting_again_makes_a_new_version_unless_nothing_changed() {
    let app = TestApp::new().await;
    let one = json!({"text": "One.", "acl": ["public"]});
    assert_eq!(put(&app, "/v1/documents/a", &one).await.body["version"], 1);
    let again = put(&app, "/v1/documents/a", &one).await.body;
    assert_eq!(
        (&again["version"], &again["unchanged"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        put(
            &app,
            "/v1/documents/a",
            &json!({"text": "Two.", "acl": ["public"]})
        )
        .await
        .body["version"],
        2
    );
    assert_eq!(app.get("/v1/documents/a/text").await.body["text"], "Two.");
}

#[tokio::test]
async fn a_deletion_gives_a_receipt_and_nothing_finds_the_document() {
    let app = TestApp::with_pages().await;
    let receipt = app
        .send(request(Method::DELETE, "/v1/documents/vpn.md", None, &[]))
        .await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
    assert_eq!(receipt.body["id"], "vpn.md");
    assert!(
        receipt.body["generation"].is_u64() && receipt.body["deleted_at"].is_string(),
        "{}",
        receipt.text
    );
    assert_eq!(app.get("/v1/documents/vpn.md").await.status, 404);
    assert_eq!(app.get("/v1/documents/vpn.md/text").await.status, 404);
    let hits = app
        .post("/v1/search", &json!({"query": "VPN hardware token"}))
        .await
        .body;
    assert!(!hits.to_string().contains("vpn.md"), "{hits}");
    let again = app
        .send(request(Method::DELETE, "/v1/documents/vpn.md", None, &[]))
        .await;
    assert_eq!(again.status, 404);
}

#[tokio::test]
async fn the_list_has_pages() {
    let app = TestApp::new().await;
    for id in ["a", "b", "c", "d", "e"] {
        app.put_page(id, "Text.", &["public"]).await;
    }
    let first = app.get("/v1/documents?limit=2").await.body;
    assert_eq!(first["documents"].as_array().unwrap().len(), 2);
    assert_eq!(first["next"], "b");
    let second = app.get("/v1/documents?limit=2&after=b").await.body;
    assert_eq!(second["documents"][0]["id"], "c");
    let last = app.get("/v1/documents?limit=2&after=d").await.body;
    assert_eq!(
        (last["documents"].as_array().unwrap().len(), &last["next"]),
        (1, &Value::Null)
    );
    let exact = app.get("/v1/documents?limit=5").await.body;
    assert_eq!(exact["next"], Value::Null);
}

#[tokio::test]
async fn a_document_out_of_bounds_is_refused_with_the_field() {
    let app = TestApp::new().await;
    let cases = [
        (json!({}), "text"),
        (
            json!({"text": "a", "content_base64": "YQ=="}),
            "content_base64",
        ),
        (json!({"content_base64": "YQ=="}), "content_type"),
        (
            json!({"content_base64": "%%%", "content_type": "text/plain"}),
            "content_base64",
        ),
        (
            json!({"text": "a", "content_type": "application/x-unknown"}),
            "content_type",
        ),
        (json!({"text": "a", "acl": ["has space"]}), "acl"),
        (json!({"text": "a", "acl": ["a,b"]}), "acl"),
        (json!({"text": "a", "acl": [""]}), "acl"),
        (json!({"text": "a", "acl": ["x".repeat(129)]}), "acl"),
        (
            json!({"text": "a", "effective_from": "next week"}),
            "effective_from",
        ),
        (
            json!({"text": "a", "effective_until": 7}),
            "effective_until",
        ),
        (json!({"text": "a", "metadata": [1]}), "metadata"),
        (json!({"text": 7}), "text"),
        (json!({"text": "a", "colour": "red"}), "colour"),
        (json!({"text": "a", "title": "t".repeat(5000)}), "title"),
        (json!({"text": "a", "supersedes": ""}), "id"),
    ];
    for (body, param) in cases {
        let reply = put(&app, "/v1/documents/a", &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
    }
    assert_eq!(
        app.get("/v1/documents/a").await.status,
        404,
        "nothing was stored"
    );
}

#[tokio::test]
async fn the_longest_id_is_read_as_well_as_written() {
    let app = TestApp::new().await;
    let path = format!("/v1/documents/{}", "i".repeat(512));
    let body = json!({"text": "Otters play.", "acl": ["public"]});
    assert_eq!(put(&app, &path, &body).await.status, 200);
    let text = app.get(&format!("{path}/text")).await;
    assert_eq!(text.body["text"], "Otters play.", "{}", text.text);
    assert_eq!(app.get(&path).await.status, 200);
}

#[tokio::test]
async fn an_id_out_of_bounds_is_refused() {
    let app = TestApp::new().await;
    let body = json!({"text": "a", "acl": ["public"]});
    for id in ["%00", "a%0Ab", "%FF%FE", &"x".repeat(513)] {
        let reply = put(&app, &format!("/v1/documents/{id}"), &body).await;
        assert_eq!(reply.status, 400, "{id}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], "id");
    }
    assert_eq!(put(&app, "/v1/documents/", &body).await.status, 404);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_removes() {
    let app = TestApp::new().await;
    let body = json!({"text": "Zebras graze.", "acl": ["public"], "uri": "https://example.com", "metadata": {"a": 1, "b": 2}});
    put(&app, "/v1/documents/a/b", &body).await;
    let change =
        json!({"uri": null, "metadata": {"a": null, "c": 3}, "effective_from": "2026-01-31"});
    let path = "/v1/documents/a/b";
    let reply = app
        .send(request(Method::PATCH, path, Some(&change), &[]))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["version"], 2);
    let shown = app.get(path).await.body;
    assert_eq!(shown["uri"], Value::Null);
    assert_eq!(shown["metadata"], json!({"b": 2, "c": 3}));
    assert_eq!(shown["effective_from"], "2026-01-31T00:00:00Z");
    assert_eq!(shown["acl"], json!(["public"]));
    for (wrong, field) in [
        (json!({"acl": "public"}), "acl"),
        (json!({"text": "other"}), "text"),
        (json!({"effective_until": "2020-01-01"}), "effective_until"),
        (json!({"acl": ["a b"]}), "acl"),
    ] {
        let reply = app
            .send(request(Method::PATCH, path, Some(&wrong), &[]))
            .await;
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.text);
        assert!(reply.text.contains(field), "{wrong}: {}", reply.text);
    }
    let missing = app
        .send(request(
            Method::PATCH,
            "/v1/documents/none",
            Some(&change),
            &[],
        ))
        .await;
    assert_eq!(missing.status, 404, "{}", missing.text);
}
