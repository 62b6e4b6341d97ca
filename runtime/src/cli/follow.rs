//! Follows a folder: looks at it, brings the catalogue to what is there, and waits for the next change or interval.
//!
//! Every event leads to a look at the whole folder, so that a lost event costs time only; files are read when their size, time or
//! inode changed. A client of our own HTTP surface, as every command is.

mod apply;
mod look;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use quoin_retriever::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::look::{Limits, Looked};
use super::failure::Failure;
use super::ingest::largest_file;
use super::transport::Client;
use crate::config::Config;
use crate::service::Quoin;
use crate::sources::plan::{Known, plan};
use crate::sources::settings::SourceConfig;
use crate::sources::{MAX_ERRORS, Source, Trouble};

/// Events that come within this time of one another are one.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// A file that is being written is looked at again after this.
const WRITTEN_AGAIN: Duration = Duration::from_millis(150);
/// A file that is gone is looked for again after this: editors rename.
const GONE_AGAIN: Duration = Duration::from_millis(300);
/// After a change: what was written to a new folder before it was watched told nobody.
const AFTER_CHANGE: Duration = Duration::from_millis(500);
/// Between looks where the system cannot tell of changes.
const POLL: Duration = Duration::from_secs(1);
/// Before the catalogue is asked again that could not be read.
const RETRY: Duration = Duration::from_secs(5);

/// One folder and what the catalogue has of it.
pub struct Follower {
    settings: SourceConfig,
    client: Arc<Client>,
    source: Arc<Source>,
    /// Where what is known outlives the process; nowhere for a command.
    state: Option<PathBuf>,
    limits: Limits,
    known: BTreeMap<String, Known>,
    /// Paths that were gone at the last look.
    missing: BTreeSet<String>,
    /// How often files were left alone because they were being written.
    waited: HashMap<String, u32>,
}

/// What a scan did.
#[derive(Default)]
struct Done {
    put: u64,
    moved: u64,
    deleted: u64,
    errors: Vec<Trouble>,
    skipped: BTreeMap<String, usize>,
}

/// Starts to follow the folders of the settings. They end when `stop` is cancelled.
pub fn start(quoin: &Arc<Quoin>, stop: &CancellationToken) -> JoinSet<()> {
    let mut followers = JoinSet::new();
    let config = quoin.config();
    if config.sources.is_empty() {
        return followers;
    }
    let client = Arc::new(Client::within(Arc::clone(quoin)));
    for settings in &config.sources {
        let source = quoin.sources().enter(&settings.name, settings.path.clone());
        let state = config
            .data()
            .join("sources")
            .join(format!("{}.json", settings.name));
        let follower = Follower::new(
            settings.clone(),
            config,
            Arc::clone(&client),
            source,
            Some(state),
        );
        followers.spawn(follower.run(stop.clone()));
    }
    followers
}

impl Follower {
    /// A follower that has not looked yet.
    pub fn new(
        settings: SourceConfig,
        config: &Config,
        client: Arc<Client>,
        source: Arc<Source>,
        state: Option<PathBuf>,
    ) -> Self {
        Self {
            settings,
            client,
            source,
            state,
            limits: Limits {
                file_bytes: largest_file(config.server.max_document_bytes),
            },
            known: BTreeMap::new(),
            missing: BTreeSet::new(),
            waited: HashMap::new(),
        }
    }

    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let interval = self.settings.interval().unwrap_or(RETRY);
        // Before the first look: what changes during it is told.
        let mut watcher = None;
        let mut loaded = false;
        while !stop.is_cancelled() {
            if self.settings.watch && watcher.is_none() {
                watcher = self.watch();
            }
            if !loaded {
                loaded = self.load().await;
            }
            let again = if loaded {
                self.scan(&stop).await
            } else {
                Some(RETRY)
            };
            let polled = (self.settings.watch && watcher.is_none()).then_some(POLL);
            let wait = again.or(polled).unwrap_or(interval);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.source.asked() => tokio::time::sleep(DEBOUNCE).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Has the system tell of changes; `None` when it cannot, such as when it has no watches left.
    fn watch(&self) -> Option<RecommendedWatcher> {
        let source = Arc::clone(&self.source);
        let tell = move |event: notify::Result<notify::Event>| {
            // An error may be an overflow: then something has changed as well.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                source.ask(false);
            }
        };
        let watched = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(&self.settings.path, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let was = self.source.status().watched;
        self.source
            .update(|status| status.watched = watched.is_ok());
        match watched {
            Ok(follower) => Some(follower),
            Err(error) => {
                if was || self.source.status().scans == 0 {
                    tracing::warn!(source = self.settings.name, %error, "looked at every second: the system does not tell of changes");
                }
                None
            }
        }
    }

    async fn load(&mut self) -> bool {
        match state::load(&self.client, &self.settings, self.state.as_deref()).await {
            Ok(known) => {
                self.known = known;
                true
            }
            Err(error) => {
                let error = error.in_one_line();
                tracing::error!(
                    source = self.settings.name,
                    error,
                    "cannot read what it has in the catalogue"
                );
                self.source.update(|status| {
                    status.errors = vec![Trouble {
                        path: String::new(),
                        reason: error,
                    }];
                });
                false
            }
        }
    }

    /// One look and what follows from it. Says when to look again, if soon.
    async fn scan(&mut self, stop: &CancellationToken) -> Option<Duration> {
        let prune = self.source.take_prune();
        let looked = match self.look().await {
            Ok(looked) => looked,
            Err(failure) => return self.could_not_look(&failure),
        };
        let allowed = prune || self.settings.allow_mass_deletion;
        let plan = plan(&self.known, &looked.scan, allowed);
        let mut done = Done {
            errors: looked.errors.clone(),
            skipped: looked.skipped.clone(),
            ..Done::default()
        };
        let (before, unchanged) = (self.known.len(), plan.unchanged);
        let refused = plan.refused.into_iter();
        done.errors
            .extend(refused.map(|(path, reason)| Trouble { path, reason }));
        self.put_all(plan.puts, &looked, &mut done, stop).await;
        let settled = looked.being_written.is_empty();
        let mut missing = BTreeSet::new();
        for path in plan.gone {
            let sure = prune || (settled && self.missing.contains(&path));
            if !sure || stop.is_cancelled() {
                missing.insert(path);
                continue;
            }
            self.delete(&path, &mut done).await;
        }
        self.missing = missing;
        let changed = done.put + done.moved + done.deleted > 0;
        if changed || before == 0 {
            self.save().await;
        }
        tracing::debug!(
            source = self.settings.name,
            unchanged,
            put = done.put,
            "scanned"
        );
        self.report(done, plan.guard);
        match () {
            () if !settled => Some(WRITTEN_AGAIN),
            () if !self.missing.is_empty() => Some(GONE_AGAIN),
            () if changed => Some(AFTER_CHANGE),
            () => None,
        }
    }

    async fn look(&mut self) -> Result<Looked, Failure> {
        let known = std::mem::take(&mut self.known);
        let mut waited = std::mem::take(&mut self.waited);
        let (settings, limits) = (self.settings.clone(), self.limits);
        let (known, waited, looked) = tokio::task::spawn_blocking(move || {
            let looked = look::look(&settings, &known, &mut waited, limits);
            (known, waited, looked)
        })
        .await?;
        (self.known, self.waited) = (known, waited);
        looked
    }

    fn could_not_look(&self, failure: &Failure) -> Option<Duration> {
        let reason = failure.in_one_line();
        self.source.update(|status| {
            status.scans += 1;
            status.last_scan = Some(Timestamp::now());
            status.guard = Some(format!(
                "the folder cannot be read, nothing is deleted: {reason}"
            ));
            status.errors = vec![Trouble {
                path: String::new(),
                reason,
            }];
        });
        None
    }

    fn report(&self, mut done: Done, guard: Option<String>) {
        done.errors.truncate(MAX_ERRORS);
        metrics::counter!("quoin_source_put_total").increment(done.put);
        metrics::counter!("quoin_source_moved_total").increment(done.moved);
        metrics::counter!("quoin_source_deleted_total").increment(done.deleted);
        let documents = self.known.len();
        self.source.update(|status| {
            if guard.is_some() && status.guard != guard {
                tracing::warn!(
                    source = self.settings.name,
                    guard = guard.as_deref(),
                    "nothing is deleted"
                );
            }
            status.documents = documents;
            status.scans += 1;
            status.last_scan = Some(Timestamp::now());
            status.put += done.put;
            status.moved += done.moved;
            status.deleted += done.deleted;
            status.skipped = done.skipped;
            status.errors = done.errors;
            status.guard = guard;
        });
    }
}
