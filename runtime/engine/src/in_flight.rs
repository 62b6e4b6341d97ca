//! Counts requests in flight, so that a shutdown can wait for the last.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;

#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<watch::Sender<usize>>);

/// One request; dropping it ends it.
struct Guard(InFlight);

impl InFlight {
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.send_modify(|count| *count += 1);
        let guard = Guard(self.clone());
        tokio::spawn(async move {
            work.await;
            drop(guard);
        });
    }

    pub async fn none_left(&self) {
        // Cannot fail: `self` holds the sender.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
