//! Puts questions to a service or a server, several at once, and keeps their order.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use quoin_eval::Question;
use serde_json::{Value, json};

use super::cache::Cache;
use super::scoring::{Scored, Texts, score};
use crate::answer::types::{Answer, Mode};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::transport::Client;

/// Who asks how.
pub(super) struct Asker {
    pub(super) client: Arc<Client>,
    pub(super) cache: Arc<Cache>,
    pub(super) texts: Texts,
    /// `quoin`, `NAME@VERSION` or `base`.
    pub(super) model: Option<String>,
    pub(super) mode: Mode,
    pub(super) top_k: Option<usize>,
    /// Wants to know what was in the prompt.
    pub(super) trace: bool,
    /// Answers under way at once.
    pub(super) concurrency: usize,
    /// A question that names no tokens is asked as one who may read what is public.
    pub(super) as_public: bool,
}

/// One question, its answer, and what it is worth.
pub(super) struct Asked {
    pub(super) scored: Scored,
    pub(super) answer: Result<Answer, String>,
}

impl Asker {
    /// The answers in the order of the questions.
    ///
    /// # Errors
    /// A document of the data set cannot be read. A question that fails is no error here.
    pub(super) async fn ask_all(
        &self,
        questions: &[Question],
        output: Output,
    ) -> Result<Vec<Asked>, Failure> {
        let bar = output.progress(questions.len() as u64, "asking");
        let begun = Instant::now();
        let mut asked = futures::stream::iter(questions)
            .map(|question| self.ask(question))
            .buffered(self.concurrency);
        let mut all = Vec::with_capacity(questions.len());
        while let Some(one) = asked.next().await {
            all.push(one?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        tracing::info!(
            questions = all.len(),
            elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "questions asked"
        );
        Ok(all)
    }

    async fn ask(&self, question: &Question) -> Result<Asked, Failure> {
        let request = self.request(question);
        let tokens = self.tokens(question);
        let asked = json!([request, tokens]);
        let known = self.cache.get(&asked);
        let answer = if let Some(answer) = known {
            Ok(answer.clone())
        } else {
            let came = self.client.post_as(&tokens, "/v1/answers", &request).await;
            let came = came
                .map_err(|failure| failure.in_one_line())
                .and_then(|value| read(value, question));
            if let Ok(answer) = &came {
                self.cache.keep(&asked, answer);
            }
            came
        };
        let scored = score(question, &answer, &self.texts).await?;
        Ok(Asked { scored, answer })
    }

    fn request(&self, question: &Question) -> Value {
        let mut request = json!({ "question": question.question, "mode": self.mode, "seed": 0 });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                request[name] = value;
            }
        };
        set("model", self.model.as_ref().map(|model| json!(model)));
        set("top_k", self.top_k.map(|top_k| json!(top_k)));
        set("trace", self.trace.then(|| json!(true)));
        set("schema", question.schema.clone());
        request
    }

    fn tokens(&self, question: &Question) -> Vec<String> {
        if question.tokens.is_empty() && self.as_public {
            return vec![quoin_retriever::PUBLIC.to_owned()];
        }
        question.tokens.clone()
    }
}

fn read(value: Value, question: &Question) -> Result<Answer, String> {
    serde_json::from_value(value)
        .map_err(|error| format!("the answer to `{}` cannot be read: {error}", question.id))
}
