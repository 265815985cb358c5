//! Keeping up with a feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Feed;
use super::page::{self, Page};
use super::push::{self, Heard};
use super::ties::Tied;
use crate::ask::Asking;
use crate::metrics::Metrics;

/// How often the feed is asked while nothing is pushed: revocations take no longer then.
const POLL: Duration = Duration::from_millis(500);
/// How often it is asked beside pushes, in case they lie.
const BESIDE: Duration = Duration::from_secs(10);
/// Pushes come four times a second; when none has come for this long they are not relied on.
const QUIET: Duration = Duration::from_millis(600);
/// A push that was this long on its way, or whose clock is so far from ours, is not relied on.
const LATE_MS: i64 = 2_000;
/// Requests that end by themselves within this time are let: the logout that revokes is one.
const GRACE: Duration = Duration::from_millis(250);
/// Between two looks for marks that matter no longer.
const EXPIRE: Duration = Duration::from_secs(10);
/// Pushes that wait to be looked at.
const WAITING: usize = 64;

/// Starts what keeps up with a feed. Must run within the runtime.
pub(super) fn start(
    feed: &Arc<Feed>,
    redis: Option<&Arc<str>>,
    asking: &Arc<Asking>,
    metrics: &Arc<Metrics>,
) -> Vec<AbortHandle> {
    let (tell, heard) = mpsc::channel(WAITING);
    let mut works = Vec::new();
    if let Some(redis) = redis {
        let listening = push::listen(feed.name.clone(), redis.clone(), tell);
        works.push(tokio::spawn(listening).abort_handle());
    }
    let follower = Follower {
        feed: feed.clone(),
        asking: asking.clone(),
        metrics: metrics.clone(),
        cursor: None,
        asked: None,
        pushed: None,
        away: false,
        cutting: Arc::default(),
    };
    works.push(tokio::spawn(follower.follow(heard)).abort_handle());
    works
}

struct Follower {
    feed: Arc<Feed>,
    asking: Arc<Asking>,
    metrics: Arc<Metrics>,
    /// The last number that was read; none before the first.
    cursor: Option<u64>,
    /// When the feed was last asked, in vain or not.
    asked: Option<Instant>,
    /// When a push last told all there was.
    pushed: Option<Instant>,
    away: bool,
    /// Whether those under way will be looked at in a moment anyhow.
    cutting: Arc<AtomicBool>,
}

impl Follower {
    async fn follow(mut self, mut heard: mpsc::Receiver<Heard>) {
        let mut expire = Instant::now() + EXPIRE;
        loop {
            let due = self.due();
            tokio::select! {
                () = tokio::time::sleep_until(due) => self.catch_up().await,
                // Without Redis nobody tells: the channel is closed, and this branch off.
                Some(heard) = heard.recv() => self.hear(heard).await,
            }
            if expire <= Instant::now() {
                expire = Instant::now() + EXPIRE;
                self.feed.marks.expire(now_ms() / 1_000);
            }
            self.report();
        }
    }

    /// When the feed is to be asked next.
    fn due(&self) -> Instant {
        let Some(asked) = self.asked else {
            return Instant::now();
        };
        let quiet = self.pushed.map(|pushed| pushed + QUIET);
        match quiet {
            // Until pushes fall silent, and then at once.
            Some(quiet) if quiet > asked + POLL => quiet.min(asked + BESIDE),
            _ => asked + POLL,
        }
    }

    async fn hear(&mut self, heard: Heard) {
        let page = match heard {
            Heard::Page(page) => page,
            // What was pushed before the line was open is missing.
            Heard::Open | Heard::Noise => return self.catch_up().await,
        };
        let Some(cursor) = self.cursor else {
            return self.catch_up().await;
        };
        if page.after > cursor {
            self.count("missed");
            return self.catch_up().await;
        }
        let late = (now_ms() - page.at_ms).abs() > LATE_MS;
        self.take(&page, "push");
        let cursor = cursor.max(page.next);
        self.cursor = Some(cursor);
        if page.head > cursor {
            self.count("missed");
            return self.catch_up().await;
        }
        // One that tells less than is known was overtaken, and says nothing of what is new.
        if page.head == cursor && !late {
            self.pushed = Some(Instant::now());
            self.feed.heard();
        }
    }

    /// Reads the feed to its end.
    async fn catch_up(&mut self) {
        if self.feed.overflown.load(Ordering::Acquire) {
            // What had no room is to be had from the start alone.
            self.cursor = None;
        }
        let mut room = true;
        // What is older than our knowledge of the feed has come neither late nor early.
        let mut by = if self.cursor.is_some() { "feed" } else { "" };
        loop {
            let asked = page::ask(&self.asking, &self.feed.name, self.cursor).await;
            self.asked = Some(Instant::now());
            let page = match asked {
                Ok(page) if page.after == self.cursor.unwrap_or(0) => page,
                Ok(_) => return self.fail("the answer was to another question"),
                Err(why) => return self.fail(&why),
            };
            if self.cursor.is_some_and(|cursor| page.head < cursor) {
                tracing::warn!(feed = %self.feed.name, "the feed begins anew: it is read from its start");
                self.count("reset");
                (self.cursor, by) = (None, "");
                continue;
            }
            if page.lost {
                tracing::warn!(feed = %self.feed.name, "revocations were missed for good: all callers must come anew");
                self.count("lost");
                self.cut(super::REVOKED, |_| true);
            }
            room &= self.take(&page, by);
            self.cursor = Some(page.next);
            if page.next >= page.head {
                break;
            }
        }
        if room {
            // Only now: while it is read, and when it can't be, there still is more than we know.
            self.feed.overflown.store(false, Ordering::Release);
        }
        self.feed.heard();
    }

    fn fail(&self, why: &str) {
        self.count("failed");
        tracing::debug!(feed = %self.feed.name, why, "the feed can't be read");
    }

    /// Takes in what is new of a page. `by` is how it came; empty for what is older than we are.
    /// False when there was no room for all of it.
    fn take(&self, page: &Page, by: &str) -> bool {
        let now = now_ms();
        let known = self.cursor.unwrap_or(0);
        let (mut some, mut room) = (false, true);
        for item in page.items.iter().filter(|item| item.cursor > known) {
            some = true;
            if !self.feed.marks.set(item, now / 1_000) {
                room = false;
                if !self.feed.overflown.swap(true, Ordering::AcqRel) {
                    tracing::error!(feed = %self.feed.name, "more is revoked than there is room for: `on_outage` holds");
                }
            }
            if !by.is_empty() {
                let lag = (now - item.revoked_at_ms).max(0) as f64 / 1_000.0;
                let lags = &self.metrics.revocation_lag;
                lags.with_label_values(&[&*self.feed.name, by]).observe(lag);
            }
        }
        if some {
            self.cut_revoked();
        }
        room
    }

    /// Cuts what is still under way in a moment of those who are revoked now.
    fn cut_revoked(&self) {
        if self.cutting.swap(true, Ordering::AcqRel) {
            return;
        }
        let (feed, metrics, cutting) = (
            self.feed.clone(),
            self.metrics.clone(),
            self.cutting.clone(),
        );
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            cutting.store(false, Ordering::Release);
            let cut = feed.ties.cut(super::REVOKED, |tied| {
                feed.marks.revoke(&tied.who, &tied.proof)
            });
            counted(&metrics, &feed, cut);
        });
    }

    fn cut(&self, why: &'static str, meant: impl Fn(&Tied) -> bool) {
        let cut = self.feed.ties.cut(why, meant);
        counted(&self.metrics, &self.feed, cut);
    }

    fn count(&self, event: &str) {
        let events = &self.metrics.revocation_events;
        events.with_label_values(&[&*self.feed.name, event]).inc();
    }

    /// Keeps the figures, and says when nothing can be known any more and when it can again.
    fn report(&mut self) {
        let (feed, metrics) = (&self.feed, &self.metrics);
        let silence = feed.silence();
        let name = &[&*feed.name];
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        metrics
            .revocation_silence
            .with_label_values(name)
            .set(millis(silence) as f64 / 1_000.0);
        metrics
            .revocation_marks
            .with_label_values(name)
            .set(i64::try_from(feed.marks.len()).unwrap_or(i64::MAX));
        let pushed = self.pushed.is_some_and(|pushed| pushed.elapsed() < QUIET);
        metrics
            .revocation_pushed
            .with_label_values(name)
            .set(pushed.into());
        let away = !feed.is_known(Duration::from_millis(feed.patience.load(Ordering::Relaxed)));
        if away && !self.away {
            self.count("outage");
            tracing::error!(feed = %feed.name, "what is revoked can't be known: `on_outage` holds");
        } else if !away && self.away {
            tracing::info!(feed = %feed.name, "what is revoked is known again");
        }
        self.away = away;
        if away {
            // Where nobody is let in who can't be judged, nobody stays in either.
            self.cut(super::UNKNOWN, |tied| tied.deny);
        }
    }
}

fn counted(metrics: &Metrics, feed: &Feed, cut: usize) {
    if cut > 0 {
        tracing::info!(feed = %feed.name, cut, "requests of revoked callers were cut");
        metrics
            .revocation_cut
            .with_label_values(&[&*feed.name])
            .inc_by(u64::try_from(cut).unwrap_or(0));
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |past| {
        i64::try_from(past.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::super::marks::Marks;
    use super::super::page::Item;
    use super::*;

    fn item(cursor: u64) -> Item {
        Item {
            cursor,
            kind: "session".to_owned(),
            id: format!("s{cursor}"),
            not_before: None,
            revoked_at_ms: now_ms(),
            until: now_ms() / 1_000 + 60,
        }
    }

    /// Security case 26: what had no room is not known before the feed was read anew.
    #[tokio::test]
    async fn gateway_26_too_many_marks_are_unknown_until_all_have_room() {
        let feed = Feed {
            marks: Marks::of(1),
            ..Feed::new("users".into())
        };
        let mut follower = Follower {
            feed: Arc::new(feed),
            asking: Arc::default(),
            metrics: Arc::new(Metrics::new()),
            cursor: Some(0),
            asked: None,
            pushed: None,
            away: false,
            cutting: Arc::default(),
        };
        let page = Page {
            after: 0,
            next: 2,
            head: 2,
            lost: false,
            at_ms: now_ms(),
            items: vec![item(1), item(2)],
        };
        follower.hear(Heard::Page(page)).await;
        assert!(!follower.feed.is_known(Duration::MAX));
        // Nobody answers.
        follower.catch_up().await;
        assert!(!follower.feed.is_known(Duration::MAX), "nothing was read");
    }
}
