//! The serving seam: what a caller asks of a language model and what it gets back, whatever runs the model.

use std::{pin::Pin, time::Duration};

use async_trait::async_trait;
use futures::{Stream, StreamExt};

use crate::EngineError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Written by us (instructions, markers): the model's added tokens in it are tokens.
    Trusted(String),
    /// Came from outside (documents, questions): nothing in it ever becomes a control or added token.
    Data(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// What may be generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    Free,
    /// An llguidance Lark grammar; the output is a sentence of it, unless `max_tokens` cuts it short.
    Lark(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    Greedy,
    /// The same seed gives the same output for the same prompt, whatever else runs. `temperature` > 0, 0 < `top_p` <= 1.
    Random {
        temperature: f64,
        top_p: f64,
        seed: u64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct GenerationRequest {
    pub messages: Vec<Message>,
    pub constraint: Constraint,
    pub sampling: Sampling,
    /// At least 1. Cut to what the context length leaves after the prompt.
    pub max_tokens: usize,
    /// From the call of [`Generator::generate`], waiting included. Cut to the engine's own limit.
    pub time_limit: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Admitted: always the first event.
    Started {
        prompt_tokens: usize,
        queued: Duration,
    },
    /// Text that follows what was sent before; never empty.
    Delta(String),
    /// Always the last event.
    Finished(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended, or its grammar was complete.
    Stop,
    /// `max_tokens` or the context length was reached: under a grammar, the text may be cut short.
    Length,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: usize,
    /// Without the token that ends the output.
    pub completion_tokens: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the call to admission.
    pub queued: Duration,
    /// From admission to the first token.
    pub first_token: Duration,
    /// From the call to the end.
    pub total: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The whole output: the deltas, joined.
    pub text: String,
    pub finish: Finish,
    pub usage: Usage,
    pub timings: Timings,
    /// Mean natural-log probability of the generated tokens under the model, at temperature 1: among the tokens that the
    /// constraint allowed where it had to rule out the model's first choice or a token was drawn, among all tokens elsewhere.
    /// `None` without tokens or from a model that does not tell.
    pub mean_logprob: Option<f32>,
}

/// What a model is, for releases, logs and health pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDescription {
    pub name: String,
    /// `sha256:…` of the base model's files.
    pub base_digest: String,
    /// `sha256:…` of the adapter's files.
    pub adapter_digest: Option<String>,
    /// Tokens of prompt and output together.
    pub context_length: usize,
    pub architecture: String,
    pub device: String,
    pub quantization: Option<String>,
    /// What the chat template adds to one user message, in tokens.
    pub template_tokens: usize,
}

/// What a model is doing now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    pub running: usize,
    pub waiting: usize,
    /// Since it was loaded, cancelled requests included.
    pub generated_tokens: u64,
}

/// Dropping the stream stops the generation.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Event, EngineError>> + Send>>;

/// A loaded language model. Requests in flight hold it: it can be unloaded at any time.
#[async_trait]
pub trait Generator: Send + Sync {
    fn description(&self) -> &ModelDescription;

    /// Tokens of a message's parts, without the chat template: `template_tokens` more is a whole prompt of one user
    /// message. Each part counts by itself, so counts add up.
    fn count_tokens(&self, parts: &[Part]) -> usize;

    /// # Errors
    /// [`EngineError::UnsupportedConstraint`] when the constraint cannot be decoded under, before anything is queued.
    fn check(&self, constraint: &Constraint) -> Result<(), EngineError>;

    fn occupancy(&self) -> Occupancy;

    /// # Errors
    /// At once, with nothing queued: [`EngineError::QueueFull`], [`EngineError::PromptTooLong`],
    /// [`EngineError::UnsupportedConstraint`], [`EngineError::InvalidRequest`]. In the stream:
    /// [`EngineError::TimeLimit`], [`EngineError::Generation`]; an error is the last item.
    async fn generate(&self, request: GenerationRequest) -> Result<EventStream, EngineError>;
}

/// Runs a request to its end.
///
/// # Errors
/// As [`Generator::generate`] and its stream.
pub async fn complete(
    generator: &dyn Generator,
    request: GenerationRequest,
) -> Result<Outcome, EngineError> {
    let mut events = generator.generate(request).await?;
    while let Some(event) = events.next().await {
        if let Event::Finished(outcome) = event? {
            return Ok(outcome);
        }
    }
    Err(EngineError::Generation {
        reason: "the stream ended without an outcome".into(),
    })
}
