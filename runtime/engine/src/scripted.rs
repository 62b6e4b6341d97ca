//! A generator that says what a script says: for tests of what is built on [`Generator`]. It keeps the same contract as a
//! real model (`tests/contract.rs` runs on both).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use llguidance::{Matcher, api::TopLevelGrammar, toktrie::ApproximateTokEnv};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    Constraint, EngineError, Event, EventStream, Finish, GenerationRequest, Generator,
    ModelDescription, Occupancy, Outcome, Part, Timings, Usage,
    queue::{Place, Queue},
    schema,
};

/// What the model says: chosen for each request by what it was asked.
type Script = dyn Fn(&GenerationRequest) -> String + Send + Sync;

/// One token a word: a run of text up to and including a space.
pub struct ScriptedGenerator {
    description: ModelDescription,
    script: Box<Script>,
    next: Mutex<VecDeque<String>>,
    token_time: Duration,
    time_limit: Duration,
    queue: Arc<Queue>,
    generated: Arc<AtomicU64>,
}

impl ScriptedGenerator {
    #[must_use]
    pub fn new(script: impl Fn(&GenerationRequest) -> String + Send + Sync + 'static) -> Self {
        Self {
            description: ModelDescription {
                name: "scripted".into(),
                base_digest: crate::digest::of_bytes(b"scripted"),
                adapter_digest: None,
                context_length: 4096,
                architecture: "scripted".into(),
                device: "cpu".into(),
                quantization: None,
                template_tokens: 0,
            },
            script: Box::new(script),
            next: Mutex::default(),
            token_time: Duration::ZERO,
            time_limit: Duration::from_mins(1),
            queue: Queue::new(1, 16),
            generated: Arc::default(),
        }
    }

    /// Says the texts in turn, then nothing.
    #[must_use]
    pub fn saying<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let generator = Self::new(|_| String::new());
        generator
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(texts.into_iter().map(Into::into));
        generator
    }

    #[must_use]
    pub fn with_context_length(mut self, tokens: usize) -> Self {
        self.description.context_length = tokens;
        self
    }

    #[must_use]
    pub fn with_token_time(mut self, time: Duration) -> Self {
        self.token_time = time;
        self
    }

    #[must_use]
    pub fn with_queue(mut self, max_running: usize, queue_length: usize) -> Self {
        self.queue = Queue::new(max_running, queue_length);
        self
    }

    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.description.name);
        self
    }
}

#[async_trait]
impl Generator for ScriptedGenerator {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn count_tokens(&self, parts: &[Part]) -> usize {
        let text = |part: &Part| match part {
            Part::Trusted(text) | Part::Data(text) => words(text).len(),
        };
        parts.iter().map(text).sum()
    }

    fn check(&self, constraint: &Constraint) -> Result<(), EngineError> {
        matcher(constraint).map(|_| ())
    }

    fn occupancy(&self) -> Occupancy {
        Occupancy {
            running: self.queue.running(),
            waiting: self.queue.waiting(),
            generated_tokens: self.generated.load(Ordering::SeqCst),
        }
    }

    async fn generate(&self, request: GenerationRequest) -> Result<EventStream, EngineError> {
        let arrival = Instant::now();
        let prompt_tokens = request
            .messages
            .iter()
            .map(|message| self.count_tokens(&message.parts))
            .sum();
        let limit = self.description.context_length.saturating_sub(1);
        if request.max_tokens == 0 || prompt_tokens == 0 {
            return Err(EngineError::InvalidRequest {
                reason: "nothing to generate".into(),
            });
        }
        if prompt_tokens > limit {
            return Err(EngineError::PromptTooLong {
                tokens: prompt_tokens,
                limit,
            });
        }
        let matcher = matcher(&request.constraint)?;
        let place = self.queue.enter()?;
        let said = self
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let speech = Speech {
            text: said.unwrap_or_else(|| (self.script)(&request)),
            matcher,
            prompt_tokens,
            max_tokens: request
                .max_tokens
                .min(self.description.context_length - prompt_tokens),
            token_time: self.token_time,
            time_limit: request
                .time_limit
                .unwrap_or(Duration::MAX)
                .min(self.time_limit),
            arrival,
            generated: Arc::clone(&self.generated),
        };
        let (events, stream) = mpsc::unbounded_channel();
        tokio::spawn(speech.run(place, events));
        Ok(Box::pin(UnboundedReceiverStream::new(stream)))
    }
}

struct Speech {
    text: String,
    matcher: Option<Matcher>,
    prompt_tokens: usize,
    max_tokens: usize,
    token_time: Duration,
    time_limit: Duration,
    arrival: Instant,
    generated: Arc<AtomicU64>,
}

impl Speech {
    async fn run(self, place: Place, events: UnboundedSender<Result<Event, EngineError>>) {
        let limit = self.time_limit;
        tokio::select! {
            () = events.closed() => (),
            () = tokio::time::sleep(limit) => { let _ = events.send(Err(EngineError::TimeLimit { limit })); }
            result = self.speak(place, &events) => {
                if let Err(error) = result {
                    let _ = events.send(Err(error));
                }
            }
        }
    }

    async fn speak(
        mut self,
        mut place: Place,
        events: &UnboundedSender<Result<Event, EngineError>>,
    ) -> Result<(), EngineError> {
        place.admitted().await?;
        let queued = self.arrival.elapsed();
        let _ = events.send(Ok(Event::Started {
            prompt_tokens: self.prompt_tokens,
            queued,
        }));
        let mut text = String::new();
        let mut usage = Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens: 0,
        };
        let mut finish = Finish::Stop;
        for word in words(&self.text) {
            tokio::time::sleep(self.token_time).await;
            if let Some(matcher) = &mut self.matcher {
                let bytes: Vec<u32> = word.bytes().map(u32::from).collect();
                let consumed = matcher.try_consume_tokens(&bytes).unwrap_or(0);
                if consumed < bytes.len() {
                    return Err(EngineError::Generation {
                        reason: format!("the script breaks the grammar at `{word}`"),
                    });
                }
            }
            text.push_str(word);
            usage.completion_tokens += 1;
            self.generated.fetch_add(1, Ordering::SeqCst);
            let _ = events.send(Ok(Event::Delta(word.to_owned())));
            if usage.completion_tokens == self.max_tokens {
                finish = Finish::Length;
                break;
            }
        }
        let timings = Timings {
            queued,
            first_token: self.token_time,
            total: self.arrival.elapsed(),
        };
        let _ = events.send(Ok(Event::Finished(Outcome {
            text,
            finish,
            usage,
            timings,
            mean_logprob: None,
        })));
        Ok(())
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

fn matcher(constraint: &Constraint) -> Result<Option<Matcher>, EngineError> {
    let Constraint::Lark(grammar) = constraint else {
        return Ok(None);
    };
    let refused = |reason: String| EngineError::UnsupportedConstraint { reason };
    let environment = ApproximateTokEnv::single_byte_env();
    let factory =
        schema::terse_factory(&environment).map_err(|error| refused(error.to_string()))?;
    schema::compile(&factory, TopLevelGrammar::from_lark(grammar.clone()))
        .map(Some)
        .map_err(refused)
}
