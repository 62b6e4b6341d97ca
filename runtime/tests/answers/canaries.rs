//! Canaries that cannot answer: the champion does, within the same request, as long as nothing was seen of the other answer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::{Method, StatusCode};
use quoin::config::Citing;
use quoin::service::{OpenOptions, Quoin};
use quoin_adapters::Alias;
use quoin_engine::scripted::ScriptedGenerator;
use quoin_engine::{
    Constraint, EngineError, Event, EventStream, GenerationRequest, Generator, ModelDescription,
    Occupancy, Part,
};
use serde_json::{Value, json};

use crate::conformance;
use crate::server::{QUESTION, Server, plan};

/// How long a request may take; the canary has half of it.
const LIMIT: Duration = Duration::from_secs(16);

const WELL: u8 = 0;
const DIES: u8 = 1;
const DIES_LATE: u8 = 2;
const HANGS: u8 = 3;

/// A base model that does well until it is told otherwise.
struct Wayward {
    well: ScriptedGenerator,
    mood: Arc<AtomicU8>,
}

#[async_trait]
impl Generator for Wayward {
    fn description(&self) -> &ModelDescription {
        self.well.description()
    }

    fn count_tokens(&self, parts: &[Part]) -> usize {
        self.well.count_tokens(parts)
    }

    fn check(&self, constraint: &Constraint) -> Result<(), EngineError> {
        self.well.check(constraint)
    }

    fn occupancy(&self) -> Occupancy {
        self.well.occupancy()
    }

    async fn generate(&self, request: GenerationRequest) -> Result<EventStream, EngineError> {
        let broken = EngineError::Generation {
            reason: "the engine is gone".to_owned(),
        };
        match self.mood.load(Ordering::SeqCst) {
            DIES => Err(broken),
            DIES_LATE => {
                let begun =
                    Event::Delta(r#"{"cite":"[[1]]","answer":{"note":"The first "#.to_owned());
                let events = futures::stream::iter([Ok(begun), Err(broken)]);
                Ok(Box::pin(events))
            }
            HANGS => Ok(Box::pin(futures::stream::pending())),
            _ => self.well.generate(request).await,
        }
    }
}

/// The champion is a real adapter on the real base; what is rolled out is the base, which is wayward.
async fn server(folder: &Path) -> (Server, Arc<AtomicU8>) {
    let mood = Arc::new(AtomicU8::new(WELL));
    let base = Wayward {
        well: ScriptedGenerator::new(|_| r#"{"cite":"[[1]]"}"#.to_owned()),
        mood: Arc::clone(&mood),
    };
    let mut config = conformance::config(folder, Citing::Point);
    config.server.request_timeout_ms = u64::try_from(LIMIT.as_millis()).unwrap();
    let options = OpenOptions {
        generator: Some(Arc::new(base)),
        ..OpenOptions::default()
    };
    let quoin = Quoin::open_with(config, options).await.unwrap();
    let server = Server::of(conformance::with_documents(quoin).await);
    server.add_support().await;
    let support = "support@1".parse().unwrap();
    let registry = server.quoin.registry();
    registry
        .set_alias(&Alias::champion(), None, Some(&support))
        .unwrap();
    let (status, started) = server.start_of("base", plan(&[10000])).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    assert_eq!(server.ask(None).await["release"]["route"], "canary");
    (server, mood)
}

fn stream(schema: &Value) -> Value {
    json!({"question": QUESTION, "mode": "grounded", "stream": true, "schema": schema})
}

async fn errors_in_a_row(server: &Server) -> Value {
    server.get("/admin/v1/rollouts/current").await["engine_errors_in_a_row"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_leaves_the_request_to_the_champion_in_a_stream_too() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mood) = server(folder.path()).await;
    mood.store(DIES, Ordering::SeqCst);
    let answer = server.ask(None).await;
    assert_eq!(answer["release"]["adapter"], "support@1");
    assert_eq!(answer["release"]["route"], "fallback:canary");
    let request = stream(&Value::Null);
    let (status, _, text) = server
        .send(Method::POST, "/v1/answers", Some(request))
        .await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(text.matches("event: retrieval").count(), 1, "{text}");
    assert_eq!(text.matches("event: answer").count(), 1, "{text}");
    assert!(!text.contains("event: error"), "{text}");
    assert!(text.contains("fallback:canary"), "{text}");
    assert_eq!(errors_in_a_row(&server).await, 2);
    for _ in 0..3 {
        server.ask(None).await;
    }
    assert_eq!(server.state().await, "aborted", "after five in a row");
    assert_eq!(server.ask(None).await["release"]["route"], "stable");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_seen_of_a_canarys_answer_is_not_followed_by_another_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mood) = server(folder.path()).await;
    mood.store(DIES_LATE, Ordering::SeqCst);
    let schema =
        json!({"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]});
    let (_, _, text) = server
        .send(Method::POST, "/v1/answers", Some(stream(&schema)))
        .await;
    assert!(text.contains("The first"), "{text}");
    assert_eq!(text.matches("event: error").count(), 1, "{text}");
    assert_eq!(text.matches("event: answer").count(), 0, "{text}");
    assert_eq!(errors_in_a_row(&server).await, 1);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_never_answers_leaves_time_for_the_champion() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mood) = server(folder.path()).await;
    mood.store(HANGS, Ordering::SeqCst);
    let begun = Instant::now();
    let answer = server.ask(None).await;
    assert_eq!(answer["release"]["route"], "fallback:canary");
    assert!((LIMIT / 2..LIMIT).contains(&begun.elapsed()));
    assert_eq!(errors_in_a_row(&server).await, 1);
    server.close().await;
}
