//! Which adapter versions stay in memory, whatever else is used: both releases of a rollout, the champion, and, while there is
//! room, the one before it, so that going back waits for nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quoin_adapters::{AdapterId, Alias};

use crate::service::Quoin;

/// When a version that could not be loaded is tried again. One of a rollout is tried at every tick, until it is aborted.
const PATIENCE: Duration = Duration::from_mins(1);

/// Keeps them, and remembers what could not be loaded.
#[derive(Default)]
pub(crate) struct Kept {
    failed: BTreeMap<AdapterId, Instant>,
}

impl Kept {
    /// Pins what is to stay and loads what is missing.
    pub(crate) async fn keep(&mut self, quoin: &Quoin) {
        let in_rollout = quoin.rollouts().pinned();
        let kept = quoin.kept(&in_rollout);
        quoin.loaded().pin(kept.clone());
        self.failed.retain(|id, _| kept.contains(id));
        for id in kept.iter().filter(|id| !quoin.loaded().holds(id)) {
            let of_rollout = in_rollout.contains(id);
            let failed = self.failed.get(id);
            if !of_rollout && failed.is_some_and(|at| at.elapsed() < PATIENCE) {
                continue;
            }
            let Err(error) = quoin.loaded().adapted(id).await else {
                self.failed.remove(id);
                continue;
            };
            tracing::error!(
                adapter = %id,
                error = &error as &dyn std::error::Error,
                "an adapter version that is to stay in memory cannot be loaded"
            );
            self.failed.insert(id.clone(), Instant::now());
            if of_rollout {
                quoin.rollouts().failed_to_load(id);
            }
        }
    }
}

impl Quoin {
    /// The most important first.
    fn kept(&self, in_rollout: &[AdapterId]) -> Vec<AdapterId> {
        let aliases = self.registry().aliases().unwrap_or_default();
        let mut kept = in_rollout.to_vec();
        let add = |kept: &mut Vec<AdapterId>, id: Option<&AdapterId>| {
            if let Some(id) = id.filter(|id| !kept.contains(id)) {
                kept.push(id.clone());
            }
        };
        add(&mut kept, aliases.get(&Alias::champion()));
        if kept.len() + 1 < self.config().adapters.max_loaded {
            // One place is left to whatever else is asked for.
            add(&mut kept, aliases.get(&Alias::previous()));
        }
        kept
    }
}
