//! [`Generator`] on a loaded mistralrs model: prompt, admission, decoding, time limit, cancellation.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::StreamExt;
use llguidance::Matcher;
use mistralrs::{MistralRs, NormalRequest, Request, RequestMessage, SamplingParams};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{
    load::{self, Loaded, LocalSource},
    output::Output,
    sampler::{Choosing, Responses, Sampler, Step},
    vocabulary::Vocabulary,
};
use crate::{
    Constraint, EngineError, EngineSettings, Event, EventStream, GenerationRequest, Generator,
    Message, ModelDescription, Occupancy, Part, Role, Sampling,
    in_flight::InFlight,
    queue::{Place, Queue},
    template::{ChatTemplate, Piece},
    tokens::SegmentTokenizer,
};

pub(crate) struct MistralGenerator {
    model: Arc<Model>,
    in_flight: InFlight,
}

/// Held by every request: the model lives until the last of them has ended.
struct Model {
    mistral: Arc<MistralRs>,
    description: ModelDescription,
    template: ChatTemplate,
    tokenizer: SegmentTokenizer,
    vocabulary: Arc<Vocabulary>,
    queue: Arc<Queue>,
    time_limit: Duration,
    generated: Arc<AtomicU64>,
}

/// A request, ready to be decoded.
pub(super) struct Decoding {
    pub prompt: Vec<u32>,
    pub matcher: Option<Matcher>,
    pub sampling: Sampling,
    pub max_tokens: usize,
    /// When the caller asked.
    pub arrival: Instant,
    pub time_limit: Duration,
}

type Events = UnboundedSender<Result<Event, EngineError>>;

impl MistralGenerator {
    /// Loads a model and has it produce a token, so that one which cannot is refused here.
    pub async fn load(
        name: &str,
        source: LocalSource,
        settings: &EngineSettings,
        in_flight: InFlight,
    ) -> Result<Self, EngineError> {
        let loaded = load::load(name, source, settings).await?;
        let model = Arc::new(Model::new(name, loaded, settings)?);
        let generator = Self { model, in_flight };
        generator.warm_up().await?;
        Ok(generator)
    }

    async fn warm_up(&self) -> Result<(), EngineError> {
        let request = Decoding {
            prompt: vec![0],
            matcher: None,
            sampling: Sampling::Greedy,
            max_tokens: 1,
            arrival: Instant::now(),
            time_limit: Duration::MAX,
        };
        let mut events = self.start(request)?;
        while let Some(event) = events.next().await {
            let failed = |reason: String| EngineError::Load {
                name: self.model.description.name.clone(),
                reason,
            };
            event.map_err(|error| failed(error.to_string()))?;
        }
        self.model.generated.store(0, Ordering::SeqCst);
        Ok(())
    }

    fn start(&self, request: Decoding) -> Result<EventStream, EngineError> {
        let place = self.model.queue.enter()?;
        let (events, stream) = mpsc::unbounded_channel();
        let model = Arc::clone(&self.model);
        self.in_flight
            .spawn(async move { model.serve(request, place, events).await });
        Ok(Box::pin(UnboundedReceiverStream::new(stream)))
    }
}

#[async_trait]
impl Generator for MistralGenerator {
    fn description(&self) -> &ModelDescription {
        &self.model.description
    }

    fn count_tokens(&self, parts: &[Part]) -> usize {
        let count = |part: &Part| {
            self.model
                .tokenizer
                .encode(part, false)
                .map_or(0, |ids| ids.len())
        };
        parts.iter().map(count).sum()
    }

    fn check(&self, constraint: &Constraint) -> Result<(), EngineError> {
        self.model.vocabulary.matcher(constraint).map(|_| ())
    }

    fn occupancy(&self) -> Occupancy {
        Occupancy {
            running: self.model.queue.running(),
            waiting: self.model.queue.waiting(),
            generated_tokens: self.model.generated.load(Ordering::SeqCst),
        }
    }

    async fn generate(&self, request: GenerationRequest) -> Result<EventStream, EngineError> {
        let arrival = Instant::now();
        let model = Arc::clone(&self.model);
        // A long prompt takes a while to tokenise, a grammar to compile.
        let prepared = tokio::task::spawn_blocking(move || model.prepare(&request, arrival)).await;
        let decoding = prepared.map_err(|error| EngineError::Generation {
            reason: error.to_string(),
        })??;
        self.start(decoding)
    }
}

impl Model {
    fn new(name: &str, loaded: Loaded, settings: &EngineSettings) -> Result<Self, EngineError> {
        let unusable = |reason: String| EngineError::Load {
            name: name.to_owned(),
            reason: format!("its tokenizer cannot be used: {reason}"),
        };
        let tokenizer = SegmentTokenizer::new(&loaded.tokenizer).map_err(unusable)?;
        let vocabulary = Vocabulary::new(&loaded.tokenizer, loaded.ends).map_err(unusable)?;
        let vocabulary = Arc::new(vocabulary);
        let context_length = settings
            .context_length
            .unwrap_or(usize::MAX)
            .min(loaded.model_length);
        let mut description = ModelDescription {
            name: name.to_owned(),
            base_digest: loaded.base_digest,
            adapter_digest: loaded.adapter_digest,
            context_length,
            architecture: loaded.architecture,
            device: loaded.device,
            quantization: settings
                .quantization
                .map(|quantization| quantization.to_string()),
            template_tokens: 0,
        };
        let empty = [Message {
            role: Role::User,
            parts: vec![Part::Data(String::new())],
        }];
        description.template_tokens = prompt(&loaded.template, &tokenizer, &empty)?.len();
        Ok(Self {
            mistral: loaded.mistral,
            description,
            template: loaded.template,
            tokenizer,
            vocabulary,
            queue: Queue::new(settings.max_running, settings.queue_length),
            time_limit: settings.time_limit,
            generated: Arc::new(AtomicU64::new(0)),
        })
    }

    fn prepare(
        &self,
        request: &GenerationRequest,
        arrival: Instant,
    ) -> Result<Decoding, EngineError> {
        let invalid = |reason: &str| {
            Err(EngineError::InvalidRequest {
                reason: reason.to_owned(),
            })
        };
        if request.max_tokens == 0 {
            return invalid("`max_tokens` is 0");
        }
        if let Sampling::Random {
            temperature, top_p, ..
        } = request.sampling
            && !(temperature > 0.0 && temperature.is_finite() && top_p > 0.0 && top_p <= 1.0)
        {
            return invalid("`temperature` must be above 0, `top_p` above 0 and at most 1");
        }
        let prompt = prompt(&self.template, &self.tokenizer, &request.messages)?;
        if prompt.is_empty() {
            return invalid("the prompt is empty");
        }
        // At least one token must fit after the prompt.
        let limit = self.description.context_length.saturating_sub(1);
        if prompt.len() > limit {
            return Err(EngineError::PromptTooLong {
                tokens: prompt.len(),
                limit,
            });
        }
        Ok(Decoding {
            matcher: self.vocabulary.matcher(&request.constraint)?,
            sampling: request.sampling,
            max_tokens: request
                .max_tokens
                .min(self.description.context_length - prompt.len()),
            prompt,
            arrival,
            time_limit: request
                .time_limit
                .unwrap_or(Duration::MAX)
                .min(self.time_limit),
        })
    }

    /// From admission to the end. Errors go to the caller as the last event.
    async fn serve(self: Arc<Self>, request: Decoding, mut place: Place, events: Events) {
        let deadline = request.arrival.checked_add(request.time_limit);
        let limit = request.time_limit;
        let admitted = tokio::select! {
            biased;
            () = events.closed() => return,
            admitted = place.admitted() => admitted,
            () = until(deadline) => Err(EngineError::TimeLimit { limit }),
        };
        let start = Instant::now();
        if let Err(error) = admitted {
            let _ = events.send(Err(error));
            return;
        }
        if let Err(error) = self.decode(request, deadline, &events).await {
            let _ = events.send(Err(error));
        }
        place.queue().record_run(start.elapsed());
    }

    /// Returns when mistralrs has let go of the request, so that the place in the queue is truly free.
    async fn decode(
        &self,
        request: Decoding,
        deadline: Option<Instant>,
        events: &Events,
    ) -> Result<(), EngineError> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let limit = request.time_limit;
        let mut output = Output::new(&self.vocabulary, &request);
        let (mut steps, responses) = self.submit(request, &cancelled).await?;
        let mut responses = responses.lock().await;
        let _ = events.send(Ok(output.started()));
        loop {
            tokio::select! {
                biased;
                Some(step) = steps.recv() => {
                    for event in output.take(step)? {
                        let _ = events.send(Ok(event));
                    }
                }
                response = responses.recv() => return output.end(response),
                () = events.closed(), if !cancelled.load(Ordering::SeqCst) => cancelled.store(true, Ordering::SeqCst),
                () = until(deadline), if !cancelled.load(Ordering::SeqCst) && !output.finished => {
                    cancelled.store(true, Ordering::SeqCst);
                    output.finished = true;
                    let _ = events.send(Err(EngineError::TimeLimit { limit }));
                }
            }
        }
    }

    async fn submit(
        &self,
        request: Decoding,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<(UnboundedReceiver<Step>, Responses), EngineError> {
        let failed = |error: &dyn std::fmt::Debug| EngineError::Generation {
            reason: format!("the engine is gone: {error:?}"),
        };
        let (step_sender, steps) = mpsc::unbounded_channel();
        let (response_sender, responses) = mpsc::channel(4);
        let responses = Arc::new(tokio::sync::Mutex::new(responses));
        let sampler = Sampler::new(
            Choosing {
                vocabulary: Arc::clone(&self.vocabulary),
                matcher: request.matcher,
                sampling: request.sampling,
                steps: step_sender,
            },
            Arc::clone(cancelled),
            Arc::clone(&self.generated),
            Arc::clone(&responses),
        );
        // Temperature 0: take the one candidate that the sampler leaves.
        let sampling = SamplingParams {
            temperature: Some(0.0),
            max_len: Some(request.max_tokens),
            ..SamplingParams::deterministic()
        };
        let id = self.mistral.next_request_id();
        let message = RequestMessage::CompletionTokens(request.prompt);
        let mut normal =
            NormalRequest::new_simple(message, sampling, response_sender, id, None, None);
        normal.logits_processors = Some(vec![Arc::new(sampler)]);
        let sender = self
            .mistral
            .get_sender(None)
            .map_err(|error| failed(&error))?;
        sender
            .send(Request::Normal(Box::new(normal)))
            .await
            .map_err(|_| failed(&"closed"))?;
        Ok((steps, responses))
    }
}

/// The prompt's token ids.
fn prompt(
    template: &ChatTemplate,
    tokenizer: &SegmentTokenizer,
    messages: &[Message],
) -> Result<Vec<u32>, EngineError> {
    let mut ids = Vec::new();
    for (index, piece) in template.render(messages)?.into_iter().enumerate() {
        let encoded = match piece {
            Piece::Template(text) => tokenizer.encode(&Part::Trusted(text), index == 0)?,
            Piece::Part(part) => tokenizer.encode(part, index == 0)?,
        };
        ids.extend(encoded);
    }
    Ok(ids)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
