//! Who was let in a moment ago and may not come in any more: sessions that were ended, callers who
//! lost rights, keys that were withdrawn.
//!
//! The upstream that issues tokens numbers what it revokes and tells it in a feed, page by page
//! behind a number ([`page`]). Each feed has a follower here ([`follow`]), which keeps what it hears
//! in memory until it matters no longer ([`marks`]): a request is judged without asking anybody. A
//! push over Redis ([`push`]) makes it faster and is never relied on: it carries the feed's numbers,
//! and what it skips is read from the feed. Requests under way are known by their caller ([`ties`]),
//! so that a WebSocket or a stream of somebody who is revoked is cut.

mod follow;
mod leash;
mod marks;
mod page;
mod push;
mod ties;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderValue, StatusCode, header};
use plugin_sdk::{Facts, Reply};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::ask::Asking;
use crate::metrics::Metrics;
use crate::plan::{self, Plan};
use marks::Marks;
use ties::Ties;

pub use leash::{Leash, leashed};
pub(crate) use push::subscribe;
pub use ties::Tie;

/// What answers are said to come from.
pub(crate) const BY: &str = "revocation";
/// The code of what was revoked,
const REVOKED: &str = "token_revoked";
/// and of what can't be judged.
const UNKNOWN: &str = "revocation_unavailable";
/// How long a start waits for a feed to be read. After that it counts as out of reach.
const START: Duration = Duration::from_secs(3);

/// The feeds of the table that is served.
pub struct Revocations {
    feeds: ArcSwap<BTreeMap<Arc<str>, Running>>,
    asking: Arc<Asking>,
    metrics: Arc<Metrics>,
}

/// A feed, and what works for it. Both go when the last table that names it does.
#[derive(Clone)]
struct Running {
    feed: Arc<Feed>,
    /// Where pushes come from.
    redis: Option<Arc<str>>,
    _works: Arc<Works>,
}

struct Works(Vec<AbortHandle>);

impl Drop for Works {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// What is known from one feed.
pub(crate) struct Feed {
    /// The upstream that is asked.
    name: Arc<str>,
    /// For how long nothing may be heard, in milliseconds: the shortest that a way says.
    patience: AtomicU64,
    marks: Marks,
    ties: Arc<Ties>,
    started: Instant,
    /// When it was last certain that nothing was missing, in milliseconds from the start; 0 never.
    contact: AtomicU64,
    /// Set once the feed has been read to its end for the first time.
    read: watch::Sender<bool>,
    /// There was more than [`Marks`] hold: who is revoked is not known.
    overflown: AtomicBool,
}

impl Revocations {
    /// None yet.
    pub(crate) fn new(asking: Arc<Asking>, metrics: Arc<Metrics>) -> Self {
        Self {
            feeds: ArcSwap::default(),
            asking,
            metrics,
        }
    }

    /// Makes the feeds those of the plan. One that stays keeps what it knows. Must run within the
    /// runtime.
    pub(crate) fn apply(&self, plan: &Plan) {
        let old = self.feeds.load_full();
        let mut feeds: BTreeMap<Arc<str>, Running> = BTreeMap::new();
        for wish in plan.revocations.values() {
            let running = feeds.get(&wish.feed).or_else(|| old.get(&wish.feed));
            let running = match running {
                Some(running) if running.redis == wish.redis => running.clone(),
                // Pushes come from elsewhere now: what is known, and who is under way, stays.
                Some(running) => self.start(running.feed.clone(), wish),
                None => self.start(Arc::new(Feed::new(wish.feed.clone())), wish),
            };
            feeds.insert(wish.feed.clone(), running);
        }
        for (name, Running { feed, .. }) in &feeds {
            let wishes = plan.revocations.values();
            let wishes = wishes.filter(|wish| wish.feed == *name);
            let least = wishes.map(|wish| wish.patience).min().unwrap_or_default();
            let least = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
            feed.patience.store(least, Ordering::Relaxed);
        }
        self.feeds.store(Arc::new(feeds));
    }

    fn start(&self, feed: Arc<Feed>, wish: &plan::Revocation) -> Running {
        let works = follow::start(&feed, wish.redis.as_ref(), &self.asking, &self.metrics);
        Running {
            feed,
            redis: wish.redis.clone(),
            _works: Arc::new(Works(works)),
        }
    }

    /// Waits until every feed has been read once, but not for long.
    pub(crate) async fn caught_up(&self) {
        let feeds = self.feeds.load_full();
        let read = async {
            for running in feeds.values() {
                // The sender lives as long as the feed.
                let _ = running.feed.read.subscribe().wait_for(|read| *read).await;
            }
        };
        if tokio::time::timeout(START, read).await.is_err() {
            tracing::warn!("what is revoked is not known yet: `on_outage` holds until it is");
        }
    }

    /// Judges a caller who is known by now, and ties the request to them: what is revoked later
    /// cuts it. `Some` is the refusal.
    ///
    /// Tied first, judged then: a revocation that comes in between meets the request either way.
    pub(crate) fn judge(
        &self,
        plan: &Plan,
        facts: &Facts,
        leash: Option<&Arc<Leash>>,
    ) -> (Option<Tie>, Option<Box<Reply>>) {
        let (Some(who), Some(proof)) = (&facts.principal, &facts.proof) else {
            return (None, None);
        };
        let Some(wish) = plan.revocations.get(&proof.way) else {
            return (None, None);
        };
        let feeds = self.feeds.load();
        let Some(Running { feed, .. }) = feeds.get(&wish.feed) else {
            // Its table is on its way out.
            return (None, None);
        };
        let deny = wish.on_outage == plan::OnOutage::Deny;
        let tie = leash.map(|leash| Ties::tie(&feed.ties, who, proof, leash, deny));
        if feed.marks.revoke(who, proof) {
            return (tie, Some(Box::new(revoked())));
        }
        if feed.is_known(wish.patience) {
            return (tie, None);
        }
        if deny {
            return (tie, Some(Box::new(unavailable())));
        }
        let unjudged = &self.metrics.revocation_unjudged;
        unjudged.with_label_values(&[&*feed.name]).inc();
        (tie, None)
    }
}

impl Feed {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            patience: AtomicU64::new(u64::MAX),
            marks: Marks::default(),
            ties: Arc::default(),
            started: Instant::now(),
            contact: AtomicU64::new(0),
            read: watch::Sender::new(false),
            overflown: AtomicBool::new(false),
        }
    }

    /// Whether all that was revoked is known here, give or take `patience`.
    fn is_known(&self, patience: Duration) -> bool {
        let bound = match self.contact.load(Ordering::Acquire) {
            0 => START.min(patience),
            _ => patience,
        };
        self.silence() < bound && !self.overflown.load(Ordering::Acquire)
    }

    /// How long ago that was certain; since the start when it never was.
    fn silence(&self) -> Duration {
        let contact = Duration::from_millis(self.contact.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(contact)
    }

    /// It is certain now.
    fn heard(&self) {
        let now = self.started.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX).max(1);
        self.contact.store(now, Ordering::Release);
        self.read
            .send_if_modified(|read| !std::mem::replace(read, true));
    }
}

fn revoked() -> Reply {
    let mut reply = Reply::problem(
        StatusCode::UNAUTHORIZED,
        REVOKED,
        "What the caller proved has been revoked",
    )
    .header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"invalid_token\""),
    );
    reply.by = BY;
    reply
}

fn unavailable() -> Reply {
    let mut reply = Reply::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        UNKNOWN,
        "Whether the caller was revoked can't be told",
    )
    .header(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply.by = BY;
    reply
}
