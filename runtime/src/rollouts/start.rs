//! Starting a rollout: the new release is verified, loaded and has answered once before anybody is answered by it.

use std::sync::Arc;

use quoin_adapters::rollout::{Gate, Plan, Rollout, Side, Status};
use quoin_adapters::{AdapterId, Alias, AliasMove};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Live, RolloutRefusal, Rollouts, save};
use crate::answer::error::AnswerError;
use crate::answer::types::AnswerRequest;
use crate::caller::Caller;
use crate::service::Quoin;
use crate::storage::{Saved, now_ms};

/// What is asked of a model to see that it answers.
const WARM_UP: &str = "Does this answer?";

/// A rollout to start.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// `NAME@VERSION`, or `base` for the base model without an adapter.
    pub adapter: String,
    /// How it goes; what is left out has its default.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub plan: Plan,
    /// Why it may start without a passed gate.
    #[serde(default)]
    pub force: Option<String>,
}

impl Quoin {
    /// Starts a rollout on `champion`, once the new release is loaded and has answered.
    pub(crate) async fn start_rollout(
        self: &Arc<Self>,
        caller: &Caller,
        request: StartRequest,
    ) -> Result<Status, RolloutRefusal> {
        let rollouts = self.rollouts();
        let _one_at_a_time = rollouts.0.deciding.lock().await;
        rollouts.refuse_to_move(&Alias::champion())?;
        request.plan.check()?;
        let canary = AdapterId::parse_or_base(&request.adapter)?;
        let stable = self.registry().aliases()?.get(&Alias::champion()).cloned();
        if stable == canary {
            return Err(RolloutRefusal::Champion(request.adapter));
        }
        let stable = self.side(stable).await?;
        let canary = self.side(canary).await?;
        let gate = self.gate(caller, &canary, request.force).await?;
        self.warm_up(caller, &canary).await?;
        let now = now_ms();
        let id = format!("rol_{}", Uuid::now_v7().simple());
        let (rollout, transitions) = Rollout::start(
            id,
            Alias::champion(),
            stable,
            canary.clone(),
            request.plan,
            gate,
            now,
        )?;
        let saved = Saved {
            rollout,
            sequence: 0,
        };
        let save = save(saved.clone(), transitions, now);
        let status = save.point.clone();
        rollouts.0.storage.save_rollout(save).await?;
        *rollouts.lock() = Some(Live::new(saved));
        self.loaded().pin(rollouts.pinned());
        rollouts.name_challenger(canary.adapter).await;
        Ok(status)
    }

    /// A release, with its model in memory.
    async fn side(self: &Arc<Self>, adapter: Option<AdapterId>) -> Result<Side, RolloutRefusal> {
        let serving = async {
            if let Some(id) = &adapter {
                // Also where requests do not wait for it.
                self.loaded().adapted(id).await?;
            }
            self.served_by(adapter.as_ref(), "pinned").await
        };
        match serving.await {
            Ok(served) => Ok(Side {
                release: served.release.digest(),
                adapter,
            }),
            Err(error) => Err(cannot_answer(adapter.as_ref(), &error)),
        }
    }

    async fn gate(
        self: &Arc<Self>,
        caller: &Caller,
        canary: &Side,
        force: Option<String>,
    ) -> Result<Gate, RolloutRefusal> {
        let (quoin, by, canary) = (Arc::clone(self), caller.subject.clone(), canary.clone());
        let found = tokio::task::spawn_blocking(move || {
            super::gate::gate(quoin.registry(), &canary, force, &by)
        });
        found.await.map_err(|error| RolloutRefusal::CannotAnswer {
            adapter: String::new(),
            reason: error.to_string(),
        })?
    }

    /// The first answer of a model is slower than the others, and shows that it can answer.
    async fn warm_up(
        self: &Arc<Self>,
        caller: &Caller,
        canary: &Side,
    ) -> Result<(), RolloutRefusal> {
        let request = AnswerRequest::asking(WARM_UP);
        let answered = self.answer_as(caller, request, canary).await;
        answered
            .map(drop)
            .map_err(|error| cannot_answer(canary.adapter.as_ref(), &error))
    }
}

fn cannot_answer(adapter: Option<&AdapterId>, error: &AnswerError) -> RolloutRefusal {
    RolloutRefusal::CannotAnswer {
        adapter: AdapterId::or_base(adapter),
        reason: error.to_string(),
    }
}

impl Rollouts {
    /// For people: nothing depends on this alias.
    async fn name_challenger(&self, canary: Option<AdapterId>) {
        let registry = Arc::clone(&self.0.registry);
        let named = tokio::task::spawn_blocking(move || {
            let from = registry.aliases()?.get(&Alias::challenger()).cloned();
            registry.move_aliases(&[AliasMove {
                alias: Alias::challenger(),
                from,
                to: canary,
            }])
        });
        if let Ok(Err(error)) = named.await {
            tracing::warn!(%error, "the alias `challenger` was not moved");
        }
    }
}
