//! The two first stages beside each other, on threads that only searches use: ingestion may keep the others busy for seconds.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// With fewer passages to rank, handing one stage to another thread costs more than it saves.
const MIN_PASSAGES: u64 = 5_000;

static SEARCHES: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new()
        .thread_name(|number| format!("quoin-search-{number}"))
        .build()
        .inspect_err(|error| tracing::warn!(%error, "no threads for searches"))
        .ok()
});

/// Both results. `passages` is how many may be ranked.
pub(super) fn beside<A: Send, B: Send>(
    passages: u64,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    match &*SEARCHES {
        Some(pool) if passages >= MIN_PASSAGES => pool.join(a, b),
        _ => (a(), b()),
    }
}
