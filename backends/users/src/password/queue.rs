//! So many passwords at work at a time, so many waiting, and then "come back later".

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Instant,
};

use axum::http::StatusCode;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry};
use rustix::process::setpriority_process;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use web::Problem;

/// What is done with a password; the label `work` of the metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Hashed for keeping.
    Hash,
    /// Held against the kept one, and hashed anew where that one is outdated.
    Verify,
    /// Judged before it is chosen.
    Judge,
}

/// All that costs processor time over passwords goes through here.
pub(crate) struct Queue {
    /// A place in the house: running or waiting.
    places: Arc<Semaphore>,
    /// A place at the stove. Fair: first come, first served.
    slots: Arc<Semaphore>,
    /// To the threads that work, one for each slot.
    stove: SyncSender<Job>,
    /// Counts whom there was no place for.
    refused: IntCounter,
    waited: HistogramVec,
    worked: HistogramVec,
}

type Job = Box<dyn FnOnce() + Send>;

/// How much the threads that work give way to all others (nice values go from 0 to 19): a flood of
/// sign-ins is not to be felt by whoever has nothing to do with it.
const GIVES_WAY: i32 = 10;

/// A place in the house. Whoever holds one is not turned away any more.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Why a piece of work was not done.
#[derive(Debug, Error)]
pub(crate) enum QueueError {
    #[error("too many passwords are waiting their turn")]
    Overloaded,
    #[error("working on a password panicked")]
    Panicked,
}

impl Work {
    fn label(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Verify => "verify",
            Self::Judge => "judge",
        }
    }
}

impl Queue {
    /// A queue that lets `slots` work at a time and `waiting` more wait.
    pub(crate) fn new(slots: usize, waiting: usize) -> std::io::Result<Self> {
        // Who has a slot sends one job: there is always room.
        let (stove, jobs) = sync_channel(slots);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..slots {
            let jobs = jobs.clone();
            let named = thread::Builder::new().name("password".to_owned());
            named.spawn(move || cook(&jobs))?;
        }
        let histogram = |name: &str, help: &str| {
            // From a judgement (under a millisecond) to the dearest hash that is let in.
            let buckets = vec![
                0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
            ];
            let opts = HistogramOpts::new(name, help).buckets(buckets);
            HistogramVec::new(opts, &["work"]).expect("a valid metric")
        };
        Ok(Self {
            stove,
            places: Arc::new(Semaphore::new(slots + waiting)),
            slots: Arc::new(Semaphore::new(slots)),
            refused: IntCounter::new(
                "users_passwords_refused_total",
                "Passwords that were not worked on because the queue was full",
            )
            .expect("a valid metric"),
            waited: histogram(
                "users_passwords_wait_seconds",
                "How long passwords waited for a slot",
            ),
            worked: histogram(
                "users_passwords_work_seconds",
                "How long passwords held a slot",
            ),
        })
    }

    /// Shows the queue's metrics.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.refused.clone()))?;
        registry.register(Box::new(self.waited.clone()))?;
        registry.register(Box::new(self.worked.clone()))
    }

    /// Takes a place. Who takes it before anything else is turned away at the price of nothing, which
    /// is what a flood should cost.
    pub(crate) fn enter(&self) -> Result<Place, QueueError> {
        let place = self.places.clone().try_acquire_owned();
        place.map(|_permit| Place { _permit }).map_err(|_| {
            self.refused.inc();
            QueueError::Overloaded
        })
    }

    /// Does `job` on a thread for passwords, when it is its turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: Work,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        self.run_at(self.enter()?, work, job).await
    }

    /// The same, for whoever has a place.
    pub(crate) async fn run_at<T: Send + 'static>(
        &self,
        place: Place,
        work: Work,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        let came = Instant::now();
        let slot = self
            .slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let waited = self.waited.with_label_values(&[work.label()]);
        waited.observe(came.elapsed().as_secs_f64());
        let worked: Histogram = self.worked.with_label_values(&[work.label()]);
        let (done, outcome) = oneshot::channel();
        let work = move || {
            // The thread holds both places, not the request: a caller who hangs up does not make
            // room for another beside this one.
            let held = (place, slot, worked.start_timer());
            // A panic would take the thread along, and with it the slot for good.
            let outcome = catch_unwind(AssertUnwindSafe(job));
            // First, so that whoever was waited for finds room when they come again.
            drop(held);
            if let Ok(outcome) = outcome {
                let _ = done.send(outcome);
            }
        };
        // The threads end with the queue, and so not before us.
        let _ = self.stove.send(Box::new(work));
        outcome.await.map_err(|_| QueueError::Panicked)
    }
}

/// Does one job after the other, until the queue is gone.
fn cook(jobs: &Mutex<Receiver<Job>>) {
    // Of this thread alone, on Linux. Where it may not be said, the others have to do without.
    let _ = setpriority_process(None, GIVES_WAY);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error {
            // The queue empties within a second.
            QueueError::Overloaded => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many sign-ins at the moment",
            )
            .retry_after(1),
            QueueError::Panicked => Problem::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_panic_costs_nobody_their_turn() {
        let queue = Queue::new(1, 1).expect("threads");
        let died = queue.run(Work::Judge, || panic!("as a test does")).await;
        assert!(matches!(died, Err::<(), _>(QueueError::Panicked)));
        queue.run(Work::Judge, || ()).await.expect("the next turn");
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once_and_all_is_counted() {
        let queue = Arc::new(Queue::new(1, 1).expect("threads"));
        let slot = queue.slots.clone().acquire_owned().await.expect("open");
        let wait = |work| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.run(work, || ()).await })
        };
        let waiting = [wait(Work::Hash), wait(Work::Verify)];
        while queue.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = tokio::time::timeout(
            Duration::from_secs(1),
            queue.run(Work::Verify, || unreachable!("there is no place")),
        )
        .await;
        assert!(matches!(
            refused.expect("no waiting"),
            Err(QueueError::Overloaded)
        ));

        drop(slot);
        for waiting in waiting {
            waiting.await.expect("ran").expect("had a turn");
        }
        queue.run(Work::Judge, || ()).await.expect("room again");
        assert_eq!(queue.refused.get(), 1);
        for work in [Work::Hash, Work::Verify, Work::Judge] {
            let count = |times: &HistogramVec| {
                let labels = [work.label()];
                times.with_label_values(&labels).get_sample_count()
            };
            assert_eq!((count(&queue.waited), count(&queue.worked)), (1, 1));
        }
    }
}
