//! A server in this process with the bundled model, a real adapter and a rollout to start, and requests to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use quoin::config::Citing;
use quoin::http::{AppState, Identity, router};
use quoin::service::Quoin;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::conformance;

/// Cites two sentences where the base cites one; made by the recipe in `adapters/train`.
pub const SUPPORT: &str = "../adapters/tests/fixtures/support";
pub const QUESTION: &str = "How many days of annual leave do employees have?";

pub struct Server {
    pub quoin: Arc<Quoin>,
    pub router: Router,
}

impl Server {
    pub async fn open(folder: &Path) -> Self {
        Self::of(conformance::open(folder, Citing::Point).await)
    }

    pub fn of(quoin: Arc<Quoin>) -> Self {
        let router = router(AppState::new(Arc::clone(&quoin), Identity::LocalOwner));
        Self { quoin, router }
    }

    pub async fn close(self) {
        self.quoin.storage().close().await;
    }

    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let (status, _, text) = self.send(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, HeaderMap, String) {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (parts.status, parts.headers, text)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{value}");
        value
    }

    pub async fn add_support(&self) {
        let body = json!({"path": std::path::absolute(SUPPORT).unwrap(), "name": "support"});
        let (status, value) = self
            .call(Method::POST, "/admin/v1/adapters", Some(body))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{value}");
    }

    pub async fn start(&self, plan: Value) -> (StatusCode, Value) {
        self.start_of("support@1", plan).await
    }

    pub async fn start_of(&self, adapter: &str, plan: Value) -> (StatusCode, Value) {
        let body = json!({"adapter": adapter, "plan": plan, "force": "a test"});
        self.call(Method::POST, "/admin/v1/rollouts", Some(body))
            .await
    }

    pub async fn ask(&self, session: Option<&str>) -> Value {
        let body = json!({"question": QUESTION, "mode": "grounded", "session": session});
        let (status, answer) = self.call(Method::POST, "/v1/answers", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    pub async fn state(&self) -> String {
        let status = self.get("/admin/v1/rollouts/current").await;
        status["state"]["name"].as_str().unwrap().to_owned()
    }

    /// Asks until the rollout is in a state; what each adapter answered on the way.
    pub async fn ask_until(&self, state: &str) -> BTreeMap<String, u32> {
        let mut answered = BTreeMap::new();
        for _ in 0..400 {
            if self.state().await == state {
                return answered;
            }
            let answer = self.ask(None).await;
            let adapter = answer["release"]["adapter"].as_str().unwrap();
            *answered.entry(adapter.to_owned()).or_default() += 1;
        }
        let status = self.get("/admin/v1/rollouts/current").await;
        panic!("not {state} after 400 answers: {status:#}");
    }

    pub async fn aliases(&self) -> BTreeMap<String, String> {
        let aliases = self.get("/admin/v1/aliases").await;
        let rows = aliases["aliases"].as_array().unwrap().iter();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        rows.map(|row| (word(&row["alias"]), word(&row["to"])))
            .collect()
    }
}

/// Quick, and content with little. Latency on a shared machine says nothing, and the split of few requests would now and then be
/// taken for a wrong one.
pub fn plan(steps: &[u16]) -> Value {
    json!({
        "shadow_pairs": 0,
        "steps_basis_points": steps,
        "units_per_arm": 10,
        "margin_basis_points": 8000,
        "alpha_basis_points": 2000,
        "settle_ms": 0,
        "baking_ms": 0,
        "guardrails": {"latency": {"on": false}, "traffic_split": {"on": false}},
    })
}
