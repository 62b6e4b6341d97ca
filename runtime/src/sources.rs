//! Followed folders: what is set about them, what a scan means for the catalogue, and how each is.
//!
//! The work itself is a client of our own HTTP surface, as every command is: see `cli/follow.rs`.

pub mod plan;
pub mod rules;
pub mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quoin_retriever::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;
use utoipa::ToSchema;

/// Most errors of a scan that are kept.
pub const MAX_ERRORS: usize = 100;

/// A file of the last scan that is not in the catalogue as it is in the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// Its path below the folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// How a followed folder is.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// The folder.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Whether the system tells of changes; otherwise the folder is looked at in intervals.
    pub watched: bool,
    /// Documents that it has in the catalogue.
    pub documents: usize,
    /// Scans since the start.
    pub scans: u64,
    /// When the last one ended.
    #[schema(value_type = Option<String>)]
    pub last_scan: Option<Timestamp>,
    /// Documents put since the start, new or changed.
    pub put: u64,
    /// Files that were moved, and kept their documents.
    pub moved: u64,
    /// Documents deleted because their files are gone.
    pub deleted: u64,
    /// Files of the last scan that were left out on purpose, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// What went wrong in the last scan, a hundred at most.
    pub errors: Vec<Trouble>,
    /// Why the last scan deleted nothing, although files are gone.
    pub guard: Option<String>,
}

/// One followed folder, as its follower and those who ask about it share it.
#[derive(Debug, Default)]
pub struct Source {
    status: Mutex<SourceStatus>,
    wake: Notify,
    prune: AtomicBool,
}

impl Source {
    /// How it is.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.lock().clone()
    }

    /// Changes what is said about it.
    pub fn update(&self, change: impl FnOnce(&mut SourceStatus)) {
        change(&mut self.lock());
    }

    /// Asks for a scan; many askings before it starts are one. With `prune` it deletes whatever is gone.
    pub fn ask(&self, prune: bool) {
        if prune {
            self.prune.store(true, Ordering::Relaxed);
        }
        self.wake.notify_one();
    }

    /// Waits until a scan is asked for.
    pub async fn asked(&self) {
        self.wake.notified().await;
    }

    /// Whether the scan that starts now was asked to delete whatever is gone.
    pub fn take_prune(&self) -> bool {
        self.prune.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SourceStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The followed folders of a process, by name.
#[derive(Debug, Default)]
pub struct Sources(Mutex<BTreeMap<String, Arc<Source>>>);

impl Sources {
    /// Enters a folder.
    pub fn enter(&self, name: &str, path: PathBuf) -> Arc<Source> {
        let source = Arc::new(Source::default());
        source.update(|status| {
            name.clone_into(&mut status.name);
            status.path = path;
        });
        self.lock().insert(name.to_owned(), Arc::clone(&source));
        source
    }

    /// The folder of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Source>> {
        self.lock().get(name).cloned()
    }

    /// How each is, by name.
    #[must_use]
    pub fn list(&self) -> Vec<SourceStatus> {
        self.lock().values().map(|source| source.status()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Source>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
