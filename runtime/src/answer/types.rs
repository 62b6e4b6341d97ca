//! What an answer is asked with and what it holds: the types on the wire of `POST /v1/answers`.

use std::collections::BTreeSet;
use std::time::Duration;

use quoin_retriever::Filters;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `grounded`, and `extractive` when the engine is down or its queue is full.
    #[default]
    Auto,
    /// The model answers from retrieved passages, with quotes.
    Grounded,
    /// The best sentences, quoted; nothing is generated.
    Extractive,
    /// The model answers without retrieval and without citations.
    ClosedBook,
}

/// One earlier turn of the conversation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `user` or `assistant`.
    pub role: TurnRole,
    /// What was said.
    pub content: String,
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TurnRole {
    /// Who asks.
    User,
    /// Who answered.
    Assistant,
}

/// The body of `POST /v1/answers`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// The id that the answer is to have, for streams that name it before it is made; chosen by us alone.
    #[serde(skip)]
    pub answer_id: Option<String>,
    /// The question, in natural language.
    pub question: String,
    /// JSON Schema that `answer` must satisfy; a string when left out.
    #[serde(default)]
    pub schema: Option<Value>,
    /// How to answer.
    #[serde(default)]
    pub mode: Mode,
    /// Passages to retrieve, 1 to 64.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Most citations, 1 to 16.
    #[serde(default)]
    pub max_citations: Option<usize>,
    /// Narrows retrieval.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub filters: Option<Filters>,
    /// Earlier turns, oldest first.
    #[serde(default)]
    pub history: Vec<Turn>,
    /// The caller's wishes on form, tone and language. They stand beside the rules on quoting and never above them.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Keeps a conversation on one release.
    #[serde(default)]
    pub session: Option<String>,
    /// Server-sent events instead of one JSON document.
    #[serde(default)]
    pub stream: bool,
    /// Return what was retrieved, prompted and decoded.
    #[serde(default)]
    pub trace: bool,
    /// `quoin` (routed), `NAME@VERSION` (pinned) or `base`.
    #[serde(default)]
    pub model: Option<String>,
    /// Most generated tokens.
    #[serde(default)]
    pub max_tokens: Option<usize>,
    /// 0 (the default) is greedy.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Seed of the sampler, when `temperature` is above 0.
    #[serde(default)]
    pub seed: Option<u64>,
}

impl AnswerRequest {
    /// Nothing but a question.
    pub(crate) fn asking(question: &str) -> Self {
        Self {
            question: question.to_owned(),
            ..Self::default()
        }
    }
}

/// Whether there is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `answer` satisfies the schema, and `citations` support it.
    Answered,
    /// Nothing that the caller may read answers the question.
    Abstained,
}

/// A verbatim quote and where it stands. `text[start..end] == quote` in Unicode code points of the document's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// Document id.
    pub document: String,
    /// The document's title.
    pub title: Option<String>,
    /// Where the document came from.
    pub uri: Option<String>,
    /// Passage id.
    pub passage: String,
    /// The text, letter by letter as in the document.
    pub quote: String,
    /// First code point in the document's text.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Page, from 1, where the format has pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first.
    pub heading: Vec<String>,
}

/// Which release answered and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseInfo {
    /// `sha256:…` of everything that decides an answer.
    pub id: String,
    /// `NAME@VERSION`, or `base`.
    pub adapter: String,
    /// Generation of the index.
    pub generation: u64,
    /// `stable`, `pinned`, `base`, `extractive`, or `fallback:REASON` when extractive stood in for the model.
    pub route: String,
}

/// Tokens, as the model counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageInfo {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
}

/// Where the time went, milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TimingsMs {
    /// Retrieval with fusion and reranking.
    pub retrieval: f64,
    /// Fitting the prompt.
    pub prompt: f64,
    /// Building the grammar.
    pub grammar: f64,
    /// Waiting for the engine.
    pub queue: f64,
    /// From admission to the first token.
    pub first_token: f64,
    /// From admission to the last token.
    pub generation: f64,
    /// Resolving the quotes.
    pub verification: f64,
    /// All of it.
    pub total: f64,
}

impl TimingsMs {
    /// A duration in milliseconds.
    #[must_use]
    pub fn of(duration: Duration) -> f64 {
        duration.as_secs_f64() * 1000.0
    }
}

/// What `trace: true` adds. Holds only what the caller may read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// The query that retrieval saw.
    pub query: String,
    /// Passages in the prompt, in its order: document, start and end.
    pub passages: Vec<TracePassage>,
    /// Passages retrieved that the budget left out.
    pub left_out: usize,
    /// What the model wrote, before verification.
    pub output: Option<String>,
}

/// One passage of the prompt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TracePassage {
    /// Document id.
    pub document: String,
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Retrieval score.
    pub score: f32,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// `ans_…`, to give feedback on.
    pub id: String,
    /// Answered or abstained.
    pub status: Status,
    /// Satisfies the schema; null when abstained.
    pub answer: Value,
    /// What supports it; empty when abstained.
    pub citations: Vec<Citation>,
    /// 0 to 1.
    pub confidence: f64,
    /// What answered.
    pub release: ReleaseInfo,
    /// Tokens.
    pub usage: UsageInfo,
    /// Time.
    pub timings_ms: TimingsMs,
    /// With `trace: true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Something that the model cited no longer stood.
    #[serde(skip)]
    pub quote_failed: bool,
    /// The arm of a rollout that the request was assigned to, for the log.
    #[serde(skip)]
    pub assigned: Option<Value>,
}

impl Answer {
    /// The documents that it cites, each once, sorted.
    pub(crate) fn documents(&self) -> Vec<String> {
        let cited = self.citations.iter();
        let documents: BTreeSet<&String> = cited.map(|citation| &citation.document).collect();
        documents.into_iter().cloned().collect()
    }
}

/// What happens on the way to an answer, for streams.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// Retrieval is done.
    Retrieval {
        /// Generation searched.
        generation: u64,
        /// The release that is to answer.
        release: ReleaseInfo,
        /// Passages found: document, title, start, end, score.
        hits: Vec<TracePassage>,
    },
    /// More of the answer: text of a string answer, JSON of a structured one. Citations were verified before.
    Delta {
        /// The piece.
        text: String,
        /// Whether the answer is a string; its pieces come without quotation marks and escapes.
        #[serde(skip)]
        of_string: bool,
    },
}
