//! A server in this process on a temporary data folder, and requests to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use quoin::config::{Config, DataFolder};
use quoin::http::{AppState, Identity, Limits, Peer, router_with};
use quoin::service::{OpenOptions, Quoin};
use quoin_engine::scripted::ScriptedGenerator;
use quoin_engine::{Generator as _, Occupancy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// What the scripted model says when nothing else is said: the first sentence answers.
pub const FIRST_SENTENCE: &str = r#"{"cite":"[[1]]","answer":"From the first sentence."}"#;
/// What it says when it abstains.
pub const ABSTAINS: &str = r#"{"cite":"[[0]]"}"#;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Every route that takes a question or something like it.
pub const POSTS: [&str; 9] = [
    "/v1/answers",
    "/v1/search",
    "/v1/feedback",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/rerank",
    "/v1/vector_stores/x/search",
    "/retrieval",
];

/// Builds a [`TestApp`].
pub struct Builder {
    config: Config,
    generator: ScriptedGenerator,
    limits: Box<dyn FnOnce(&mut Limits)>,
}

/// A server without a network.
pub struct TestApp {
    pub quoin: Arc<Quoin>,
    pub generator: Arc<ScriptedGenerator>,
    pub folder: TempDir,
    keyed: Router,
    owner: Router,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// Null when the body is no JSON.
    pub body: Value,
}

impl Builder {
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// The outputs of the model, in turn.
    pub fn saying<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        self.generator(ScriptedGenerator::saying(texts))
    }

    pub fn generator(mut self, generator: ScriptedGenerator) -> Self {
        self.generator = generator;
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits) + 'static) -> Self {
        self.limits = Box::new(change);
        self
    }

    /// Builds, and adds two public pages.
    pub async fn with_pages(self) -> TestApp {
        self.build().await.pages().await
    }

    pub async fn build(self) -> TestApp {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = self.config;
        config.data = DataFolder(folder.path().join("data"));
        let generator = Arc::new(self.generator);
        let options = OpenOptions {
            generator: Some(generator.clone()),
            ..OpenOptions::default()
        };
        let mut limits = Limits::of(&config);
        (self.limits)(&mut limits);
        let quoin = Quoin::open_with(config, options)
            .await
            .expect("the service opens");
        let by = |identity| router_with(AppState::new(quoin.clone(), identity), limits.clone());
        TestApp {
            keyed: by(Identity::Keys),
            owner: by(Identity::LocalOwner),
            quoin,
            generator,
            folder,
        }
    }
}

impl TestApp {
    pub fn builder() -> Builder {
        let mut config = Config::default();
        config.server.samples = false;
        "instruct".clone_into(&mut config.model.prompt);
        Builder {
            config,
            generator: ScriptedGenerator::new(|_| FIRST_SENTENCE.to_owned()),
            limits: Box::new(|_| {}),
        }
    }

    /// An empty server without keys.
    pub async fn new() -> Self {
        Self::builder().build().await
    }

    /// A server without keys and with two public pages.
    pub async fn with_pages() -> Self {
        Self::builder().with_pages().await
    }

    /// Adds two public pages.
    pub async fn pages(self) -> Self {
        self.put_page(
            "leave.md",
            "Employees have 27 days of annual leave. Leave is asked for in the portal.",
            &["public"],
        )
        .await;
        self.put_page(
            "vpn.md",
            "The VPN needs a hardware token. Tokens are handed out by the IT desk.",
            &["public"],
        )
        .await;
        self
    }

    /// Puts a document as the owner of the data folder.
    pub async fn put_page(&self, id: &str, text: &str, acl: &[&str]) {
        let body = json!({"text": text, "title": format!("Page {id}"), "acl": acl});
        let reply = self
            .owner(Method::PUT, &format!("/v1/documents/{id}"), Some(&body))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// Waits until the model is as it should be.
    pub async fn until(&self, reached: impl Fn(&Occupancy) -> bool) {
        let begun = Instant::now();
        while !reached(&self.generator.occupancy()) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{:?}",
                self.generator.occupancy()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Makes a key.
    pub async fn key(&self, scopes: &[&str], tokens: &[&str]) -> String {
        let body = json!({"name": "test", "scopes": scopes, "tokens": tokens});
        let reply = self
            .owner(Method::POST, "/admin/v1/keys", Some(&body))
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.body["key"].as_str().expect("a key").to_owned()
    }

    /// A request as the local socket sends it.
    pub async fn owner(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        read(send(&self.owner, request(method, path, body, &[])).await).await
    }

    /// A request over loopback without a key.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(request(Method::GET, path, None, &[])).await
    }

    /// A request over loopback without a key.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(request(Method::POST, path, Some(body), &[]))
            .await
    }

    /// A request over loopback with a key.
    pub async fn with_key(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Reply {
        let bearer = format!("Bearer {key}");
        self.send(request(method, path, body, &[("authorization", &bearer)]))
            .await
    }

    /// A POST over loopback with a body that may be anything.
    pub async fn post_raw(&self, path: &str, body: impl Into<Body>) -> Reply {
        let request = Request::post(path)
            .header("host", "localhost")
            .body(body.into())
            .expect("a request");
        self.send(request).await
    }

    /// Any request, over loopback.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        read(self.open(request).await).await
    }

    /// Any request, over loopback, with its body unread.
    pub async fn open(&self, mut request: Request<Body>) -> http::Response<Body> {
        let peer = Peer(SocketAddr::from(([127, 0, 0, 1], 50_000)));
        request.extensions_mut().insert(peer);
        send(&self.keyed, request).await
    }

    /// Any request, from somewhere.
    pub async fn send_from(&self, address: &str, mut request: Request<Body>) -> Reply {
        request
            .extensions_mut()
            .insert(Peer(address.parse().expect("an address")));
        read(send(&self.keyed, request).await).await
    }
}

impl Reply {
    /// The code of an error.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The message of an error.
    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    /// A header, as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Name and data of each server-sent event.
    pub fn events(&self) -> Vec<(String, String)> {
        let field = |block: &str, name: &str| {
            let lines: Vec<&str> = block
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .collect();
            lines.join("\n")
        };
        self.text
            .split("\n\n")
            .filter(|block| !block.trim().is_empty() && !block.starts_with(':'))
            .map(|block| (field(block, "event"), field(block, "data")))
            .collect()
    }

    /// The JSON of the events that have some.
    pub fn chunks(&self) -> Vec<Value> {
        self.events()
            .iter()
            .filter_map(|(_, data)| serde_json::from_str(data).ok())
            .collect()
    }
}

pub fn request(
    method: Method,
    path: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        None => Body::empty(),
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
    };
    request.body(body).expect("a request")
}

async fn send(router: &Router, request: Request<Body>) -> http::Response<Body> {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn read(response: http::Response<Body>) -> Reply {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body ends").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("the body is text");
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
    }
}

/// The text of a document between two code points.
pub fn slice(text: &str, start: &Value, end: &Value) -> String {
    let at = |value: &Value| {
        usize::try_from(value.as_u64().expect("an offset")).expect("a small offset")
    };
    text.chars()
        .skip(at(start))
        .take(at(end) - at(start))
        .collect()
}
