//! What the engine's tests share: the fixture model, an engine on it, questions to ask.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests; not every file uses everything"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use quoin_engine::{
    BaseModel, Constraint, Device, Engine, EngineError, EngineSettings, GenerationRequest,
    Generator, Message, ModelSource, Outcome, Part, Role, Sampling, complete,
};
use serde::Deserialize;

/// What PEFT generated; see `fixtures/make.py`.
#[derive(Deserialize)]
pub struct Reference {
    pub system: String,
    pub new_tokens: usize,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub question: String,
    pub prompt_tokens: usize,
    pub base: Output,
    pub v1: Output,
    pub v2: Output,
}

#[derive(Deserialize)]
pub struct Output {
    pub ids: Vec<u32>,
    pub text: String,
}

/// Found from the package's folder, where cargo runs tests: a path from compile time would lead into another checkout that
/// shares the target folder.
pub fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures").join(name)
}

pub fn reference() -> Reference {
    serde_json::from_str(&fs::read_to_string(fixture("reference.json")).unwrap()).unwrap()
}

pub fn settings() -> EngineSettings {
    EngineSettings {
        device: Device::Cpu,
        ..EngineSettings::new(std::env::temp_dir().join("quoin-engine-no-cache"))
    }
}

pub fn engine() -> Engine {
    Engine::new(settings())
}

pub fn folder(path: impl Into<PathBuf>) -> ModelSource {
    ModelSource {
        base: BaseModel::Folder(path.into()),
        adapter: None,
    }
}

pub fn adapted(adapter: impl Into<PathBuf>) -> ModelSource {
    ModelSource {
        base: BaseModel::Folder(fixture("base")),
        adapter: Some(adapter.into()),
    }
}

pub async fn load_error(source: &ModelSource) -> EngineError {
    match engine().load("model", source).await {
        Ok(_) => panic!("{source:?} loads"),
        Err(error) => error,
    }
}

/// A copy of a fixture folder to damage.
pub fn copy_of(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

pub fn request(messages: Vec<Message>, max_tokens: usize) -> GenerationRequest {
    GenerationRequest {
        messages,
        constraint: Constraint::Free,
        sampling: Sampling::Greedy,
        max_tokens,
        time_limit: None,
    }
}

pub fn user(parts: Vec<Part>) -> Message {
    Message {
        role: Role::User,
        parts,
    }
}

pub fn data(text: &str) -> Part {
    Part::Data(text.to_owned())
}

pub fn trusted(text: &str) -> Part {
    Part::Trusted(text.to_owned())
}

/// A case of the reference, asked.
pub fn asking(reference: &Reference, case: &Case) -> GenerationRequest {
    let system = Message {
        role: Role::System,
        parts: vec![trusted(&reference.system)],
    };
    request(
        vec![system, user(vec![data(&case.question)])],
        reference.new_tokens,
    )
}

/// Every case's output equals the reference.
pub async fn assert_reference(
    generator: &Arc<dyn Generator>,
    reference: &Reference,
    output: impl Fn(&Case) -> &Output,
) {
    for case in &reference.cases {
        let outcome = complete(generator.as_ref(), asking(reference, case))
            .await
            .unwrap();
        assert_eq!(
            outcome.usage.prompt_tokens, case.prompt_tokens,
            "{}",
            case.question
        );
        assert_eq!(outcome.text, output(case).text, "{}", case.question);
        assert_eq!(
            outcome.usage.completion_tokens,
            completion_tokens(output(case)),
            "{}",
            case.question
        );
    }
}

/// Without the end token.
fn completion_tokens(output: &Output) -> usize {
    output.ids.iter().filter(|id| **id != 2).count()
}

pub async fn ask(generator: &Arc<dyn Generator>, request: GenerationRequest) -> Outcome {
    complete(generator.as_ref(), request).await.unwrap()
}
