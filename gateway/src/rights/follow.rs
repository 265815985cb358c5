//! Keeping up with the upstream's snapshot: one question at a time, most of which wait there until
//! there is news.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use plugin_sdk::{Rights, Snapshot};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{Feed, push};
use crate::ask::Asking;
use crate::metrics::Metrics;

/// Who asks, as the upstream's statement says.
const ASKER: &str = "rights";
/// The largest snapshot, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// The longest that a question waits for news: whole within what a question may take.
const WAIT: Duration = Duration::from_secs(3);
/// For the answer, beside the wait.
const ANSWER: Duration = Duration::from_secs(2);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two questions, at least: an upstream that does not wait is not asked in a circle.
const LEAST: Duration = Duration::from_millis(100);
/// A lower number than the one that is known is believed after this long. A replica may lag for a
/// moment, and must give back nothing that was taken; a database that was restored stays behind.
const ANEW: Duration = Duration::from_secs(2);
/// Between two looks at how old it is.
const LOOK: Duration = Duration::from_millis(250);

/// Starts what keeps up with a feed. Must run within the runtime.
pub(super) fn start(
    feed: &Arc<Feed>,
    redis: Option<&Arc<str>>,
    asking: &Arc<Asking>,
    metrics: &Arc<Metrics>,
) -> Vec<AbortHandle> {
    let (tell, heard) = watch::channel(0);
    let mut works = Vec::new();
    if let Some(redis) = redis {
        let listening = push::listen(feed.upstream.clone(), redis.clone(), tell);
        works.push(tokio::spawn(listening).abort_handle());
    }
    let follower = Follower {
        feed: feed.clone(),
        asking: asking.clone(),
        metrics: metrics.clone(),
        lower: None,
    };
    works.push(tokio::spawn(follower.follow(heard)).abort_handle());
    let watching = look(feed.clone(), metrics.clone());
    works.push(tokio::spawn(watching).abort_handle());
    works
}

struct Follower {
    feed: Arc<Feed>,
    asking: Arc<Asking>,
    metrics: Arc<Metrics>,
    /// Since when the upstream has told a lower number than the one that is known.
    lower: Option<Instant>,
}

/// What an answer was worth.
#[derive(Debug, PartialEq, Eq)]
enum Took {
    News,
    Nothing,
    Failure,
}

impl Follower {
    async fn follow(mut self, mut heard: watch::Receiver<u64>) {
        // The first one is wanted at once.
        let mut wait = Duration::ZERO;
        loop {
            let asked = Instant::now();
            let after = self.feed.version();
            let question = ask(&self.asking, &self.feed.upstream, after, wait);
            let answer = match wait {
                Duration::ZERO => Some(question.await),
                // What is only waited for may be given up. What was asked because of a push is not,
                // or pushes that come faster than answers would let none arrive.
                _ => tokio::select! {
                    answer = question => Some(answer),
                    () = newer(&mut heard, after) => None,
                },
            };
            let Some(answer) = answer else {
                self.count("pushed");
                wait = Duration::ZERO;
                continue;
            };
            wait = match self.take(answer) {
                Took::News | Took::Nothing => self.wait(),
                Took::Failure => {
                    tokio::time::sleep(PAUSE).await;
                    Duration::ZERO
                }
            };
            tokio::time::sleep_until(asked + LEAST).await;
        }
    }

    /// How long a question waits: not so long that an upstream which is there seems not to be.
    fn wait(&self) -> Duration {
        let wait = (self.feed.patience() / 2).min(WAIT);
        Duration::from_secs(wait.as_secs().max(1))
    }

    fn take(&mut self, answer: Result<Option<Snapshot>, String>) -> Took {
        let feed = &self.feed;
        let snapshot = match answer {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => {
                self.lower = None;
                feed.heard();
                return Took::Nothing;
            }
            Err(why) => {
                self.count("failed");
                tracing::debug!(upstream = %feed.upstream, why, "who may what can't be asked");
                return Took::Failure;
            }
        };
        if feed.version().is_some_and(|known| snapshot.version < known) {
            if self.lower.get_or_insert_with(Instant::now).elapsed() < ANEW {
                return Took::Failure;
            }
            tracing::warn!(upstream = %feed.upstream, "who may what begins anew with a lower number");
            self.count("reset");
        }
        self.lower = None;
        if snapshot.unread > 0 {
            let (version, rules) = (snapshot.version, snapshot.unread);
            tracing::error!(upstream = %feed.upstream, version, rules, "rules are not understood: they let nobody in");
            self.count("unread");
        }
        tracing::info!(upstream = %feed.upstream, version = snapshot.version, "who may what has changed");
        feed.snapshot.store(Some(Arc::new(snapshot)));
        feed.heard();
        Took::News
    }

    fn count(&self, event: &str) {
        count(&self.metrics, &self.feed, event);
    }
}

fn count(metrics: &Metrics, feed: &Feed, event: &str) {
    let events = &metrics.rights_events;
    events.with_label_values(&[&*feed.upstream, event]).inc();
}

/// Waits until a newer version than this is pushed.
async fn newer(heard: &mut watch::Receiver<u64>, after: Option<u64>) {
    loop {
        if heard.changed().await.is_err() {
            // Without Redis nobody tells.
            std::future::pending::<()>().await;
        }
        if Some(*heard.borrow_and_update()) > after {
            return;
        }
    }
}

/// Asks for what is newer than a version, which may be waited for a while. `None`: nothing is.
async fn ask(
    asking: &Asking,
    upstream: &str,
    after: Option<u64>,
    wait: Duration,
) -> Result<Option<Snapshot>, String> {
    let wait_s = wait.as_secs();
    let path = match after {
        Some(after) => format!("/internal/v1/authz?after={after}&wait={wait_s}"),
        None => "/internal/v1/authz".to_owned(),
    };
    let request = Request::builder().method(Method::GET).uri(path);
    let request = request.body(Bytes::new()).map_err(|e| e.to_string())?;
    let answer = asking.wait(upstream, ASKER, request, MAX_BYTES, wait + ANSWER);
    let answer = answer.await.map_err(|error| error.to_string())?;
    match answer.status() {
        StatusCode::OK => Snapshot::read(answer.body())
            .map(Some)
            .map_err(|error| format!("the answer was no snapshot: {error}")),
        StatusCode::NO_CONTENT if after.is_some() => Ok(None),
        status => Err(format!("the answer was {status}")),
    }
}

/// Keeps the figures, and says when nothing is heard any more and when again.
async fn look(feed: Arc<Feed>, metrics: Arc<Metrics>) {
    let (mut silent, mut away) = (false, false);
    loop {
        let silence = feed.silence();
        let name = &[&*feed.upstream];
        let version = i64::try_from(feed.version().unwrap_or(0)).unwrap_or(i64::MAX);
        metrics.rights_version.with_label_values(name).set(version);
        metrics
            .rights_age
            .with_label_values(name)
            .set(silence.as_secs_f64());
        let (was_silent, was_away) = (silent, away);
        silent = silence >= feed.patience();
        away = silent && matches!(feed.rights(), Rights::Unknown);
        if silent && !was_silent {
            count(&metrics, &feed, "silent");
            tracing::error!(upstream = %feed.upstream, "who may what is not told any more: `on_outage` holds");
        } else if was_silent && !silent {
            tracing::info!(upstream = %feed.upstream, "who may what is told again");
        }
        if away && !was_away {
            count(&metrics, &feed, "outage");
            tracing::error!(upstream = %feed.upstream, "who may what is not known: who needs a permission is answered 503");
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(version: u64) -> Result<Option<Snapshot>, String> {
        let text = format!(r#"{{"version": {version}, "roles": {{}}, "acl": {{}}}}"#);
        Snapshot::read(text.as_bytes())
            .map(Some)
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_replica_that_lags_gives_nothing_back_and_a_restored_database_does() {
        let mut follower = Follower {
            feed: Arc::new(Feed::new("users".into())),
            asking: Arc::default(),
            metrics: Arc::new(Metrics::new()),
            lower: None,
        };
        assert_eq!(follower.take(snapshot(5)), Took::News);
        assert_eq!(follower.take(snapshot(4)), Took::Failure);
        follower.lower = Instant::now().checked_sub(ANEW);
        // It has caught up in the meantime, so that the next one begins to lag anew.
        assert_eq!(follower.take(Ok(None)), Took::Nothing);
        assert_eq!(follower.take(snapshot(4)), Took::Failure);
        assert_eq!(follower.feed.version(), Some(5));
        follower.lower = Instant::now().checked_sub(ANEW);
        assert_eq!(follower.take(snapshot(4)), Took::News);
        assert_eq!(follower.feed.version(), Some(4));
    }

    #[tokio::test]
    async fn a_push_of_what_is_known_wakes_nobody() {
        let (tell, mut heard) = watch::channel(0);
        tell.send_replace(7);
        let woken = |heard: &mut watch::Receiver<u64>| {
            futures::FutureExt::now_or_never(newer(heard, Some(7)))
        };
        assert!(woken(&mut heard).is_none());
        tell.send_replace(6);
        assert!(woken(&mut heard).is_none());
        tell.send_replace(8);
        assert!(woken(&mut heard).is_some());
        // Once: another push must come, or a version that never arrives would be asked for in a circle.
        assert!(woken(&mut heard).is_none());
    }
}
