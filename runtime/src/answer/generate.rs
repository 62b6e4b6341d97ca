//! Prompt, grammar and engine for one answer: what the model wrote, with its citations resolved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use quoin_engine::{
    Constraint, EngineError, Event, Finish, GenerationRequest, Message, Outcome, Sampling,
};
use quoin_retriever::Hit;
use serde_json::Value;

use crate::answer::ask::Ask;
use crate::answer::draft::{Draft, DraftStream};
use crate::answer::error::AnswerError;
use crate::answer::grammar::{self, AnswerPart};
use crate::answer::prompt::{self, Prompt, PromptInput, PromptPassage, PromptStyle};
use crate::answer::schema::Bounds;
use crate::answer::sentences::ScoredSentences;
use crate::answer::types::{Citation, TimingsMs, UsageInfo};
use crate::answer::{Draught, Listener, verify};
use crate::caller::Caller;
use crate::release::Served;
use crate::service::Quoin;

/// What the model wrote, resolved against its prompt.
pub(crate) struct Generated {
    /// Empty when the model abstained.
    pub(crate) cited: Vec<Citation>,
    /// `None` when the citations are the answer.
    pub(crate) answer: Option<Value>,
    pub(crate) confidence: f64,
    /// Of all tries.
    pub(crate) usage: UsageInfo,
    pub(crate) timings: TimingsMs,
    pub(crate) passages: Vec<PromptPassage>,
    pub(crate) left_out: usize,
    pub(crate) output: String,
    /// It was broken off: something that it cited no longer stood.
    pub(crate) quote_failed: bool,
}

/// One question, with what was found for it, on its way through one model.
pub(crate) struct Grounding<'a> {
    pub(crate) quoin: &'a Arc<Quoin>,
    pub(crate) caller: &'a Caller,
    pub(crate) ask: &'a Arc<Ask>,
    pub(crate) served: &'a Served,
    /// What retrieval searched for.
    pub(crate) query: &'a str,
    /// Best first.
    pub(crate) hits: &'a [Hit],
    /// Somebody named the hits: no threshold withholds what they say.
    pub(crate) is_given: bool,
    pub(crate) listener: &'a Listener,
}

/// One try: how open the schema's ends are, and how many tokens it may take.
#[derive(Clone, Copy)]
struct Attempt {
    bounds: Bounds,
    max_tokens: usize,
}

/// What the tries so far came to.
#[derive(Default)]
struct Spent {
    usage: UsageInfo,
    timings: TimingsMs,
}

impl Grounding<'_> {
    /// Generates under the schema; once more, under tighter bounds, when the first try ran into the token limit.
    pub(crate) async fn generate(&self) -> Result<Generated, AnswerError> {
        let mut spent = Spent::default();
        let mut max_tokens = self.ask.max_tokens;
        for attempt in attempts(self.served, self.ask) {
            // What the caller named, not what we added for the citations.
            max_tokens = self.ask.request.max_tokens.unwrap_or(attempt.max_tokens);
            match self.attempt(attempt, &mut spent).await {
                Err(AnswerError::Incomplete { .. }) if !self.listener.has_shown() => {}
                result => return result,
            }
        }
        Err(AnswerError::Incomplete { max_tokens })
    }

    async fn attempt(&self, attempt: Attempt, spent: &mut Spent) -> Result<Generated, AnswerError> {
        let Attempt { bounds, max_tokens } = attempt;
        let fitting = Instant::now();
        let (prompt, best) = self.fit(max_tokens).await?;
        spent.timings.prompt += TimingsMs::of(fitting.elapsed());
        // A model that only points tells what answers nothing worse than the scores that it is shown.
        let is_withheld = best.is_some_and(|best| !self.quoin.says_enough(self.is_given, best));
        if prompt.passages.is_empty() || is_withheld {
            return Ok(Generated {
                confidence: 1.0 - f64::from(best.unwrap_or_default().clamp(0.0, 1.0)),
                ..Generated::abstained(spent, prompt, String::new())
            });
        }
        let building = Instant::now();
        let (citing, passages) = (self.served.citing, &prompt.passages);
        let lark = grammar::grammar(
            citing,
            passages,
            &self.answer_part(bounds),
            self.ask.max_citations,
        );
        spent.timings.grammar += TimingsMs::of(building.elapsed());
        let request = self
            .quoin
            .request(self.ask, prompt.messages.clone(), lark, max_tokens);
        let mut writing = Writing::new(self, passages);
        let Some(outcome) = run(self.served, request, Some(&mut writing)).await? else {
            return Ok(Generated {
                quote_failed: true,
                ..Generated::abstained(spent, prompt, String::new())
            });
        };
        spent.record(&outcome);
        if outcome.finish == Finish::Length {
            return Err(AnswerError::Incomplete { max_tokens });
        }
        let verifying = Instant::now();
        let (cited, answer) = match Draft::parse(citing, &outcome.text)? {
            Draft::Abstained => (Vec::new(), None),
            Draft::Answered { cited, answer } => (verify::resolve(&cited, passages)?, answer),
        };
        spent.timings.verification += TimingsMs::of(verifying.elapsed());
        Ok(Generated {
            cited,
            answer,
            confidence: confidence(&outcome),
            ..Generated::abstained(spent, prompt, outcome.text)
        })
    }

    /// The prompt, and where sentences were scored the best score.
    async fn fit(&self, max_tokens: usize) -> Result<(Prompt, Option<f32>), AnswerError> {
        let served = self.served;
        let (generator, style, citing) =
            (Arc::clone(&served.generator), served.style, served.citing);
        let (ask, query, hits) = (
            Arc::clone(self.ask),
            self.query.to_owned(),
            self.hits.to_vec(),
        );
        let (retriever, access) = (
            Arc::clone(self.quoin.retriever()),
            self.caller.access.clone(),
        );
        let prompt = tokio::task::spawn_blocking(move || {
            let scored = (style == PromptStyle::Pointer)
                .then(|| ScoredSentences::of(&retriever, &query, &access, &hits))
                .transpose()
                .map_err(AnswerError::Retrieval)?;
            let best = scored.as_ref().map(ScoredSentences::best);
            let input = PromptInput {
                request: &ask.request,
                standalone: &query,
                hits: &hits,
                scored,
                schema: ask.request.schema.as_ref().map(Value::to_string),
                style,
                citing,
                max_tokens,
            };
            Ok((Prompt::fit(generator.as_ref(), &input)?, best))
        });
        prompt.await?
    }

    /// What comes after the citations: a model that only points answers in text by citing.
    fn answer_part(&self, bounds: Bounds) -> AnswerPart {
        if self.served.style == PromptStyle::Pointer && self.ask.schema.is_plain_text() {
            AnswerPart::Citations
        } else {
            AnswerPart::Schema(self.ask.decoding_schema(bounds).clone())
        }
    }
}

impl Quoin {
    /// Answers without retrieval and without citations.
    pub(crate) async fn answer_from_memory(
        &self,
        ask: &Ask,
        served: &Served,
    ) -> Result<Draught, AnswerError> {
        let words = ask.request.schema.as_ref().map(Value::to_string);
        let mut spent = Spent::default();
        for attempt in attempts(served, ask) {
            let lark = grammar::closed_book(ask.decoding_schema(attempt.bounds));
            let messages = prompt::closed_book(&ask.request, words.as_deref(), served.style);
            let request = self.request(ask, messages, lark, attempt.max_tokens);
            let Some(outcome) = run(served, request, None).await? else {
                continue;
            };
            spent.record(&outcome);
            if outcome.finish == Finish::Length {
                continue;
            }
            let value: Value = serde_json::from_str(&outcome.text)
                .map_err(|error| AnswerError::BrokenSchema(error.to_string()))?;
            ask.schema
                .validate(&value)
                .map_err(AnswerError::BrokenSchema)?;
            let mut draught = Draught::abstained(served.release.at(self.retriever().generation()));
            draught.answer = Some((value, Vec::new()));
            draught.confidence = confidence(&outcome);
            draught.usage = spent.usage;
            draught.timings = spent.timings;
            draught.output = Some(outcome.text);
            return Ok(draught);
        }
        Err(AnswerError::Incomplete {
            max_tokens: ask.max_tokens,
        })
    }

    pub(super) fn request(
        &self,
        ask: &Ask,
        messages: Vec<Message>,
        lark: String,
        max_tokens: usize,
    ) -> GenerationRequest {
        let sampling = match ask.request.temperature {
            Some(temperature) if temperature > 0.0 => Sampling::Random {
                temperature,
                top_p: 1.0,
                seed: ask.request.seed.unwrap_or(0),
            },
            _ => Sampling::Greedy,
        };
        GenerationRequest {
            messages,
            constraint: Constraint::Lark(lark),
            sampling,
            max_tokens,
            time_limit: Some(Duration::from_millis(self.config().model.time_limit_ms)),
        }
    }
}

/// Tokens that citations may take beside the answer.
const CITATION_TOKENS: usize = 32;

/// A model that only points gets tight bounds at once: what it writes besides is short at best. Without a wish of the caller's
/// the last attempt may take half of the context.
fn attempts(served: &Served, ask: &Ask) -> Vec<Attempt> {
    let half = served.generator.description().context_length / 2;
    let asked = ask.request.max_tokens;
    let max_tokens = (ask.max_tokens + CITATION_TOKENS).min(half);
    let generous = (served.style == PromptStyle::Instruct).then_some(Attempt {
        bounds: Bounds::GENEROUS,
        max_tokens,
    });
    let tight = Attempt {
        bounds: Bounds::TIGHT,
        max_tokens: if asked.is_some() { max_tokens } else { half },
    };
    generous.into_iter().chain(std::iter::once(tight)).collect()
}

/// Passes output on while it is written, once what it cites has passed the last gate.
pub(super) struct Writing<'a> {
    grounding: &'a Grounding<'a>,
    stream: DraftStream,
    passages: &'a [PromptPassage],
}

impl<'a> Writing<'a> {
    const fn new(grounding: &'a Grounding<'a>, passages: &'a [PromptPassage]) -> Self {
        Self {
            grounding,
            stream: DraftStream::new(grounding.served.citing),
            passages,
        }
    }

    /// False when something that is cited no longer stands: nothing of the answer may be shown.
    async fn push(&mut self, delta: &str) -> Result<bool, AnswerError> {
        let Grounding {
            quoin,
            caller,
            listener,
            ..
        } = self.grounding;
        if !listener.listens() {
            return Ok(true);
        }
        if let Some(Draft::Answered { cited, .. }) = self.stream.push(delta)? {
            let citations = verify::resolve(&cited, self.passages)?;
            let resolved = citations.len();
            if quoin.standing(caller, citations).await?.len() < resolved {
                return Ok(false);
            }
        }
        let text = self.stream.take_shown();
        if !text.is_empty() {
            listener.show(text, self.stream.is_string()).await;
        }
        Ok(true)
    }
}

/// The outcome; `None` when `writing` ended it.
pub(super) async fn run(
    served: &Served,
    request: GenerationRequest,
    mut writing: Option<&mut Writing<'_>>,
) -> Result<Option<Outcome>, AnswerError> {
    let mut events = served
        .generator
        .generate(request)
        .await
        .map_err(engine_error)?;
    while let Some(event) = events.next().await {
        match event.map_err(engine_error)? {
            Event::Started { .. } => {}
            Event::Delta(text) => {
                if let Some(writing) = &mut writing
                    && !writing.push(&text).await?
                {
                    return Ok(None);
                }
            }
            Event::Finished(outcome) => return Ok(Some(outcome)),
        }
    }
    Err(AnswerError::Unavailable {
        reason: "the engine ended without a result".to_owned(),
    })
}

fn engine_error(error: EngineError) -> AnswerError {
    match error {
        EngineError::QueueFull { retry_after, .. } => AnswerError::QueueFull { retry_after },
        EngineError::TimeLimit { limit } => AnswerError::Timeout { limit },
        EngineError::UnsupportedConstraint { reason } => {
            AnswerError::UnenforceableSchema { reason }
        }
        EngineError::PromptTooLong { tokens, limit } => AnswerError::Invalid {
            param: "question",
            message: format!(
                "the prompt takes {tokens} tokens, and the model has room for {limit}: shorten `question` or `schema`"
            ),
        },
        other => AnswerError::Engine(other),
    }
}

impl Spent {
    fn record(&mut self, outcome: &Outcome) {
        self.usage.prompt_tokens += outcome.usage.prompt_tokens;
        self.usage.completion_tokens += outcome.usage.completion_tokens;
        self.timings.queue += TimingsMs::of(outcome.timings.queued);
        if self.timings.first_token == 0.0 {
            self.timings.first_token = TimingsMs::of(outcome.timings.first_token);
        }
        self.timings.generation += TimingsMs::of(outcome.timings.total);
    }
}

/// The geometric mean of the probabilities of the decoded tokens, where the engine reports them.
fn confidence(outcome: &Outcome) -> f64 {
    outcome
        .mean_logprob
        .map_or(0.5, |mean| f64::from(mean).exp().clamp(0.0, 1.0))
}

impl Generated {
    fn abstained(spent: &Spent, prompt: Prompt, output: String) -> Self {
        Self {
            cited: Vec::new(),
            answer: None,
            confidence: 0.0,
            usage: spent.usage,
            timings: spent.timings.clone(),
            passages: prompt.passages,
            left_out: prompt.left_out,
            output,
            quote_failed: false,
        }
    }
}
