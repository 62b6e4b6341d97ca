//! The shadow: the canary answers what the champion has answered, unseen, and both are compared.
//!
//! After the answer is out, one at a time, and left out rather than queued; for the same caller, through the same checks. It is
//! in no log, has no id, and takes no feedback.

use std::sync::Arc;

use quoin_adapters::rollout::{Arm, Input, Observation};

use super::answers::{Assigned, observation};
use crate::answer::types::AnswerRequest;
use crate::caller::Caller;
use crate::service::Quoin;
use crate::storage::now_ms;

impl Quoin {
    /// Lets the canary answer too, where the rollout wants it and nobody waits for a model.
    pub(crate) fn shadow(
        self: &Arc<Self>,
        caller: &Caller,
        request: &AnswerRequest,
        assigned: &Assigned,
        stable: Observation,
    ) {
        let rollouts = assigned.rollouts();
        let wanted = assigned.arm == Arm::Stable && rollouts.shadows(assigned.unit());
        if !wanted || self.loaded().waiting() > 0 {
            return;
        }
        let Ok(permit) = Arc::clone(&rollouts.0.shadow).try_acquire_owned() else {
            return;
        };
        let Some((_, canary)) = rollouts.sides() else {
            return;
        };
        let (quoin, caller, assigned) = (Arc::clone(self), caller.clone(), assigned.clone());
        let request = AnswerRequest {
            stream: false,
            trace: false,
            answer_id: None,
            ..request.clone()
        };
        tokio::spawn(async move {
            let _permit = permit;
            let result = quoin.answer_as(&caller, request, &canary).await;
            if let Some(canary) = observation(&result) {
                let pair = Input::Pair {
                    stable,
                    canary,
                    at_ms: now_ms(),
                };
                assigned.rollouts().happened(assigned.rollout(), pair);
            }
        });
    }
}
