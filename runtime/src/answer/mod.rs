//! One request, top to bottom: search, prompt, grammar, generation, verification.

pub mod ask;
pub mod draft;
pub mod error;
pub mod extractive;
pub mod generate;
pub mod grammar;
pub mod prompt;
pub mod schema;
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
use crate::answer::generate::Generated;
use crate::answer::types::{
    Answer, AnswerRequest, Citation, Mode, Progress, ReleaseInfo, Status, TimingsMs, Trace,
    TracePassage, UsageInfo,
};
use crate::caller::Caller;
use crate::service::Quoin;

/// Where a stream wants to hear of progress; nobody listens when `None`.
pub type ProgressSender = Option<mpsc::Sender<Progress>>;

/// What retrieval found for a question.
pub(crate) struct Found {
    pub(crate) query: String,
    pub(crate) generation: u64,
    pub(crate) hits: Vec<Hit>,
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

    async fn answer_unbounded(
        self: &Arc<Self>,
        caller: &Caller,
        request: AnswerRequest,
        progress: ProgressSender,
    ) -> Result<Answer, AnswerError> {
        let started = Instant::now();
        let ask = self.check(request).await?;
        if ask.request.mode == Mode::ClosedBook {
            let draught = self.answer_from_memory(caller, &ask, &progress).await?;
            return Ok(finish(draught, &ask, None, started));
        }
        let found = self.find(caller, &ask).await?;
        let retrieval = started.elapsed();
        report_retrieval(&progress, &found).await;
        let mut draught = match ask.request.mode {
            Mode::Extractive => {
                self.extract(caller, &ask, &found, "extractive".to_owned())
                    .await?
            }
            Mode::Auto => match self.ground(caller, &ask, &found, &progress).await {
                Err(error) => self.stand_in(caller, &ask, &found, error).await?,
                Ok(draught) => draught,
            },
            Mode::Grounded | Mode::ClosedBook => {
                self.ground(caller, &ask, &found, &progress).await?
            }
        };
        draught.timings.retrieval = TimingsMs::of(retrieval);
        Ok(finish(draught, &ask, Some(found), started))
    }

    async fn check(self: &Arc<Self>, request: AnswerRequest) -> Result<Arc<Ask>, AnswerError> {
        let quoin = Arc::clone(self);
        let ask =
            tokio::task::spawn_blocking(move || Ask::checked(request, quoin.config())).await??;
        Ok(Arc::new(ask))
    }

    async fn find(self: &Arc<Self>, caller: &Caller, ask: &Ask) -> Result<Found, AnswerError> {
        let request = SearchRequest {
            filters: ask.request.filters.clone().unwrap_or_default(),
            ..SearchRequest::new(ask.query(), ask.top_k)
        };
        let query = request.query.clone();
        let retriever = Arc::clone(self.retriever());
        let access = caller.access.clone();
        let result = tokio::task::spawn_blocking(move || retriever.search(&request, &access))
            .await?
            .map_err(AnswerError::Retrieval)?;
        Ok(Found {
            query,
            generation: result.generation,
            hits: result.hits,
        })
    }

    /// The model answers from the passages found.
    async fn ground(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        found: &Found,
        progress: &ProgressSender,
    ) -> Result<Draught, AnswerError> {
        let served = self
            .served(ask.request.model.as_deref(), found.generation)
            .await?;
        let release = served.info.clone();
        if found.hits.is_empty() {
            return Ok(Draught::abstained(release));
        }
        let Generated {
            cited,
            answer,
            confidence,
            usage,
            mut timings,
            passages,
            left_out,
            output,
        } = self
            .generate_grounded(&served, ask, &found.hits, progress)
            .await?;
        let verifying = Instant::now();
        let citations = self.standing(caller, cited).await?;
        timings.verification += TimingsMs::of(verifying.elapsed());
        let answer = if citations.is_empty() {
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
            shown: passages
                .iter()
                .map(|passage| trace_passage(&passage.hit))
                .collect(),
            left_out,
            output: Some(output),
        })
    }

    /// The best sentences, when the model cannot answer now and they can satisfy the schema; else the model's error.
    async fn stand_in(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        found: &Found,
        error: AnswerError,
    ) -> Result<Draught, AnswerError> {
        let Some(reason) = error.fallback_reason() else {
            return Err(error);
        };
        if ask.schema.validate(&Value::from("")).is_err() {
            return Err(error);
        }
        tracing::warn!(
            reason,
            error = &error as &dyn std::error::Error,
            "extractive answer instead of a generated one"
        );
        self.extract(caller, ask, found, format!("fallback:{reason}"))
            .await
    }

    async fn extract(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        found: &Found,
        route: String,
    ) -> Result<Draught, AnswerError> {
        let started = Instant::now();
        let (retriever, hits, asked) = (
            Arc::clone(self.retriever()),
            found.hits.clone(),
            Arc::clone(ask),
        );
        let extracted = tokio::task::spawn_blocking(move || {
            extractive::extract(
                &retriever,
                &asked.request.question,
                &hits,
                asked.max_citations,
            )
        })
        .await?;
        let best = extracted.first().map_or(0.0, |one| one.score);
        let mut draught = Draught::abstained(self.extractive_release(found.generation, route));
        draught.confidence = f64::from(best.clamp(0.0, 1.0));
        draught.shown = found.hits.iter().map(trace_passage).collect();
        if best >= self.config().answers.extractive_threshold {
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
                ask.schema
                    .validate(&value)
                    .map_err(|rule| AnswerError::Invalid {
                        param: "schema",
                        message: format!(
                            "`schema` must allow a string when `mode` is `extractive` ({rule})"
                        ),
                    })?;
                draught.answer = Some((value, citations));
            }
        }
        draught.timings.generation = TimingsMs::of(started.elapsed());
        Ok(draught)
    }

    /// The last gate: see [`verify::still_standing`].
    async fn standing(
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
        }
    }
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
        id: format!("ans_{}", Uuid::now_v7().simple()),
        status,
        answer,
        citations,
        confidence: draught.confidence,
        release: draught.release,
        usage: draught.usage,
        timings_ms: timings,
        trace,
    }
}

fn joined(citations: &[Citation]) -> String {
    citations
        .iter()
        .map(|citation| citation.quote.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn trace_passage(hit: &Hit) -> TracePassage {
    TracePassage {
        document: hit.document.to_string(),
        start: hit.start,
        end: hit.end,
        score: hit.score,
    }
}

async fn report_retrieval(progress: &ProgressSender, found: &Found) {
    if let Some(sender) = progress {
        let event = Progress::Retrieval {
            generation: found.generation,
            hits: found.hits.iter().map(trace_passage).collect(),
        };
        // A receiver that is gone has dropped this future too.
        let _ = sender.send(event).await;
    }
}
