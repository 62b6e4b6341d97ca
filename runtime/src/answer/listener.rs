//! Who hears of the progress of one answer, and what was heard: what a client has seen cannot be taken back.

use std::sync::atomic::{AtomicBool, Ordering};

use super::types::{Progress, ReleaseInfo};
use super::{Found, ProgressSender, trace};

/// Who hears of the progress of one answer, and what was heard.
pub(crate) struct Listener {
    sender: ProgressSender,
    told_of_retrieval: AtomicBool,
    /// A client has seen a part of an answer, which cannot be taken back.
    shown: AtomicBool,
}

impl Listener {
    pub(crate) const fn new(sender: ProgressSender) -> Self {
        Self {
            sender,
            told_of_retrieval: AtomicBool::new(false),
            shown: AtomicBool::new(false),
        }
    }

    /// Whether there is anybody.
    pub(crate) const fn listens(&self) -> bool {
        self.sender.is_some()
    }

    pub(crate) fn has_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// Passes a piece of the answer on.
    pub(crate) async fn show(&self, text: String, of_string: bool) {
        self.shown.store(true, Ordering::Relaxed);
        self.send(Progress::Delta { text, of_string }).await;
    }

    /// Once for an answer, however many releases try.
    pub(super) async fn retrieval(&self, found: &Found, release: ReleaseInfo) {
        if self.listens() && !self.told_of_retrieval.swap(true, Ordering::Relaxed) {
            self.send(Progress::Retrieval {
                generation: found.generation,
                release,
                hits: found.hits.iter().map(trace::whole).collect(),
            })
            .await;
        }
    }

    async fn send(&self, progress: Progress) {
        if let Some(sender) = &self.sender {
            // A receiver that is gone has dropped this future too.
            let _ = sender.send(progress).await;
        }
    }
}
