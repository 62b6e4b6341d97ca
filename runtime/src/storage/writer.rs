//! The one thread that owns the connection: log records in batches, everything else one at a time, in order.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::StorageError;
use super::erase::{self, Erasure};
use super::requests::{self, RequestRecord, Retention};
use super::rollouts::Happened;

/// Jobs that may wait. A record is under 1 KiB, so a full queue is a few MiB.
const QUEUE: usize = 4096;
/// Records written in one transaction.
const BATCH: usize = 256;
/// Deletions that are remembered.
const REMEMBERED: usize = 1024;

type Statement = Box<dyn FnOnce(&mut Connection) + Send>;

enum Job {
    Log(Box<RequestRecord>),
    Happened(Box<Happened>),
    Run(Statement),
    Erase(Vec<Erasure>, oneshot::Sender<Result<bool, StorageError>>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        connection: Connection,
        retention: Retention,
    ) -> Result<Self, StorageError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("quoin-storage".to_owned())
            .spawn(move || work(connection, queue, retention))
            .map_err(StorageError::Thread)?;
        Ok(Self {
            jobs,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a record, or drops and counts it when the queue is full or closed.
    pub(super) fn log(&self, record: RequestRecord) {
        if self.jobs.try_send(Job::Log(Box::new(record))).is_err() {
            metrics::counter!("quoin_request_log_dropped_total").increment(1);
        }
    }

    /// Queues what happened to a rollout; of a full queue the next snapshot makes up for it.
    pub(super) fn happened(&self, happened: Happened) {
        if self
            .jobs
            .try_send(Job::Happened(Box::new(happened)))
            .is_err()
        {
            metrics::counter!("quoin_rollout_inputs_dropped_total").increment(1);
        }
    }

    /// Runs `statement` after everything queued before it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        statement: impl FnOnce(&mut Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (reply, result) = oneshot::channel();
        let job = Job::Run(Box::new(move |connection| {
            // The caller may have gone; the statement took effect all the same.
            let _gone = reply.send(statement(connection));
        }));
        self.jobs
            .send(job)
            .await
            .map_err(|_| StorageError::Closed)?;
        result.await.map_err(|_| StorageError::Closed)?
    }

    /// Removes what holds something of deleted documents, now and from what is logged later.
    pub(super) async fn erase(&self, deleted: Vec<Erasure>) -> Result<bool, StorageError> {
        let (reply, result) = oneshot::channel();
        self.jobs
            .send(Job::Erase(deleted, reply))
            .await
            .map_err(|_| StorageError::Closed)?;
        result.await.map_err(|_| StorageError::Closed)?
    }

    /// Writes what is queued and waits for the thread. A second call returns at once.
    pub(super) async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            let _ended = done.await;
        }
        let thread = self.thread.lock().ok().and_then(|mut slot| slot.take());
        if let Some(thread) = thread {
            let _joined = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Ends at `Close`, or when the last handle is gone and the queue is empty.
fn work(connection: Connection, mut queue: mpsc::Receiver<Job>, retention: Retention) {
    let mut log = Log {
        connection,
        retention,
        pending: Vec::with_capacity(BATCH),
        happened: Vec::new(),
        since_pruned: 0,
        erased: VecDeque::new(),
    };
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Log(record) => log.pending.push(*record),
                Job::Happened(happened) => log.happened.push(*happened),
                Job::Run(statement) => {
                    log.write();
                    statement(&mut log.connection);
                }
                Job::Erase(deleted, reply) => {
                    log.write();
                    let _gone = reply.send(log.erase(deleted));
                }
                Job::Close(reply) => {
                    log.write();
                    // So that after a clean end `quoin.db` alone is everything. Readers only delay it.
                    let folded =
                        log.connection
                            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                    if let Err(error) = folded {
                        tracing::warn!(%error, "the write-ahead log was not folded in");
                    }
                    let _gone = reply.send(());
                    return;
                }
            }
            if log.pending.len().max(log.happened.len()) < BATCH {
                next = queue.try_recv().ok();
            }
        }
        log.write();
    }
}

/// The request log as its writer sees it.
struct Log {
    connection: Connection,
    retention: Retention,
    pending: Vec<RequestRecord>,
    happened: Vec<Happened>,
    since_pruned: usize,
    /// The last deletions: an answer that began before one may be logged after it.
    erased: VecDeque<Erasure>,
}

impl Log {
    fn erase(&mut self, deleted: Vec<Erasure>) -> Result<bool, StorageError> {
        let done = erase::erase(&mut self.connection, &deleted)?;
        for erasure in deleted {
            if self.erased.len() == REMEMBERED {
                self.erased.pop_front();
            }
            self.erased.push_back(erasure);
        }
        Ok(done)
    }

    /// Writes and forgets the pending records, and prunes when it is time, so that the bounds hold however busy the queue
    /// is. A failure, such as a full disk, costs the records and is said once a batch.
    fn write(&mut self) {
        let records = self.pending.len();
        if records + self.happened.len() == 0 {
            return;
        }
        erase::redact(&mut self.pending, &self.erased);
        if let Err(error) = requests::insert(&mut self.connection, &self.pending, &self.happened) {
            let lost = records as u64;
            metrics::counter!("quoin_request_log_dropped_total").increment(lost);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                lost,
                "cannot write the request log"
            );
        }
        self.pending.clear();
        self.happened.clear();
        self.since_pruned += records;
        if self.since_pruned >= self.retention.prune_every {
            self.since_pruned = 0;
            if let Err(error) = requests::prune(&self.connection, self.retention) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot prune the request log"
                );
            }
        }
    }
}
