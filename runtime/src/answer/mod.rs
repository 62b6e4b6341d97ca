//! One request, top to bottom: search, prompt, grammar, generation, verification.

pub mod ask;
pub mod citable;
pub mod draft;
pub mod error;
pub mod extractive;
pub mod generate;
mod given;
pub mod grammar;
mod listener;
pub mod prompt;
mod rewriting;
mod routed;
pub mod schema;
pub mod sentences;
pub mod standalone;
mod trace;
pub mod types;
pub mod verify;

use std::sync::Arc;
use std::time::Instant;

use quoin_retriever::{Hit, SearchRequest};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::answer::ask::Ask;
use crate::answer::error::AnswerError;
use crate::answer::generate::{Generated, Grounding};
pub(crate) use crate::answer::listener::Listener;
use crate::answer::routed::By;
use crate::answer::types::{
    Answer, AnswerRequest, Citation, Mode, Progress, ReleaseInfo, Status, TimingsMs, Trace,
    TracePassage, UsageInfo,
};
use crate::caller::Caller;
use crate::release::{ChosenRelease, Served};
use crate::service::Quoin;

/// Where a stream wants to hear of progress; nobody listens when `None`.
pub type ProgressSender = Option<mpsc::Sender<Progress>>;

/// What retrieval found for a question.
pub(crate) struct Found {
    pub(crate) query: String,
    pub(crate) generation: u64,
    pub(crate) hits: Vec<Hit>,
    /// How likely it is that the first hit answers.
    pub(crate) confidence: f32,
    /// Somebody named the hits: no threshold withholds what they say.
    pub(crate) is_given: bool,
}

/// Who answers: a model, or the best sentences themselves.
enum Answerer {
    Model(Served),
    Sentences(ChosenRelease),
}

impl Answerer {
    const fn release(&self) -> &ChosenRelease {
        match self {
            Self::Model(served) => &served.release,
            Self::Sentences(release) => release,
        }
    }
}

/// An answer before it gets its id and total time.
pub(crate) struct Draught {
    pub(crate) answer: Option<(Value, Vec<Citation>)>,
    pub(crate) confidence: f64,
    pub(crate) release: ReleaseInfo,
    pub(crate) usage: UsageInfo,
    pub(crate) timings: TimingsMs,
    pub(crate) shown: Vec<TracePassage>,
    pub(crate) left_out: usize,
    pub(crate) output: Option<String>,
    /// Something that the model cited no longer stands.
    pub(crate) quote_failed: bool,
}

impl Quoin {
    /// Answers one question for one caller. Dropping the future stops retrieval's consumer and the generation.
    ///
    /// # Errors
    /// [`AnswerError`]; an abstention is not an error.
    pub async fn answer(
        self: &Arc<Self>,
        caller: &Caller,
        request: AnswerRequest,
        progress: ProgressSender,
    ) -> Result<Answer, AnswerError> {
        let limit = self.config().request_timeout();
        tokio::time::timeout(limit, self.answer_unbounded(caller, request, progress))
            .await
            .map_err(|_| AnswerError::Timeout { limit })?
    }

    async fn answer_checked(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        by: By<'_>,
        listener: &Listener,
    ) -> Result<Answer, AnswerError> {
        let started = Instant::now();
        if ask.request.mode == Mode::ClosedBook {
            let served = self.model(ask, by).await?;
            let draught = self.answer_from_memory(ask, &served).await?;
            return Ok(finish(draught, ask, None, started));
        }
        let answerer = self.choose(ask, by).await?;
        let searching = Instant::now();
        let query = self.standalone_query(ask, &answerer).await;
        let found = self.find(caller, ask, query).await?;
        let retrieval = TimingsMs::of(searching.elapsed());
        let release = answerer.release().at(found.generation);
        listener.retrieval(&found, release).await;
        let mut draught = match &answerer {
            Answerer::Sentences(release) => self.extract(caller, ask, &found, release).await?,
            Answerer::Model(served) => {
                match self.ground(caller, ask, served, &found, listener).await {
                    Err(error) if by.may_be_stood_in_for(ask) => {
                        let release = self.stand_in(ask, error)?;
                        self.extract(caller, ask, &found, &release).await?
                    }
                    result => result?,
                }
            }
        };
        draught.timings.retrieval = retrieval;
        Ok(finish(draught, ask, Some(found), started))
    }

    async fn check(self: &Arc<Self>, request: AnswerRequest) -> Result<Arc<Ask>, AnswerError> {
        let quoin = Arc::clone(self);
        let ask =
            tokio::task::spawn_blocking(move || Ask::checked(request, quoin.config())).await??;
        Ok(Arc::new(ask))
    }

    /// Who is to answer: the sentences themselves where the request says so, or where no model can.
    async fn choose(&self, ask: &Ask, by: By<'_>) -> Result<Answerer, AnswerError> {
        if ask.request.mode == Mode::Extractive {
            let release = self.extractive_release("extractive".to_owned());
            return Ok(Answerer::Sentences(release));
        }
        match self.model(ask, by).await {
            Ok(served) => Ok(Answerer::Model(served)),
            Err(error) if by.may_be_stood_in_for(ask) => {
                self.stand_in(ask, error).map(Answerer::Sentences)
            }
            Err(error) => Err(error),
        }
    }

    async fn find(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Ask,
        query: String,
    ) -> Result<Found, AnswerError> {
        let request = SearchRequest {
            filters: ask.request.filters.clone().unwrap_or_default(),
            ..SearchRequest::new(query.clone(), ask.top_k)
        };
        let retriever = Arc::clone(self.retriever());
        let access = caller.access.clone();
        let result = tokio::task::spawn_blocking(move || retriever.search(&request, &access))
            .await?
            .map_err(AnswerError::Retrieval)?;
        Ok(Found {
            query,
            generation: result.generation,
            hits: result.hits,
            confidence: result.confidence,
            is_given: false,
        })
    }

    /// The passages found, then those before and after them for what room is left.
    async fn with_neighbours(
        self: &Arc<Self>,
        caller: &Caller,
        found: &Found,
    ) -> Result<Vec<Hit>, AnswerError> {
        let mut hits = found.hits.clone();
        if self.config().answers.neighbours {
            let (retriever, access) = (Arc::clone(self.retriever()), caller.access.clone());
            let beside = tokio::task::spawn_blocking(move || {
                let beside = retriever.neighbours(&hits, &access);
                beside.map(|beside| {
                    hits.extend(beside);
                    hits
                })
            });
            hits = beside.await?.map_err(AnswerError::Retrieval)?;
        }
        Ok(hits)
    }

    /// The model answers from the passages found.
    async fn ground(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        served: &Served,
        found: &Found,
        listener: &Listener,
    ) -> Result<Draught, AnswerError> {
        let release = served.release.at(found.generation);
        let is_unsure = found.confidence < self.config().answers.retrieval_threshold;
        if found.hits.is_empty() || (is_unsure && !found.is_given) {
            return Ok(Draught {
                confidence: f64::from(found.confidence),
                ..Draught::abstained(release)
            });
        }
        let hits = self.with_neighbours(caller, found).await?;
        let Generated {
            cited,
            answer,
            confidence,
            usage,
            mut timings,
            passages,
            left_out,
            output,
            quote_failed,
        } = Grounding {
            quoin: self,
            caller,
            ask,
            served,
            query: &found.query,
            hits: &hits,
            is_given: found.is_given,
            listener,
        }
        .generate()
        .await?;
        let verifying = Instant::now();
        let resolved = cited.len();
        let citations = self.standing(caller, cited).await?;
        let quote_failed = quote_failed || citations.len() < resolved;
        timings.verification += TimingsMs::of(verifying.elapsed());
        // An answer was written on all that it cites: it does not outlive a part of it.
        let answer = if citations.is_empty() || quote_failed {
            None
        } else {
            let value = answer.unwrap_or_else(|| Value::from(joined(&citations)));
            ask.schema
                .validate(&value)
                .map_err(AnswerError::BrokenSchema)?;
            Some((value, citations))
        };
        Ok(Draught {
            // Of an abstention: how sure it is that something answers after all.
            confidence: if answer.is_some() {
                confidence
            } else {
                1.0 - confidence
            },
            answer,
            release,
            usage,
            timings,
            shown: passages.iter().flat_map(trace::shown).collect(),
            left_out,
            output: Some(output),
            quote_failed,
        })
    }

    /// The release of the best sentences, when the model cannot answer now and they can satisfy the schema; else the
    /// model's error.
    fn stand_in(&self, ask: &Ask, error: AnswerError) -> Result<ChosenRelease, AnswerError> {
        let Some(reason) = error.fallback_reason() else {
            return Err(error);
        };
        if !ask.schema.accepts_text() {
            return Err(error);
        }
        tracing::warn!(
            reason,
            error = &error as &dyn std::error::Error,
            "extractive answer instead of a generated one"
        );
        Ok(self.extractive_release(format!("fallback:{reason}")))
    }

    /// Whether sentences of which the best scores so much are worth an answer; always, of hits that somebody named.
    fn says_enough(&self, is_given: bool, best: f32) -> bool {
        is_given || best >= self.config().answers.extractive_threshold
    }

    async fn extract(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        found: &Found,
        release: &ChosenRelease,
    ) -> Result<Draught, AnswerError> {
        let started = Instant::now();
        let (retriever, hits, query) = (
            Arc::clone(self.retriever()),
            found.hits.clone(),
            found.query.clone(),
        );
        let (access, most) = (caller.access.clone(), ask.max_citations);
        let extracted = tokio::task::spawn_blocking(move || {
            extractive::extract(&retriever, &query, &access, &hits, most)
        })
        .await?
        .map_err(AnswerError::Retrieval)?;
        let best = extracted.first().map_or(0.0, |one| one.score);
        let mut draught = Draught::abstained(release.at(found.generation));
        draught.confidence = f64::from(best.clamp(0.0, 1.0));
        draught.shown = found.hits.iter().map(trace::whole).collect();
        if self.says_enough(found.is_given, best) {
            let cited = extracted
                .iter()
                .flat_map(|one| {
                    one.passage
                        .sentences
                        .iter()
                        .map(|sentence| (&one.passage, sentence.bytes.clone()))
                })
                .map(|(passage, bytes)| verify::slice(passage, bytes.start, bytes.end))
                .collect();
            let citations = self.standing(caller, cited).await?;
            if !citations.is_empty() {
                let value = Value::from(joined(&citations));
                // A schema may allow only words that no document says.
                if ask.schema.validate(&value).is_ok() {
                    draught.answer = Some((value, citations));
                }
            }
        }
        draught.timings.generation = TimingsMs::of(started.elapsed());
        Ok(draught)
    }

    /// The last gate: see [`verify::still_standing`].
    pub(crate) async fn standing(
        self: &Arc<Self>,
        caller: &Caller,
        citations: Vec<Citation>,
    ) -> Result<Vec<Citation>, AnswerError> {
        let retriever = Arc::clone(self.retriever());
        let access = caller.access.clone();
        let before = citations.len();
        let standing = tokio::task::spawn_blocking(move || {
            verify::still_standing(citations, &retriever, &access)
        })
        .await?;
        if standing.len() < before {
            metrics::counter!("quoin_quote_failures_total")
                .increment((before - standing.len()) as u64);
        }
        Ok(standing)
    }
}

impl Draught {
    pub(crate) fn abstained(release: ReleaseInfo) -> Self {
        Self {
            answer: None,
            confidence: 0.0,
            release,
            usage: UsageInfo::default(),
            timings: TimingsMs::default(),
            shown: Vec::new(),
            left_out: 0,
            output: None,
            quote_failed: false,
        }
    }
}

/// `ans_…`, in the order of time.
pub(crate) fn new_answer_id() -> String {
    format!("ans_{}", Uuid::now_v7().simple())
}

fn finish(draught: Draught, ask: &Ask, found: Option<Found>, started: Instant) -> Answer {
    let mut timings = draught.timings;
    timings.total = TimingsMs::of(started.elapsed());
    let trace = ask.request.trace.then(|| Trace {
        query: found.map_or_else(String::new, |found| found.query),
        passages: draught.shown,
        left_out: draught.left_out,
        output: draught.output,
    });
    let (status, answer, citations) = match draught.answer {
        Some((answer, citations)) => (Status::Answered, answer, citations),
        None => (Status::Abstained, Value::Null, Vec::new()),
    };
    if status == Status::Abstained {
        metrics::counter!("quoin_abstentions_total").increment(1);
    }
    Answer {
        id: ask.request.answer_id.clone().unwrap_or_else(new_answer_id),
        status,
        answer,
        citations,
        confidence: draught.confidence,
        release: draught.release,
        usage: draught.usage,
        timings_ms: timings,
        trace,
        quote_failed: draught.quote_failed,
        assigned: None,
    }
}

fn joined(citations: &[Citation]) -> String {
    citations
        .iter()
        .map(|citation| citation.quote.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}
