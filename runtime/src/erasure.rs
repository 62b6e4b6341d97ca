//! After a deletion: the request log and feedback are purged as well, at once, and again in the background where that failed.

use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::service::Quoin;
use crate::storage::Erasure;

/// The place that the retriever waits for.
pub(crate) const REQUEST_LOG: &str = "request_log";
/// Deletions purged in one transaction.
const BATCH: usize = 256;
/// Between two looks for what is left.
const PAUSE: Duration = Duration::from_secs(1);

/// Purges the request log of all deletions that it was not purged of. What a reader keeps in the database's log waits for the
/// next time.
///
/// # Errors
/// The database cannot be read or written.
pub(crate) async fn purge(quoin: &Quoin) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let retriever = Arc::clone(quoin.retriever());
        let unpurged =
            tokio::task::spawn_blocking(move || retriever.unpurged(REQUEST_LOG, BATCH)).await??;
        let Some((_, last)) = unpurged.last().cloned() else {
            return Ok(());
        };
        let deleted = unpurged
            .into_iter()
            .map(|(document, generation)| Erasure {
                document: document.to_string(),
                generation,
            })
            .collect();
        if !quoin.storage().erase(deleted).await? {
            return Ok(());
        }
        let retriever = Arc::clone(quoin.retriever());
        tokio::task::spawn_blocking(move || retriever.note_purged(REQUEST_LOG, last)).await??;
    }
}

/// Purges what is left from before, and what could not be purged at once, until the service is gone.
pub(crate) fn purge_until_done(quoin: &Arc<Quoin>) {
    let quoin: Weak<Quoin> = Arc::downgrade(quoin);
    tokio::spawn(async move {
        loop {
            // First, so that a command that is done at once leaves the folder at once.
            tokio::time::sleep(PAUSE).await;
            let Some(quoin) = quoin.upgrade() else {
                return;
            };
            if let Err(error) = purge(&quoin).await {
                tracing::warn!(
                    error = &*error as &dyn Error,
                    "the request log is not purged yet"
                );
            }
        }
    });
}
