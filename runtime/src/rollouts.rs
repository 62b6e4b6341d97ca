//! The rollout of one process: which release answers whom, what became of it, and what that decides.
//!
//! `quoin_adapters::rollout` knows how a rollout goes; here it meets time, traffic and disk. What happens is applied at once, so
//! that the next request is answered accordingly, and queued to be written in the same order; a person is answered once it is
//! written. The alias moves after the decision is written; a start that finds the one without the other moves it.

mod answers;
mod gate;
mod shadow;
mod start;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quoin_adapters::rollout::{
    Arm, Input, Observation, Rollout, RolloutError, Side, State, Status, Transition,
};
use quoin_adapters::{AdapterError, AdapterId, Alias, AliasMove, Registry};
use tokio::sync::Semaphore;

use crate::models::Kept;
use crate::service::Quoin;
use crate::storage::{Happened, Running, Save, Saved, Storage, StorageError, now_ms};

pub(crate) use self::answers::{Assigned, observation, unit};
pub use self::start::StartRequest;

/// A snapshot is written when so much happened since the last one; replaying it takes milliseconds.
const SNAPSHOT_EVERY: u64 = 500;

/// Why a rollout does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum RolloutRefusal {
    /// None is running.
    #[error("no rollout is running: `quoin rollout start NAME@VERSION` starts one")]
    NoneRunning,
    /// There is one already.
    #[error(
        "rollout `{id}` of `{adapter}` is not over (state: {state}): one alias has one rollout at a time; promote or abort it first"
    )]
    Running {
        /// Which one.
        id: String,
        /// What it rolls out.
        adapter: String,
        /// Where it is.
        state: String,
    },
    /// No rollout has this id.
    #[error("no rollout with the id `{0}`: `quoin rollout history` lists them")]
    Unknown(String),
    /// The champion is what should be rolled out.
    #[error("`{0}` is the champion already")]
    Champion(String),
    /// Nothing shows that it is good enough to be tried.
    #[error(
        "`{adapter}` has passed no gate: {found}. `quoin eval answers` and `quoin eval gate` judge it, `quoin adapters report {adapter} gate.json` keeps the result; `--force REASON` starts without, and stands in the audit log"
    )]
    NoGate {
        /// The adapter version.
        adapter: String,
        /// What was found instead.
        found: String,
    },
    /// The new release cannot be loaded, or does not answer.
    #[error("`{adapter}` cannot answer: {reason}")]
    CannotAnswer {
        /// The adapter version.
        adapter: String,
        /// Why.
        reason: String,
    },
    /// Not possible where the rollout is, or a plan that cannot be carried out.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The adapter is not there, or an alias was moved meanwhile.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// It could not be written. What was decided holds, and is written as soon as that is possible.
    #[error("the rollout could not be saved")]
    Storage(#[from] StorageError),
}

impl RolloutRefusal {
    fn running(rollout: &Rollout) -> Self {
        let adapter = rollout.side(Arm::Canary).adapter.as_ref();
        Self::Running {
            id: rollout.id().to_owned(),
            adapter: AdapterId::or_base(adapter),
            state: rollout.state().to_string(),
        }
    }
}

/// A rollout at work.
struct Live {
    saved: Saved,
    /// What has changed and is in no audit log yet, in order.
    unsaved: Vec<Transition>,
}

impl Live {
    const fn new(saved: Saved) -> Self {
        Self {
            saved,
            unsaved: Vec::new(),
        }
    }

    const fn rollout(&self) -> &Rollout {
        &self.saved.rollout
    }
}

/// The rollout that is running, if one is. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rollouts(Arc<Shared>);

struct Shared {
    storage: Storage,
    registry: Arc<Registry>,
    running: Mutex<Option<Live>>,
    /// Held by whoever starts or ends a rollout, or does as a person says.
    deciding: tokio::sync::Mutex<()>,
    /// Held while a snapshot is taken and written.
    writing: tokio::sync::Mutex<()>,
    /// One answer in the shadow at a time; the others are left out.
    shadow: Arc<Semaphore>,
}

impl Rollouts {
    pub(crate) fn new(storage: Storage, registry: Arc<Registry>) -> Self {
        Self(Arc::new(Shared {
            storage,
            registry,
            running: Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            shadow: Arc::new(Semaphore::new(1)),
        }))
    }

    /// Finds the rollout where the last process left it, and finishes what that one had decided.
    pub(crate) async fn resume(&self) -> Result<(), StorageError> {
        if let Some(last) = self.0.storage.rollout(None).await?
            && last.state().is_final()
        {
            self.settle_aliases(last).await;
        }
        let Some(Running { saved, inputs }) = self.0.storage.running_rollout().await? else {
            return Ok(());
        };
        let mut live = Live::new(saved);
        for (sequence, input) in inputs {
            let transitions = live.saved.rollout.apply(&input).unwrap_or_default();
            live.unsaved.extend(transitions);
            live.saved.sequence = sequence;
        }
        tracing::info!(
            rollout = live.rollout().id(),
            state = %live.rollout().state(),
            "a rollout goes on"
        );
        let changed = !live.unsaved.is_empty();
        *self.lock() = Some(live);
        if changed {
            self.write().await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The two releases of the running rollout.
    pub(crate) fn sides(&self) -> Option<(Side, Side)> {
        let running = self.lock();
        let rollout = running.as_ref()?.rollout();
        let side = |arm| rollout.side(arm).clone();
        Some((side(Arm::Stable), side(Arm::Canary)))
    }

    /// Adapter versions that must stay in memory.
    pub(crate) fn pinned(&self) -> Vec<AdapterId> {
        let sides = self.sides();
        let both = sides
            .into_iter()
            .flat_map(|(stable, canary)| [stable, canary]);
        both.filter_map(|side| side.adapter).collect()
    }

    /// How the running rollout stands.
    pub(crate) fn status(&self) -> Option<Status> {
        self.lock()
            .as_ref()
            .map(|live| live.rollout().status(now_ms()))
    }

    /// Takes note of what happened. What it decides holds for the next request.
    pub(crate) fn happened(&self, rollout: &str, input: Input) {
        let mut running = self.lock();
        let Some(live) = running
            .as_mut()
            .filter(|live| live.rollout().id() == rollout)
        else {
            return;
        };
        // Only what a person asks for can be impossible.
        let is_due = self.apply(live, input).unwrap_or_default();
        drop(running);
        if is_due {
            let rollouts = self.clone();
            tokio::spawn(async move {
                if let Err(error) = rollouts.write().await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the rollout could not be saved; that is tried again"
                    );
                }
            });
        }
    }

    /// Time passes: limits run out and baking ends.
    pub(crate) fn tick(&self) {
        let id = {
            let running = self.lock();
            running.as_ref().map(|live| live.rollout().id().to_owned())
        };
        if let Some(id) = id {
            self.happened(&id, Input::Tick { at_ms: now_ms() });
        }
    }

    /// A canary that cannot be loaded has failed to answer: after as many times as the plan allows it is aborted.
    pub(crate) fn failed_to_load(&self, id: &AdapterId) {
        let of_canary = |live: &Live| {
            let rollout = live.rollout();
            let adapter = rollout.side(Arm::Canary).adapter.as_ref();
            (adapter == Some(id)).then(|| rollout.id().to_owned())
        };
        let rollout = self.lock().as_ref().and_then(of_canary);
        if let Some(rollout) = rollout {
            let failure = Input::Outcome {
                arm: Arm::Canary,
                unit: String::new(),
                overridden: false,
                observed: Observation {
                    engine_error: true,
                    ..Observation::default()
                },
                at_ms: now_ms(),
            };
            self.happened(&rollout, failure);
        }
    }

    /// How it stands, for whoever watches the process: nothing while none is running.
    fn measure(&self) {
        let Some(status) = self.status() else {
            metrics::gauge!("quoin_rollout_share").set(0.0);
            return;
        };
        metrics::gauge!("quoin_rollout_share")
            .set(f64::from(status.weight_basis_points) / 10_000.0);
        for guardrail in &status.guardrails {
            let name = guardrail.guardrail.to_string();
            metrics::gauge!("quoin_rollout_e_value", "guardrail" => name).set(guardrail.e_value);
        }
    }

    /// Refuses to move an alias that a rollout is about to move.
    pub(crate) fn refuse_to_move(&self, alias: &Alias) -> Result<(), RolloutRefusal> {
        let running = self.lock();
        match running.as_ref() {
            Some(live) if live.rollout().alias() == alias => {
                Err(RolloutRefusal::running(live.rollout()))
            }
            _ => Ok(()),
        }
    }

    /// Does as a person says. It holds for the next request; what is answered is written.
    pub(crate) async fn told(
        &self,
        input: impl FnOnce(i64) -> Input,
    ) -> Result<Status, RolloutRefusal> {
        let _one_at_a_time = self.0.deciding.lock().await;
        let now = now_ms();
        let status = {
            let mut running = self.lock();
            let live = running.as_mut().ok_or(RolloutRefusal::NoneRunning)?;
            self.apply(live, input(now))?;
            live.rollout().status(now)
        };
        self.write().await?;
        Ok(status)
    }

    /// Applies what happened and queues it to be written. Whether a snapshot is due: something changed, or much was counted.
    fn apply(&self, live: &mut Live, input: Input) -> Result<bool, RolloutError> {
        let transitions = live.saved.rollout.apply(&input)?;
        if matches!(input, Input::Tick { .. }) && transitions.is_empty() {
            // Time alone is not stored; what could not be written before is tried again.
            return Ok(!live.unsaved.is_empty());
        }
        live.saved.sequence += 1;
        self.0.storage.happened(Happened {
            rollout: live.rollout().id().to_owned(),
            sequence: live.saved.sequence,
            input,
        });
        live.unsaved.extend(transitions);
        Ok(!live.unsaved.is_empty() || live.saved.sequence.is_multiple_of(SNAPSHOT_EVERY))
    }

    /// Writes where the rollout is, with what changed. Once the end of a rollout is written, its aliases move and it is forgotten.
    async fn write(&self) -> Result<(), StorageError> {
        // A later snapshot is never overwritten by an earlier one, and the lines of the audit log come in order.
        let _one_at_a_time = self.0.writing.lock().await;
        let taken = self
            .lock()
            .as_mut()
            .map(|live| (live.saved.clone(), std::mem::take(&mut live.unsaved)));
        let Some((saved, transitions)) = taken else {
            return Ok(());
        };
        for transition in &transitions {
            tracing::info!(
                rollout = saved.rollout.id(),
                action = ?transition.action,
                reason = transition.reason,
                "rollout"
            );
        }
        let ended = saved
            .rollout
            .state()
            .is_final()
            .then(|| saved.rollout.clone());
        let save = save(saved, transitions.clone(), now_ms());
        if let Err(error) = self.0.storage.save_rollout(save).await {
            if let Some(live) = self.lock().as_mut() {
                live.unsaved.splice(0..0, transitions);
            }
            return Err(error);
        }
        if let Some(rollout) = ended {
            // Until then requests go by the rollout.
            self.settle_aliases(rollout).await;
            self.lock().take();
        }
        Ok(())
    }

    /// `champion` and `previous` after a promotion; `challenger` is free after any end. Does nothing where that is so already.
    async fn settle_aliases(&self, rollout: Rollout) {
        let registry = Arc::clone(&self.0.registry);
        let settled = tokio::task::spawn_blocking(move || settle(&registry, &rollout)).await;
        let problem = match settled {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            problem,
            "the aliases could not be moved as the rollout ended"
        );
    }
}

fn settle(registry: &Registry, rollout: &Rollout) -> Result<(), AdapterError> {
    let aliases = registry.aliases()?;
    let at = |alias: &Alias| aliases.get(alias).cloned();
    let adapter = |arm| &rollout.side(arm).adapter;
    let (stable, canary) = (adapter(Arm::Stable), adapter(Arm::Canary));
    let mut moves = Vec::new();
    let champion = at(rollout.alias());
    if *rollout.state() == State::Promoted && champion == *stable && stable != canary {
        moves.push(AliasMove {
            alias: rollout.alias().clone(),
            from: champion,
            to: canary.clone(),
        });
        moves.push(AliasMove {
            alias: Alias::previous(),
            from: at(&Alias::previous()),
            to: stable.clone(),
        });
    }
    let challenger = at(&Alias::challenger());
    if challenger.is_some() && challenger == *canary {
        moves.push(AliasMove {
            alias: Alias::challenger(),
            from: challenger,
            to: None,
        });
    }
    if !moves.is_empty() {
        registry.move_aliases(&moves)?;
    }
    Ok(())
}

fn save(saved: Saved, transitions: Vec<Transition>, now: i64) -> Save {
    Save {
        transitions,
        point: saved.rollout.status(now),
        saved,
    }
}

/// How often time is told to a rollout.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// Lets time pass for the rollout, and keeps in memory what is to stay there, from at once until the service is gone.
pub(crate) fn run(quoin: &Arc<Quoin>) {
    let quoin = Arc::downgrade(quoin);
    tokio::spawn(async move {
        let mut kept = Kept::default();
        while let Some(quoin) = quoin.upgrade() {
            quoin.rollouts().tick();
            quoin.rollouts().measure();
            kept.keep(&quoin).await;
            drop(quoin);
            tokio::time::sleep(TICK).await;
        }
    });
}

#[cfg(test)]
mod tests;
