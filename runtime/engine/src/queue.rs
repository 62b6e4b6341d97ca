//! Admission: a bounded number of requests run, a bounded number wait in order of arrival, the rest are refused at once.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::EngineError;

pub(crate) struct Queue {
    running: Arc<Semaphore>,
    max_running: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
    /// Moving average, for the estimate that a refused caller gets.
    usual_run: Mutex<Duration>,
}

/// A place in the queue; dropping it gives it back.
pub(crate) struct Place {
    queue: Arc<Queue>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Queue {
    pub fn new(max_running: usize, max_waiting: usize) -> Arc<Self> {
        let max_running = max_running.max(1);
        Arc::new(Self {
            running: Arc::new(Semaphore::new(max_running)),
            max_running,
            waiting: AtomicUsize::new(0),
            max_waiting,
            usual_run: Mutex::new(Duration::from_secs(1)),
        })
    }

    pub fn enter(self: &Arc<Self>) -> Result<Place, EngineError> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(Place {
                queue: Arc::clone(self),
                permit: Some(permit),
            });
        }
        let free = |waiting: usize| (waiting < self.max_waiting).then_some(waiting + 1);
        match self
            .waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, free)
        {
            Ok(_) => Ok(Place {
                queue: Arc::clone(self),
                permit: None,
            }),
            Err(waiting) => Err(EngineError::QueueFull {
                waiting,
                limit: self.max_waiting,
                retry_after: self.retry_after(waiting),
            }),
        }
    }

    /// When the request that would come after all that wait could start.
    fn retry_after(&self, waiting: usize) -> Duration {
        let rounds = (waiting + 1).div_ceil(self.max_running);
        self.usual_run()
            .saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
    }

    fn usual_run(&self) -> Duration {
        *self
            .usual_run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record_run(&self, duration: Duration) {
        let mut usual = self
            .usual_run
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *usual = (*usual * 4 + duration) / 5;
    }

    pub fn running(&self) -> usize {
        self.max_running - self.running.available_permits()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl Place {
    /// Waits for its turn. Cancel-safe: dropping the future keeps the place.
    pub async fn admitted(&mut self) -> Result<(), EngineError> {
        if self.permit.is_none() {
            let permit = Arc::clone(&self.queue.running).acquire_owned().await;
            let closed = |_| EngineError::Generation {
                reason: "the model was shut down".into(),
            };
            self.permit = Some(permit.map_err(closed)?);
            self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }

    pub fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.permit.is_none() {
            self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn whoever_finds_no_place_is_told_when_to_come_back() {
        let queue = Queue::new(1, 2);
        let first = queue.enter().unwrap();
        let mut second = queue.enter().unwrap();
        let third = queue.enter().unwrap();
        queue.record_run(Duration::from_secs(6));
        match queue.enter() {
            Err(EngineError::QueueFull {
                waiting: 2,
                limit: 2,
                retry_after,
            }) => assert_eq!(retry_after, Duration::from_secs(6)),
            other => panic!("{:?}", other.map(|_| ())),
        }
        drop(first);
        second.admitted().await.unwrap();
        assert_eq!((queue.running(), queue.waiting()), (1, 1));
        drop(third);
        drop(second);
        assert_eq!((queue.running(), queue.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn a_late_comer_does_not_overtake() {
        let queue = Queue::new(1, 2);
        let first = queue.enter().unwrap();
        let mut second = queue.enter().unwrap();
        let waiting = tokio::spawn(async move {
            second.admitted().await.unwrap();
            second
        });
        tokio::task::yield_now().await;
        drop(first);
        let late = queue.enter().unwrap();
        assert!(late.permit.is_none());
        drop(waiting.await.unwrap());
    }
}
