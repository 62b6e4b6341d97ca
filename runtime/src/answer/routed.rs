//! By which release a request is answered: as it says itself, or by the arm of a rollout that it belongs to; and what becomes of
//! it when that one cannot answer.

use std::sync::Arc;

use quoin_adapters::rollout::{Arm, Side};

use super::ask::Ask;
use super::error::AnswerError;
use super::types::{Answer, AnswerRequest, Mode};
use super::{Listener, ProgressSender, new_answer_id};
use crate::caller::Caller;
use crate::release::{Route, Served};
use crate::rollouts::{Assigned, observation, unit};
use crate::service::Quoin;

/// Which release is to answer.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// The one that the request names.
    Request,
    /// This one, or the best sentences in its stead where the request allows it.
    Side(&'a Side, &'static str),
    /// This one and none else.
    Only(&'a Side, &'static str),
}

impl By<'_> {
    /// Whether the best sentences may be the answer where the model cannot give one.
    pub(super) fn may_be_stood_in_for(self, ask: &Ask) -> bool {
        ask.request.mode == Mode::Auto && !matches!(self, Self::Only(..))
    }
}

impl Quoin {
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

    /// Answers by the arm of the running rollout that the request belongs to, or as the request says.
    pub(super) async fn answer_unbounded(
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
            && !listener.has_shown()
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

    pub(super) async fn model(&self, ask: &Ask, by: By<'_>) -> Result<Served, AnswerError> {
        match by {
            By::Request => self.served(ask.request.model.as_deref()).await,
            By::Side(side, route) | By::Only(side, route) => {
                self.served_by(side.adapter.as_ref(), route).await
            }
        }
    }
}
