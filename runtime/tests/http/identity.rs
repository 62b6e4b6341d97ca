//! Who a caller is: keys, scopes, the keyless loopback, foreign origins.

use http::Method;
use serde_json::json;

use crate::app::{TestApp, request};

#[tokio::test]
async fn without_keys_this_machine_is_the_owner_and_no_other_is_served() {
    let app = TestApp::with_pages().await;
    assert_eq!(app.get("/v1/documents").await.status, 200);
    assert_eq!(app.get("/admin/v1/status").await.status, 200);
    for peer in ["192.168.1.7:4000", "[2001:db8::1]:4000"] {
        let reply = app
            .send_from(peer, request(Method::GET, "/v1/documents", None, &[]))
            .await;
        assert_eq!(reply.status, 401, "{peer}: {}", reply.text);
    }
    for peer in ["[::1]:4000", "127.0.0.9:1", "[::ffff:127.0.0.1]:1"] {
        let reply = app
            .send_from(peer, request(Method::GET, "/v1/documents", None, &[]))
            .await;
        assert_eq!(reply.status, 200, "{peer}: {}", reply.text);
    }
}

#[tokio::test]
async fn without_keys_a_foreign_page_cannot_drive_the_server() {
    let app = TestApp::with_pages().await;
    let question = json!({"query": "leave"});
    for (headers, code) in [
        (vec![("host", "evil.example")], "foreign_host"),
        (vec![("origin", "https://evil.example")], "foreign_origin"),
        (vec![("origin", "null")], "foreign_origin"),
        (vec![("sec-fetch-site", "cross-site")], "foreign_origin"),
    ] {
        let mut request = request(Method::POST, "/v1/search", Some(&question), &[]);
        for (name, value) in &headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let reply = app.send(request).await;
        assert_eq!(reply.status, 403, "{headers:?}: {}", reply.text);
        assert_eq!(reply.code(), code);
    }
    let key = app.key(&["search"], &[]).await;
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("origin", "https://app.example"),
    ];
    let reply = app
        .send(request(
            Method::POST,
            "/v1/search",
            Some(&question),
            &headers,
        ))
        .await;
    assert_eq!(
        reply.status, 200,
        "with keys the key decides: {}",
        reply.text
    );
}

#[tokio::test]
async fn from_the_first_key_on_everyone_needs_one() {
    let app = TestApp::with_pages().await;
    let key = app.key(&["search"], &[]).await;
    for path in ["/v1/documents", "/v1/models", "/admin/v1/keys"] {
        let reply = app.get(path).await;
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.code(), "invalid_api_key");
        assert_eq!(reply.body["error"]["type"], "authentication_error");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    assert_eq!(
        app.with_key(&key, Method::GET, "/v1/documents", None)
            .await
            .status,
        200
    );
    for path in ["/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_header_that_is_no_key_is_401() {
    let app = TestApp::with_pages().await;
    let key = app.key(&["search"], &[]).await;
    for header in [
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "Bearer nope",
        "bearer",
        &key,
        &format!("Bearer {key}x"),
    ] {
        let reply = app
            .send(request(
                Method::GET,
                "/v1/documents",
                None,
                &[("authorization", header)],
            ))
            .await;
        assert_eq!(reply.status, 401, "{header}: {}", reply.text);
    }
    for header in [format!("bearer {key}"), format!("Bearer  {key}")] {
        let reply = app
            .send(request(
                Method::GET,
                "/v1/documents",
                None,
                &[("authorization", &header)],
            ))
            .await;
        assert_eq!(reply.status, 200, "{header}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_scope_opens_its_routes_and_no_others() {
    let app = TestApp::with_pages().await;
    let document = json!({"text": "x", "acl": ["public"]});
    let routes = [
        (
            "answer",
            Method::POST,
            "/v1/answers",
            Some(json!({"question": "q"})),
        ),
        (
            "answer",
            Method::POST,
            "/v1/chat/completions",
            Some(json!({"messages": [{"role": "user", "content": "q"}]})),
        ),
        (
            "answer",
            Method::POST,
            "/v1/responses",
            Some(json!({"input": "q"})),
        ),
        (
            "search",
            Method::POST,
            "/v1/search",
            Some(json!({"query": "q"})),
        ),
        (
            "search",
            Method::POST,
            "/v1/embeddings",
            Some(json!({"input": "q"})),
        ),
        (
            "search",
            Method::POST,
            "/v1/rerank",
            Some(json!({"query": "q", "documents": ["a"]})),
        ),
        (
            "search",
            Method::POST,
            "/v2/rerank",
            Some(json!({"query": "q", "documents": ["a"]})),
        ),
        (
            "search",
            Method::POST,
            "/v1/vector_stores/x/search",
            Some(json!({"query": "q"})),
        ),
        (
            "search",
            Method::POST,
            "/retrieval",
            Some(json!({"query": "q"})),
        ),
        ("search", Method::GET, "/v1/documents", None),
        ("search", Method::GET, "/v1/documents/leave.md", None),
        ("ingest", Method::PUT, "/v1/documents/new", Some(document)),
        ("ingest", Method::DELETE, "/v1/documents/new", None),
        ("admin", Method::GET, "/admin/v1/keys", None),
        ("admin", Method::GET, "/admin/v1/index", None),
        ("admin", Method::GET, "/admin/v1/config", None),
    ];
    for scope in ["answer", "search", "ingest", "feedback", "admin"] {
        let key = app.key(&[scope], &[]).await;
        for (needed, method, path, body) in &routes {
            let reply = app
                .with_key(&key, method.clone(), path, body.as_ref())
                .await;
            if scope == *needed || scope == "admin" {
                assert_ne!(reply.status, 403, "{scope} {path}: {}", reply.text);
            } else {
                assert_eq!(reply.status, 403, "{scope} {path}: {}", reply.text);
                assert_eq!(reply.code(), "missing_scope");
                assert!(
                    reply.message().contains(&format!("`{needed}`")),
                    "{}",
                    reply.message()
                );
            }
        }
        assert_eq!(
            app.with_key(&key, Method::GET, "/v1/models", None)
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn a_revoked_key_is_401_and_the_server_stays_closed() {
    let app = TestApp::with_pages().await;
    let key = app.key(&["search"], &[]).await;
    let keys = app.owner(Method::GET, "/admin/v1/keys", None).await.body;
    let id = keys["keys"][0]["id"].as_str().unwrap().to_owned();
    let revoked = app
        .owner(Method::DELETE, &format!("/admin/v1/keys/{id}"), None)
        .await;
    assert!(revoked.body["revoked_at"].is_string(), "{}", revoked.text);
    assert_eq!(
        app.with_key(&key, Method::GET, "/v1/documents", None)
            .await
            .status,
        401
    );
    assert_eq!(
        app.get("/v1/documents").await.status,
        401,
        "no way back into the mode without keys"
    );
}

#[tokio::test]
async fn a_missing_scope_is_noticed_before_the_body_is_read() {
    let app = TestApp::with_pages().await;
    let key = app.key(&["search"], &[]).await;
    let bearer = format!("Bearer {key}");
    let body = axum::body::Body::from_stream(futures::stream::pending::<
        Result<axum::body::Bytes, std::io::Error>,
    >());
    let mut request = request(
        Method::PUT,
        "/v1/documents/x",
        None,
        &[("authorization", &bearer)],
    );
    *request.body_mut() = body;
    assert_eq!(app.send(request).await.status, 403);
}
