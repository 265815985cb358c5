//! Who may what, as one upstream keeps it: which permissions each role grants, and the rules of APIs.
//!
//! All of it is one snapshot with a number ([`plugin_sdk::Snapshot`]). It is pulled whole, by a
//! question that waits for news ([`follow`]), and kept in memory, so that a request is judged without
//! asking anybody. A push over Redis ([`push`]) tells that there is news and is never relied on: it
//! makes a gateway ask at once, and what it answers by is what the upstream says.

mod follow;
mod push;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use plugin_sdk::{Rights, Snapshot};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::ask::Asking;
use crate::metrics::Metrics;
use crate::plan::{self, Plan};

/// How long a start waits for the first snapshot. Until there is one, whoever needs it is a 503.
const START: Duration = Duration::from_secs(3);

/// What the table that is served judges by.
pub struct Current {
    running: ArcSwapOption<Running>,
    asking: Arc<Asking>,
    metrics: Arc<Metrics>,
}

/// A feed, and what works for it. Both go when the last table that names it does.
struct Running {
    feed: Arc<Feed>,
    /// Where pushes come from.
    redis: Option<Arc<str>>,
    works: Vec<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.works.iter().for_each(AbortHandle::abort);
    }
}

/// What is known from one upstream.
struct Feed {
    /// The upstream that is asked.
    upstream: Arc<str>,
    snapshot: ArcSwapOption<Snapshot>,
    /// For how long nothing may be heard before that is an outage, in milliseconds,
    patience: AtomicU64,
    /// and for how long the last snapshot holds then.
    hold: AtomicU64,
    started: Instant,
    /// When the snapshot was last certain to be the newest, in milliseconds from the start.
    contact: AtomicU64,
    /// Set once there is one.
    read: watch::Sender<bool>,
}

impl Current {
    /// Nothing yet.
    pub(crate) fn new(asking: Arc<Asking>, metrics: Arc<Metrics>) -> Self {
        Self {
            running: ArcSwapOption::empty(),
            asking,
            metrics,
        }
    }

    /// Follows what the plan says. What is known of an upstream that stays is kept. Must run within
    /// the runtime.
    pub(crate) fn apply(&self, plan: &Plan) {
        let Some(wish) = &plan.rights else {
            self.running.store(None);
            return;
        };
        let old = self.running.load_full();
        let old = old.filter(|old| old.feed.upstream == wish.upstream);
        let feed = old.as_ref().map(|old| old.feed.clone());
        let feed = feed.unwrap_or_else(|| Arc::new(Feed::new(wish.upstream.clone())));
        feed.set_bounds(wish);
        if old.is_some_and(|old| old.redis == wish.redis) {
            return;
        }
        let works = follow::start(&feed, wish.redis.as_ref(), &self.asking, &self.metrics);
        let redis = wish.redis.clone();
        self.running
            .store(Some(Arc::new(Running { feed, redis, works })));
    }

    /// Waits until there is a snapshot where one is wanted, but not for long.
    pub(crate) async fn caught_up(&self) {
        let Some(running) = self.running.load_full() else {
            return;
        };
        let mut read = running.feed.read.subscribe();
        let read = tokio::time::timeout(START, read.wait_for(|read| *read)).await;
        if read.is_err() {
            tracing::warn!("who may what is not known yet: who needs a permission is answered 503");
        }
    }

    /// What is known now.
    pub(crate) fn rights(&self) -> Rights {
        let running = self.running.load();
        running
            .as_ref()
            .map_or(Rights::Unknown, |it| it.feed.rights())
    }
}

impl Feed {
    fn new(upstream: Arc<str>) -> Self {
        Self {
            upstream,
            snapshot: ArcSwapOption::empty(),
            patience: AtomicU64::new(0),
            hold: AtomicU64::new(0),
            started: Instant::now(),
            contact: AtomicU64::new(0),
            read: watch::Sender::new(false),
        }
    }

    fn set_bounds(&self, wish: &plan::Rights) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.patience
            .store(millis(wish.patience), Ordering::Relaxed);
        self.hold.store(millis(wish.hold), Ordering::Relaxed);
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    fn rights(&self) -> Rights {
        let hold = Duration::from_millis(self.hold.load(Ordering::Relaxed));
        match self.snapshot.load_full() {
            Some(snapshot) if self.silence() < hold => Rights::Known(snapshot),
            _ => Rights::Unknown,
        }
    }

    /// The version that is known.
    fn version(&self) -> Option<u64> {
        self.snapshot
            .load()
            .as_ref()
            .map(|snapshot| snapshot.version)
    }

    /// How long ago it was last certain that nothing newer is there.
    fn silence(&self) -> Duration {
        let contact = Duration::from_millis(self.contact.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(contact)
    }

    /// It is certain now.
    fn heard(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.contact.store(now, Ordering::Release);
        self.read
            .send_if_modified(|read| !std::mem::replace(read, true));
    }
}
