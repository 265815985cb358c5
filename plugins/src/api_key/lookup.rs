//! What is known of keys, and asking about the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use plugin_sdk::{Clock, Env};
use tokio::sync::watch;

use super::known::{Answer, Known};
use super::{ANSWER_WITHIN, Config, NEWS_WITHIN, Question};

/// Good keys that are remembered.
const GOOD_KEPT: u64 = 100_000;

/// Hashes that were nobody's and are remembered.
const BAD_KEPT: u64 = 20_000;

/// How long. Short: a key is used right after it was made.
const BAD_FOR: Duration = Duration::from_secs(5);

/// Questions under way at a time, and of those for one client.
const MAX_ASKED: usize = 64;
const MAX_ASKED_PER_CLIENT: usize = 8;

/// Keys of one client that are nobody's, within `GUESSES_PER`. Then we stop asking about its keys.
const MAX_GUESSES: u32 = 20;
const GUESSES_PER: Duration = Duration::from_secs(10);

/// Clients that have guessed and are remembered.
const GUESSERS_KEPT: u64 = 20_000;

/// After a failure the upstream is asked again after this time, so that nobody waits for an answer
/// again and again that does not come.
const PAUSE: Duration = Duration::from_secs(1);

/// An answer is a few hundred bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

const PATH: &str = "/internal/v1/api-keys/resolve";

type Hash = [u8; 32];

/// What memory says of a key.
pub(super) enum Seen {
    Good(Arc<Known>),
    Bad,
    Not,
}

/// The keys of one upstream.
pub(super) struct Lookups {
    upstream: String,
    way: Arc<str>,
    cache: Duration,
    stale: Duration,
    clock: Arc<dyn Clock>,
    env: Env,
    good: moka::sync::Cache<Hash, Kept>,
    bad: moka::sync::Cache<Hash, Duration>,
    guesses: moka::sync::Cache<IpAddr, Arc<Mutex<Guesses>>>,
    asked: Mutex<HashMap<Hash, Asked>>,
    /// Until when the upstream is not asked, in milliseconds of the clock.
    pause_until_ms: AtomicU64,
}

/// An answer, and when it came.
#[derive(Clone)]
struct Kept {
    known: Arc<Known>,
    at: Duration,
}

/// How many keys of a client were nobody's of late.
#[derive(Default)]
struct Guesses {
    since: Duration,
    count: u32,
}

/// A question under way.
struct Asked {
    client: IpAddr,
    answer: watch::Receiver<Option<Answer>>,
}

impl Lookups {
    pub(super) fn new(config: &Config, env: &Env) -> Self {
        Self {
            upstream: config.upstream.clone(),
            way: env.entry().into(),
            cache: config.cache.0,
            stale: config.stale.0,
            clock: Arc::clone(&env.clock),
            env: env.clone(),
            good: moka::sync::Cache::new(GOOD_KEPT),
            bad: moka::sync::Cache::new(BAD_KEPT),
            guesses: moka::sync::Cache::new(GUESSERS_KEPT),
            asked: Mutex::default(),
            pause_until_ms: AtomicU64::new(0),
        }
    }

    /// What is known without asking. During an outage that is all there is.
    pub(super) fn remembered(&self, hash: &Hash) -> Seen {
        let now = self.clock.monotonic();
        if let Some(kept) = self.good.get(hash) {
            let age = now.saturating_sub(kept.at);
            if age < self.cache || (age < self.stale && self.paused(now)) {
                return Seen::Good(kept.known);
            }
        }
        match self.bad.get(hash) {
            Some(at) if now.saturating_sub(at) < BAD_FOR => Seen::Bad,
            _ => Seen::Not,
        }
    }

    fn paused(&self, now: Duration) -> bool {
        now.as_millis() < u128::from(self.pause_until_ms.load(Ordering::Relaxed))
    }

    /// Asks the upstream, or waits with whoever has asked already.
    pub(super) async fn ask(self: &Arc<Self>, question: Question, client: IpAddr) -> Answer {
        let hash = question.hash;
        let older = self.older(&hash);
        let mut answer = match (self.join(question, client), older) {
            // Somebody is asking already: until they know, what was known holds.
            (Join::Joined(_), Some(older)) => return Answer::Good(older.known),
            (Join::Joined(answer) | Join::Begun(answer), _) => answer,
            (Join::Refused(answer), _) => {
                self.env.count("lookup_refused");
                return match self.fallback(&hash) {
                    Answer::None => answer,
                    known => known,
                };
            }
        };
        let within = match self.older(&hash) {
            Some(_) => NEWS_WITHIN,
            None => ANSWER_WITHIN,
        };
        let answer = tokio::time::timeout(within, answer.wait_for(Option::is_some)).await;
        match answer.map(|answer| answer.ok().and_then(|answer| answer.clone())) {
            Ok(Some(Answer::None) | None) => self.fallback(&hash),
            Ok(Some(answer)) => answer,
            Err(_) => self.fallback(&hash),
        }
    }

    /// An older answer that holds while there is no newer one.
    fn older(&self, hash: &Hash) -> Option<Kept> {
        let age = |kept: &Kept| self.clock.monotonic().saturating_sub(kept.at);
        self.good.get(hash).filter(|kept| age(kept) < self.stale)
    }

    /// Where there is no answer, an older one holds for a while.
    fn fallback(&self, hash: &Hash) -> Answer {
        match self.older(hash) {
            Some(kept) => {
                self.env.count("stale_key_used");
                Answer::Good(kept.known)
            }
            None => Answer::None,
        }
    }

    /// Joins the question about this key, or begins it, unless there are too many under way, the
    /// upstream has just failed, or the client is guessing.
    fn join(self: &Arc<Self>, question: Question, client: IpAddr) -> Join {
        let client = network_of(client);
        let now = self.clock.monotonic();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = asked.get(&question.hash) {
            return Join::Joined(asked.answer.clone());
        }
        if self
            .guesses
            .get(&client)
            .is_some_and(|it| locked(&it).are_many(now))
        {
            return Join::Refused(Answer::Guessing);
        }
        let of_client = asked.values().filter(|asked| asked.client == client);
        if self.paused(now) || asked.len() >= MAX_ASKED || of_client.count() >= MAX_ASKED_PER_CLIENT
        {
            return Join::Refused(Answer::None);
        }
        let (tell, answer) = watch::channel(None);
        let entry = Asked {
            client,
            answer: answer.clone(),
        };
        asked.insert(question.hash, entry);
        // A task that is dropped unrun takes its entry out again.
        drop(asked);
        // Beside the request: a client that goes away takes nobody's answer with it.
        let question = Ask {
            lookups: Arc::downgrade(self),
            hash: question.hash,
            id: question.id,
            client,
        };
        self.env.spawn(question.run(tell));
        Join::Begun(answer)
    }

    fn note_guess(&self, client: IpAddr) {
        let guesses = self.guesses.get_with(client, Arc::default);
        locked(&guesses).add(self.clock.monotonic());
    }

    async fn put(&self, hash: &Hash, id: &str) -> Answer {
        let body = serde_json::json!({ "id": id, "hash": URL_SAFE_NO_PAD.encode(hash) });
        let request = Request::post(PATH)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body.to_string()))
            .expect("the path and the header are well-formed");
        let asked =
            self.env
                .upstreams
                .ask(&self.upstream, self.env.entry(), request, MAX_ANSWER_BYTES);
        let now = || self.clock.monotonic();
        let why = match asked.await {
            Ok(answer) if answer.status() == StatusCode::NOT_FOUND => {
                self.good.invalidate(hash);
                self.bad.insert(*hash, now());
                return Answer::Bad;
            }
            Ok(answer) if answer.status() == StatusCode::OK => {
                match Known::read(answer.body(), &self.way) {
                    Some(known) => {
                        let known = Arc::new(known);
                        let kept = Kept {
                            known: known.clone(),
                            at: now(),
                        };
                        self.good.insert(*hash, kept);
                        return Answer::Good(known);
                    }
                    None => "the answer is not what was asked for".to_owned(),
                }
            }
            Ok(answer) => format!("the answer was {}", answer.status()),
            Err(error) => error.to_string(),
        };
        let until = (now() + PAUSE).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.pause_until_ms.store(until, Ordering::Relaxed);
        self.env.count("lookup_failed");
        tracing::warn!(
            upstream = self.upstream,
            why,
            "API keys can't be asked about; known ones hold until they are stale"
        );
        Answer::None
    }
}

/// What joining a question came to.
enum Join {
    Joined(watch::Receiver<Option<Answer>>),
    Begun(watch::Receiver<Option<Answer>>),
    Refused(Answer),
}

impl Guesses {
    fn are_many(&self, now: Duration) -> bool {
        self.count >= MAX_GUESSES && now.saturating_sub(self.since) < GUESSES_PER
    }

    fn add(&mut self, now: Duration) {
        if now.saturating_sub(self.since) >= GUESSES_PER {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
    }
}

fn locked(guesses: &Mutex<Guesses>) -> std::sync::MutexGuard<'_, Guesses> {
    guesses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question on its way.
struct Ask {
    lookups: Weak<Lookups>,
    hash: Hash,
    id: String,
    client: IpAddr,
}

impl Ask {
    async fn run(self, tell: watch::Sender<Option<Answer>>) {
        let Some(lookups) = self.lookups.upgrade() else {
            return;
        };
        let answer = lookups.put(&self.hash, &self.id).await;
        if matches!(answer, Answer::Bad) {
            lookups.note_guess(self.client);
        }
        drop(lookups);
        let _ = tell.send(Some(answer));
    }
}

impl Drop for Ask {
    /// However it ended, a panic included: the next request may ask again.
    fn drop(&mut self) {
        if let Some(lookups) = self.lookups.upgrade() {
            let mut asked = lookups.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.remove(&self.hash);
        }
    }
}

/// Of an IPv6 address the first 64 bits: whoever has one has all of those.
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}
