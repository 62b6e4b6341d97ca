//! One request, top to bottom: search, prompt, grammar, generation, verification.

pub mod ask;
pub mod citable;
pub mod draft;
pub mod error;
pub mod extractive;
pub mod generate;
pub mod grammar;
pub mod prompt;
mod rewriting;
pub mod schema;
pub mod standalone;
pub mod types;
pub mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use quoin_adapters::rollout::{Arm, Side};
use quoin_retriever::{Hit, SearchRequest};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::answer::ask::Ask;
use crate::answer::error::AnswerError;
use crate::answer::generate::{Generated, Grounding};
use crate::answer::types::{
    Answer, AnswerRequest, Citation, Mode, Progress, ReleaseInfo, Status, TimingsMs, Trace,
    TracePassage, UsageInfo,
};
use crate::caller::Caller;
use crate::release::{ChosenRelease, Route, Served};
use crate::rollouts::{Assigned, observation, unit};
use crate::service::Quoin;

/// Where a stream wants to hear of progress; nobody listens when `None`.
pub type ProgressSender = Option<mpsc::Sender<Progress>>;

/// Who hears of the progress of one answer, and what was heard.
pub(crate) struct Listener {
    sender: ProgressSender,
    told_of_retrieval: AtomicBool,
    /// A client has seen a part of an answer, which cannot be taken back.
    shown: AtomicBool,
}

impl Listener {
    pub(crate) const fn new(sender: ProgressSender) -> Self {
        Self {
            sender,
            told_of_retrieval: AtomicBool::new(false),
            shown: AtomicBool::new(false),
        }
    }

    pub(crate) const fn listens(&self) -> bool {
        self.sender.is_some()
    }

    pub(crate) async fn show(&self, text: String, of_string: bool) {
        self.shown.store(true, Ordering::Relaxed);
        self.send(Progress::Delta { text, of_string }).await;
    }

    async fn retrieval(&self, found: &Found, release: ReleaseInfo) {
        if self.listens() && !self.told_of_retrieval.swap(true, Ordering::Relaxed) {
            self.send(Progress::Retrieval {
                generation: found.generation,
                release,
                hits: found.hits.iter().map(trace_passage).collect(),
            })
            .await;
        }
    }

    async fn send(&self, progress: Progress) {
        if let Some(sender) = &self.sender {
            // A receiver that is gone has dropped this future too.
            let _ = sender.send(progress).await;
        }
    }
}

/// Which release is to answer.
#[derive(Clone, Copy)]
enum By<'a> {
    /// The one that the request names.
    Request,
    /// This one, or the best sentences in its stead where the request allows it.
    Side(&'a Side, &'static str),
    /// This one and none else.
    Only(&'a Side, &'static str),
}

/// What retrieval found for a question.
pub(crate) struct Found {
    pub(crate) query: String,
    pub(crate) generation: u64,
    pub(crate) hits: Vec<Hit>,
    /// How likely it is that the first hit answers.
    pub(crate) confidence: f32,
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

    /// Answers as one release, unseen.
    ///
    /// # Errors
    /// As [`Quoin::answer`]; no other release stands in.
    pub(crate) async fn answer_as(
        self: &Arc<Self>,
        caller: &Caller,
        request: AnswerRequest,
        side: &Side,
    ) -> Result<Answer, AnswerError> {
        let limit = self.config().request_timeout();
        let answering = async {
            let ask = self.check(request).await?;
            let listener = Listener::new(None);
            self.answer_checked(caller, &ask, By::Only(side, "shadow"), &listener)
                .await
        };
        let answered = tokio::time::timeout(limit, answering).await;
        answered.map_err(|_| AnswerError::Timeout { limit })?
    }

    async fn answer_unbounded(
        self: &Arc<Self>,
        caller: &Caller,
        request: AnswerRequest,
        progress: ProgressSender,
    ) -> Result<Answer, AnswerError> {
        let ask = self.check(request).await?;
        let listener = Listener::new(progress);
        match self.assigned(caller, &ask)? {
            Some(assigned) => {
                self.answer_assigned(caller, &ask, &assigned, &listener)
                    .await
            }
            None => {
                self.answer_checked(caller, &ask, By::Request, &listener)
                    .await
            }
        }
    }

    /// The arm of the running rollout that a request belongs to: one that does not say which model it wants, and wants one.
    fn assigned(&self, caller: &Caller, ask: &Ask) -> Result<Option<Assigned>, AnswerError> {
        let is_routed = Route::parse(ask.request.model.as_deref())? == Route::Routed;
        if !is_routed || ask.request.mode == Mode::Extractive {
            return Ok(None);
        }
        let session = ask.request.session.as_deref();
        let session = session.or(caller.session.as_deref());
        let request = ask.request.answer_id.clone().unwrap_or_else(new_answer_id);
        let unit = unit(caller, session, &request);
        Ok(self.rollouts().assign(&unit, caller.arm))
    }

    /// Answers for an arm of a rollout, notes how that went, and lets the champion answer where the canary cannot.
    async fn answer_assigned(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &Arc<Ask>,
        assigned: &Assigned,
        listener: &Listener,
    ) -> Result<Answer, AnswerError> {
        let side = &assigned.side;
        let (by, limit) = match assigned.arm {
            Arm::Stable => (By::Side(side, "stable"), self.config().request_timeout()),
            // So that one that never answers leaves time for another.
            Arm::Canary => (
                By::Only(side, "canary"),
                self.config().request_timeout() / 2,
            ),
        };
        let answering = self.answer_checked(caller, ask, by, listener);
        let result = tokio::time::timeout(limit, answering).await;
        let mut result = result.unwrap_or(Err(AnswerError::Timeout { limit }));
        let observed = observation(&result);
        if let Some(observed) = observed {
            assigned.note(observed);
            self.shadow(caller, &ask.request, assigned, observed);
        }
        if let Err(error) = &result
            && let Some(stable) = assigned.stand_in()
            && (error.fallback_reason().is_some()
                || observed.is_some_and(|observed| observed.engine_error))
            && !listener.shown.load(Ordering::Relaxed)
        {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the canary cannot answer, the champion does"
            );
            result = self
                .answer_checked(caller, ask, By::Side(&stable, "fallback:canary"), listener)
                .await;
        }
        if let Ok(answer) = &mut result {
            answer.assigned = assigned.to_json();
        }
        result
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
                    Err(error) if may_stand_in(ask, by) => {
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
            Err(error) if may_stand_in(ask, by) => {
                self.stand_in(ask, error).map(Answerer::Sentences)
            }
            Err(error) => Err(error),
        }
    }

    async fn model(&self, ask: &Ask, by: By<'_>) -> Result<Served, AnswerError> {
        match by {
            By::Request => self.served(ask.request.model.as_deref()).await,
            By::Side(side, route) | By::Only(side, route) => {
                self.served_by(side.adapter.as_ref(), route).await
            }
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
        if found.hits.is_empty() || found.confidence < self.config().answers.retrieval_threshold {
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
        } = Grounding {
            quoin: self,
            caller,
            ask,
            served,
            query: &found.query,
            hits: &hits,
            listener,
        }
        .generate()
        .await?;
        let verifying = Instant::now();
        let resolved = cited.len();
        let citations = self.standing(caller, cited).await?;
        let quote_failed = citations.len() < resolved;
        timings.verification += TimingsMs::of(verifying.elapsed());
        // An answer was written on all that it cites: it does not outlive a part of it.
        let answer = if citations.is_empty() || citations.len() < resolved {
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

/// Whether the best sentences may be the answer where the model cannot give one.
fn may_stand_in(ask: &Ask, by: By<'_>) -> bool {
    ask.request.mode == Mode::Auto && !matches!(by, By::Only(..))
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
