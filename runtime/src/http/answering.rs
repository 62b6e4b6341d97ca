//! Runs one answer for a handler, as a future or as a stream's task, and records how it ended in the request log and
//! in the metrics, also when the client went away before the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::Http;
use super::error::ApiError;
use super::request_id::RequestId;
use crate::answer::new_answer_id;
use crate::answer::types::{Answer, AnswerRequest, Citation, Progress, Status, TimingsMs};
use crate::caller::Caller;
use crate::service::Quoin;
use crate::storage::RequestRecord;

/// Progress that a slow reader may be behind. More than an answer has, so that the engine never waits for a client.
const PROGRESS_QUEUE: usize = 40_000;

/// A request for an answer, with who asks and where.
pub(super) struct Asked {
    http: Http,
    caller: Caller,
    request_id: RequestId,
    endpoint: &'static str,
    request: AnswerRequest,
}

/// What happens while an answer is made.
pub(super) enum Step {
    /// On the way.
    Progress(Progress),
    /// The end.
    Done(Box<Result<Answer, ApiError>>),
}

/// An answer that is being made by a task, which ends when this is dropped.
pub(super) struct Running {
    progress: mpsc::Receiver<Progress>,
    task: AbortOnDrop<Result<Answer, ApiError>>,
    /// For the log and the error bodies.
    pub(super) request_id: RequestId,
}

impl Asked {
    /// Gives the answer its id.
    pub(super) fn new(
        http: Http,
        caller: Caller,
        request_id: RequestId,
        endpoint: &'static str,
        mut request: AnswerRequest,
    ) -> (Self, String) {
        let answer_id = new_answer_id();
        request.answer_id = Some(answer_id.clone());
        let asked = Self {
            http,
            caller,
            request_id,
            endpoint,
            request,
        };
        (asked, answer_id)
    }

    /// Makes the answer. Dropping the future stops it.
    pub(super) async fn answer(self) -> Result<Answer, ApiError> {
        self.run(None).await
    }

    /// Makes the answer in a task of its own.
    pub(super) fn start(self) -> Running {
        let (sender, progress) = mpsc::channel(PROGRESS_QUEUE);
        let request_id = self.request_id.clone();
        Running {
            progress,
            task: AbortOnDrop(tokio::spawn(self.run(Some(sender)))),
            request_id,
        }
    }

    async fn run(self, progress: Option<mpsc::Sender<Progress>>) -> Result<Answer, ApiError> {
        let record = Record::open(&self);
        let result = self
            .http
            .quoin
            .answer(&self.caller, self.request, progress)
            .await
            .map_err(ApiError::from);
        record.close(&result);
        result
    }
}

impl Running {
    /// The next thing that happens. Not to be called again after [`Step::Done`].
    pub(super) async fn next(&mut self) -> Step {
        if let Some(progress) = self.progress.recv().await {
            return Step::Progress(progress);
        }
        let result = (&mut self.task)
            .await
            .unwrap_or_else(|ended| Err(ended.into()));
        Step::Done(Box::new(result))
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A row of the request log that is written once, at the latest when it is dropped.
struct Record {
    quoin: Arc<Quoin>,
    row: Option<RequestRecord>,
    request: Option<AnswerRequest>,
    /// What who asked may read by.
    tokens: Vec<String>,
}

impl Record {
    fn open(asked: &Asked) -> Self {
        metrics::gauge!("quoin_requests_running").increment(1);
        let with_content = asked.http.quoin.config().log.content;
        Self {
            quoin: Arc::clone(&asked.http.quoin),
            request: with_content.then(|| asked.request.clone()),
            tokens: asked.caller.access.tokens().map(str::to_owned).collect(),
            row: Some(RequestRecord {
                // Not the request's id, which the client may have chosen and may choose twice.
                id: format!("failed_{}", Uuid::now_v7().simple()),
                request_id: asked.request_id.as_str().to_owned(),
                subject: asked.caller.subject.clone(),
                endpoint: asked.endpoint,
                status: "cancelled".to_owned(),
                ..RequestRecord::default()
            }),
        }
    }

    fn close(mut self, result: &Result<Answer, ApiError>) {
        let Some(row) = self.row.as_mut() else {
            return;
        };
        let answer = match result {
            Err(error) => {
                error.code().clone_into(&mut row.status);
                return;
            }
            Ok(answer) => answer,
        };
        answer.id.clone_into(&mut row.id);
        status_word(answer.status).clone_into(&mut row.status);
        row.release = Some(answer.release.id.clone());
        row.adapter = Some(answer.release.adapter.clone());
        row.generation = Some(answer.release.generation);
        row.route = Some(answer.release.route.clone());
        row.prompt_tokens = answer.usage.prompt_tokens;
        row.completion_tokens = answer.usage.completion_tokens;
        row.assigned.clone_from(&answer.assigned);
        row.timings = serde_json::to_value(&answer.timings_ms).ok();
        row.content = self.request.take().map(|request| {
            let quote =
                |cited: &Citation| json!({"document": cited.document, "quote": cited.quote});
            let quotes: Vec<Value> = answer.citations.iter().map(quote).collect();
            json!({
                "question": request.question, "answer": answer.answer, "request": request,
                "citations": quotes, "tokens": self.tokens,
            })
        });
        row.documents = answer.documents();
        measure(answer);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        metrics::gauge!("quoin_requests_running").decrement(1);
        if let Some(row) = self.row.take() {
            metrics::counter!("quoin_answers_total", "status" => row.status.clone()).increment(1);
            self.quoin.storage().log(row);
        }
    }
}

const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Answered => "answered",
        Status::Abstained => "abstained",
    }
}

/// The adapter is the only label that grows, with the number of registered versions.
fn measure(answer: &Answer) {
    let TimingsMs {
        retrieval,
        prompt,
        grammar,
        queue,
        first_token,
        generation,
        verification,
        ..
    } = answer.timings_ms;
    let stages = [
        ("retrieval", retrieval),
        ("prompt", prompt),
        ("grammar", grammar),
        ("queue", queue),
        ("generation", generation),
        ("verification", verification),
    ];
    for (stage, ms) in stages.into_iter().filter(|(_, ms)| *ms > 0.0) {
        metrics::histogram!("quoin_stage_duration_seconds", "stage" => stage).record(ms / 1000.0);
    }
    if first_token > 0.0 {
        metrics::histogram!("quoin_time_to_first_token_seconds", "adapter" => answer.release.adapter.clone())
            .record(first_token / 1000.0);
    }
    let adapter = answer.release.adapter.clone();
    metrics::counter!("quoin_prompt_tokens_total", "adapter" => adapter.clone())
        .increment(answer.usage.prompt_tokens as u64);
    metrics::counter!("quoin_completion_tokens_total", "adapter" => adapter)
        .increment(answer.usage.completion_tokens as u64);
}
