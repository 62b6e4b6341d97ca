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
use crate::answer::types::{Citation, Progress, TimingsMs, UsageInfo};
use crate::answer::{Draught, ProgressSender, verify};
use crate::release::Served;
use crate::service::Quoin;

/// What the model wrote, resolved against its prompt.
pub(crate) struct Generated {
    /// Empty when the model abstained.
    pub(crate) cited: Vec<Citation>,
    /// `None` when the citations are the answer.
    pub(crate) answer: Option<Value>,
    pub(crate) confidence: f64,
    pub(crate) usage: UsageInfo,
    pub(crate) timings: TimingsMs,
    pub(crate) passages: Vec<PromptPassage>,
    pub(crate) left_out: usize,
    pub(crate) output: String,
}

/// One try: how open the schema's ends are, and how many tokens it may take.
struct Attempt {
    bounds: Bounds,
    max_tokens: usize,
}

impl Quoin {
    /// Generates under the schema; once more, under tighter bounds, when the first try ran into the token limit.
    pub(crate) async fn generate_grounded(
        self: &Arc<Self>,
        served: &Served,
        ask: &Arc<Ask>,
        hits: &[Hit],
        progress: &ProgressSender,
    ) -> Result<Generated, AnswerError> {
        let attempts = attempts(served, ask);
        let mut shown = false;
        for attempt in &attempts {
            match self
                .attempt(served, ask, hits, attempt, progress, &mut shown)
                .await
            {
                Err(AnswerError::Incomplete { .. }) if !shown => {}
                result => return result,
            }
        }
        Err(AnswerError::Incomplete {
            max_tokens: attempts
                .last()
                .map_or(ask.max_tokens, |attempt| attempt.max_tokens),
        })
    }

    async fn attempt(
        self: &Arc<Self>,
        served: &Served,
        ask: &Arc<Ask>,
        hits: &[Hit],
        attempt: &Attempt,
        progress: &ProgressSender,
        shown: &mut bool,
    ) -> Result<Generated, AnswerError> {
        let citations_answer = served.style == PromptStyle::Pointer && ask.schema.is_plain_text();
        let part = if citations_answer {
            AnswerPart::Citations
        } else {
            AnswerPart::Schema(ask.decoding_schema(attempt.bounds))
        };
        let fitting = Instant::now();
        let prompt = fit(served, ask, hits, attempt.max_tokens).await?;
        let mut timings = TimingsMs {
            prompt: TimingsMs::of(fitting.elapsed()),
            ..TimingsMs::default()
        };
        if prompt.passages.is_empty() {
            return Ok(Generated::nothing(timings, prompt.left_out));
        }
        let building = Instant::now();
        let lark = grammar::grammar(served.citing, &prompt.passages, &part, ask.max_citations);
        timings.grammar = TimingsMs::of(building.elapsed());
        let request = self.request(ask, prompt.messages.clone(), lark, attempt.max_tokens);
        let writing = Writing {
            stream: DraftStream::new(served.citing),
            passages: &prompt.passages,
            progress,
            shown,
        };
        let outcome = run(served, request, Some(writing)).await?;
        if outcome.finish == Finish::Length {
            return Err(AnswerError::Incomplete {
                max_tokens: attempt.max_tokens,
            });
        }
        let verifying = Instant::now();
        let (cited, answer) = match Draft::parse(served.citing, &outcome.text)? {
            Draft::Abstained => (Vec::new(), None),
            Draft::Answered { cited, answer } => {
                (verify::resolve(&cited, &prompt.passages)?, answer)
            }
        };
        timings.verification = TimingsMs::of(verifying.elapsed());
        record(&mut timings, &outcome);
        Ok(Generated {
            cited,
            answer,
            confidence: confidence(&outcome),
            usage: usage(&outcome),
            timings,
            passages: prompt.passages,
            left_out: prompt.left_out,
            output: outcome.text,
        })
    }

    /// Answers without retrieval and without citations.
    pub(crate) async fn answer_from_memory(&self, ask: &Ask) -> Result<Draught, AnswerError> {
        let served = self.served(ask.request.model.as_deref()).await?;
        let words = ask.request.schema.as_ref().map(Value::to_string);
        for attempt in attempts(&served, ask) {
            let lark = grammar::closed_book(&ask.decoding_schema(attempt.bounds));
            let messages = prompt::closed_book(&ask.request, words.as_deref(), served.style);
            let request = self.request(ask, messages, lark, attempt.max_tokens);
            let outcome = run(&served, request, None).await?;
            if outcome.finish == Finish::Length {
                continue;
            }
            let value: Value = serde_json::from_str(&outcome.text)
                .map_err(|error| AnswerError::BrokenSchema(error.to_string()))?;
            ask.schema
                .validate(&value)
                .map_err(AnswerError::BrokenSchema)?;
            let mut draught = Draught::abstained(served.release.at(self.retriever().generation()));
            record(&mut draught.timings, &outcome);
            draught.answer = Some((value, Vec::new()));
            draught.confidence = confidence(&outcome);
            draught.usage = usage(&outcome);
            draught.output = Some(outcome.text);
            return Ok(draught);
        }
        Err(AnswerError::Incomplete {
            max_tokens: ask.max_tokens,
        })
    }

    fn request(
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

/// A model that only points gets tight bounds at once: what it writes besides is short at best.
fn attempts(served: &Served, ask: &Ask) -> Vec<Attempt> {
    let context = served.generator.description().context_length;
    let max_tokens = ask.max_tokens.min(context / 2);
    let generous = (served.style == PromptStyle::Instruct).then_some(Attempt {
        bounds: Bounds::GENEROUS,
        max_tokens,
    });
    let tight = Attempt {
        bounds: Bounds::TIGHT,
        max_tokens: max_tokens.max(context / 2),
    };
    generous.into_iter().chain(std::iter::once(tight)).collect()
}

async fn fit(
    served: &Served,
    ask: &Arc<Ask>,
    hits: &[Hit],
    max_tokens: usize,
) -> Result<Prompt, AnswerError> {
    let (generator, style, citing) = (Arc::clone(&served.generator), served.style, served.citing);
    let (ask, hits) = (Arc::clone(ask), hits.to_vec());
    let prompt = tokio::task::spawn_blocking(move || {
        let input = PromptInput {
            request: &ask.request,
            hits: &hits,
            schema: ask.request.schema.as_ref().map(Value::to_string),
            style,
            citing,
            max_tokens,
        };
        Prompt::fit(generator.as_ref(), &input)
    })
    .await??;
    Ok(prompt)
}

/// Passes output on while it is written, once its citations are resolved.
struct Writing<'a> {
    stream: DraftStream,
    passages: &'a [PromptPassage],
    progress: &'a ProgressSender,
    shown: &'a mut bool,
}

impl Writing<'_> {
    async fn push(&mut self, delta: &str) -> Result<(), AnswerError> {
        let Some(sender) = self.progress else {
            return Ok(());
        };
        if let Some(Draft::Answered { cited, .. }) = self.stream.push(delta)? {
            verify::resolve(&cited, self.passages)?;
        }
        let text = self.stream.take_shown();
        if !text.is_empty() {
            *self.shown = true;
            // A receiver that is gone has dropped this future too.
            let _ = sender.send(Progress::Delta { text }).await;
        }
        Ok(())
    }
}

async fn run(
    served: &Served,
    request: GenerationRequest,
    mut writing: Option<Writing<'_>>,
) -> Result<Outcome, AnswerError> {
    let mut events = served
        .generator
        .generate(request)
        .await
        .map_err(engine_error)?;
    while let Some(event) = events.next().await {
        match event.map_err(engine_error)? {
            Event::Started { .. } => {}
            Event::Delta(text) => {
                if let Some(writing) = &mut writing {
                    writing.push(&text).await?;
                }
            }
            Event::Finished(outcome) => return Ok(outcome),
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

fn record(timings: &mut TimingsMs, outcome: &Outcome) {
    timings.queue = TimingsMs::of(outcome.timings.queued);
    timings.first_token = TimingsMs::of(outcome.timings.first_token);
    timings.generation = TimingsMs::of(outcome.timings.total);
}

const fn usage(outcome: &Outcome) -> UsageInfo {
    UsageInfo {
        prompt_tokens: outcome.usage.prompt_tokens,
        completion_tokens: outcome.usage.completion_tokens,
    }
}

/// The geometric mean of the probabilities of the decoded tokens, where the engine reports them.
fn confidence(outcome: &Outcome) -> f64 {
    outcome
        .mean_logprob
        .map_or(0.5, |mean| f64::from(mean).exp().clamp(0.0, 1.0))
}

impl Generated {
    fn nothing(timings: TimingsMs, left_out: usize) -> Self {
        Self {
            cited: Vec::new(),
            answer: None,
            confidence: 0.0,
            usage: UsageInfo::default(),
            timings,
            passages: Vec::new(),
            left_out,
            output: String::new(),
        }
    }
}
