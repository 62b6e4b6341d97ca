//! Answers from passages that somebody names, instead of from what a search finds: what evaluation asks to tell a failure of
//! retrieval from one of the model.

use std::sync::Arc;
use std::time::Instant;

use quoin_retriever::Hit;

use super::error::AnswerError;
use super::routed::By;
use super::types::{Answer, AnswerRequest};
use super::{Answerer, Found, Listener, finish};
use crate::caller::Caller;
use crate::service::Quoin;

impl Quoin {
    /// As [`Quoin::answer`], from these passages and their neighbours. `hits` are what `caller` may read.
    ///
    /// # Errors
    /// As [`Quoin::answer`].
    pub(crate) async fn answer_from(
        self: &Arc<Self>,
        caller: &Caller,
        request: AnswerRequest,
        hits: Vec<Hit>,
    ) -> Result<Answer, AnswerError> {
        let started = Instant::now();
        let ask = self.check(request).await?;
        let answerer = self.choose(&ask, By::Request).await?;
        let found = Found {
            query: ask.request.question.clone(),
            generation: self.retriever().generation(),
            hits,
            confidence: 1.0,
            is_given: true,
        };
        let draught = match &answerer {
            Answerer::Sentences(release) => self.extract(caller, &ask, &found, release).await?,
            Answerer::Model(served) => {
                let listener = Listener::new(None);
                self.ground(caller, &ask, served, &found, &listener).await?
            }
        };
        Ok(finish(draught, &ask, Some(found), started))
    }
}
