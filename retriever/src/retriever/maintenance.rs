//! One background thread: it folds the delta into snapshots, replaces those that hold what was deleted, and builds the pipeline
//! of the settings while another one serves.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Inner;

/// After a failure the next try waits so long.
const RETRY: Duration = Duration::from_secs(5);

/// What is due, and whether the thread is at it.
#[derive(Default)]
pub(crate) struct Wanted {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent wishes, not a state machine"
)]
struct State {
    compact: bool,
    build: bool,
    purge_at: Option<Instant>,
    not_before: Option<Instant>,
    working: bool,
    stop: bool,
}

impl Wanted {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Soon.
    pub(super) fn compact(&self) {
        self.lock().compact = true;
        self.changed.notify_all();
    }

    /// The pipeline of the settings, after all that is due before.
    pub(super) fn build(&self) {
        self.lock().build = true;
        self.changed.notify_all();
    }

    /// Takes the wish for a build, if there is one.
    fn take_build(&self) -> bool {
        std::mem::take(&mut self.lock().build)
    }

    pub(super) fn purge_is_due(&self) -> bool {
        self.lock()
            .purge_at
            .is_some_and(|due| due <= Instant::now())
    }

    /// At an instant, unless one before it is due already.
    pub(super) fn purge_at(&self, at: Instant) {
        let mut state = self.lock();
        state.purge_at = Some(state.purge_at.map_or(at, |due| due.min(at)));
        self.changed.notify_all();
    }

    /// Whatever was wanted until now is about to be done.
    pub(super) fn compaction_begins(&self) {
        let mut state = self.lock();
        state.compact = false;
        state.purge_at = None;
    }

    pub(super) fn stopping(&self) -> bool {
        self.lock().stop
    }

    /// Waits for work; `false` when there is to be no more.
    fn next(&self) -> bool {
        let mut state = self.lock();
        state.working = false;
        self.changed.notify_all();
        loop {
            if state.stop {
                return false;
            }
            let due = if state.compact || state.build {
                Some(Instant::now())
            } else {
                state.purge_at
            };
            let due = due.map(|due| state.not_before.map_or(due, |earliest| due.max(earliest)));
            let now = Instant::now();
            state = match due {
                Some(due) if due <= now => {
                    state.working = true;
                    return true;
                }
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The thread; dropping this ends it and waits for it.
pub(super) struct Maintenance {
    wanted: Arc<Wanted>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    pub(super) fn start(inner: Arc<Inner>) -> Self {
        let wanted = Arc::clone(&inner.wanted);
        let automatic = inner.settings.compaction.automatic;
        let thread = automatic
            .then(|| {
                std::thread::Builder::new()
                    .name("quoin-snapshots".to_owned())
                    .spawn(move || run(&inner))
                    .inspect_err(|error| tracing::error!(%error, "no thread for snapshots"))
                    .ok()
            })
            .flatten();
        Self { wanted, thread }
    }

    /// Waits until nothing is due or running.
    pub(super) fn settle(&self) {
        if self.thread.is_none() {
            return;
        }
        let busy = |state: &mut State| {
            let wanted = state.compact || state.build || state.purge_at.is_some();
            !state.stop && (state.working || wanted)
        };
        let settled = self.wanted.changed.wait_while(self.wanted.lock(), busy);
        drop(settled.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.wanted.lock().stop = true;
        self.wanted.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the snapshot thread ended with a panic");
        }
    }
}

fn run(inner: &Inner) {
    while inner.wanted.next() {
        let started = Instant::now();
        let built = inner.wanted.take_build();
        let result = if built {
            inner.build()
        } else {
            inner.compact()
        };
        // Work that takes long is not done over and over: it gets at most half of the time.
        let mut pause = started.elapsed();
        if let Err(error) = result {
            if inner.wanted.stopping() {
                return;
            }
            tracing::error!(error = &error as &dyn std::error::Error, "no new snapshot");
            pause = pause.max(RETRY);
            if built {
                inner.wanted.build();
            } else {
                inner.wanted.compact();
            }
        }
        inner.wanted.lock().not_before = Some(Instant::now() + pause);
    }
}
