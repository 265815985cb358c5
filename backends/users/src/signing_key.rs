//! The keys that sign access tokens. They are the system's own: it makes the next one long before it
//! signs, lets it take over at its time, and throws the one before it away once its last token is
//! void, so that whoever checks tokens by the published keys never meets one they can't know.
//!
//! The keys lie in the database, sealed ([`crate::key::Key::seal`]), and in the memory of every
//! replica. Who signs is told by the times that stand beside each key, so all replicas change over
//! at the same moment without a word between them. A replica reads them anew each minute, whenever
//! one is due to change, and when another replica rings ([`job`]).

pub(crate) mod rotate;
mod schedule;
mod store;

pub use schedule::RotateEvery;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration as Span, Instant};

use arc_swap::ArcSwapOption;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use ed25519_dalek::SigningKey;
use host::{Clock, Job, Need};
use sqlx::{PgConnection, PgPool};
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use tokio_util::sync::{CancellationToken, DropGuard};
use web::Problem;

use crate::{
    App,
    jwks::JwksDocument,
    key::Key,
    token::{self, Signer},
};
use schedule::{Step, Times};
use store::SealedKey;

/// What rings when the keys have changed.
const BELL: &str = "users.signing_key";
/// How often a replica looks at the keys, rung for or not.
const LOOK: Span = Span::from_secs(60);
/// The same as long as it has none.
const LOOK_WITHOUT: Span = Span::from_secs(5);
/// How long a run of the job waits for the bell. Short, since a process that stops waits for it.
const PULSE: Span = Span::from_millis(500);
/// The longest that one look may take.
const ANSWER: Span = Span::from_secs(10);
/// Requests look by themselves at keys that were read so long ago: the job has failed to.
const STALE: Duration = Duration::minutes(2);
/// After a look that failed, requests don't try again for so long.
const PAUSE: Span = Span::from_secs(1);

/// The keys as this replica knows them.
pub(crate) struct Keys {
    pool: PgPool,
    clock: Clock,
    /// Opens the private halves.
    seal: Key,
    every: RotateEvery,
    set: ArcSwapOption<Set>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    looked: Mutex<Looked>,
}

/// When the keys were last looked for, and last in vain.
#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    failed_at: Option<Instant>,
}

/// What was read at one time.
struct Set {
    keys: Vec<(Times, Arc<Signer>)>,
    document: Arc<JwksDocument>,
    /// From then on it is time to read again.
    fresh_until: OffsetDateTime,
}

/// Why nothing can be signed at the moment.
#[derive(Debug, Error)]
#[error("there is no signing key yet")]
pub(crate) struct NoSigningKey;

/// Why the keys can't be had.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    #[error(
        "the signing key {kid} was not sealed under this `refresh_key`: start with the secret that \
         it was sealed under, the same for every replica. Nothing was changed"
    )]
    OtherSecret { kid: String },
    #[error("drawing a signing key")]
    Randomness(#[from] getrandom::Error),
    #[error("reading the signing keys")]
    Store(#[from] sqlx::Error),
}

impl Keys {
    pub(crate) fn new(pool: PgPool, clock: Clock, secret: &Key, every: RotateEvery) -> Self {
        Self {
            pool,
            clock,
            seal: secret.derive("signing key"),
            every,
            set: ArcSwapOption::empty(),
            looking: tokio::sync::Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// The key whose time it is.
    pub(crate) fn signer(&self, now: OffsetDateTime) -> Result<Arc<Signer>, NoSigningKey> {
        let set = self.set.load();
        let mut keys = set.iter().flat_map(|set| &set.keys);
        let (_, signer) = keys
            .find(|(times, _)| times.signs_at(now))
            .ok_or(NoSigningKey)?;
        Ok(signer.clone())
    }

    /// Reads a token that one of the published keys has signed.
    pub(crate) fn read(&self, token: &str) -> Option<serde_json::Value> {
        let set = self.set.load();
        let mut keys = set.iter().flat_map(|set| &set.keys);
        keys.find_map(|(_, signer)| signer.read(token))
    }

    /// The public halves, as they are published.
    pub(crate) fn document(&self) -> Result<Arc<JwksDocument>, NoSigningKey> {
        let set = self.set.load();
        set.as_ref()
            .map(|set| set.document.clone())
            .ok_or(NoSigningKey)
    }

    /// Looks at the keys if it is time to. Who has keys goes on with them when that fails, or while
    /// somebody else is looking.
    async fn keep_fresh(&self) {
        let now = self.clock.now();
        let is_fresh = || {
            self.set
                .load()
                .as_ref()
                .is_some_and(|set| now < set.fresh_until)
        };
        if is_fresh() {
            return;
        }
        let _looking = match self.set.load().is_some() {
            true => match self.looking.try_lock() {
                Ok(looking) => looking,
                Err(_) => return,
            },
            false => self.looking.lock().await,
        };
        let failed_at = self.looked().failed_at;
        if is_fresh() || failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        if let Err(error) = self.look(now).await {
            let error = anyhow::Error::new(error);
            tracing::warn!(
                error = format!("{error:#}"),
                "the signing keys can't be had"
            );
        }
    }

    /// Reads the keys, and does what is due. Only while `looking` is held.
    async fn look(&self, now: OffsetDateTime) -> Result<(), KeysError> {
        let read = async {
            let mut keys = store::all(&self.pool).await?;
            if self.is_due(&keys, now) {
                keys = self.turn(now).await?;
            }
            self.open(&keys, now)
        };
        let read = match tokio::time::timeout(ANSWER, read).await {
            Ok(read) => read,
            Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
        };
        let mut looked = self.looked();
        looked.at = Some(Instant::now());
        looked.failed_at = read.is_err().then(Instant::now);
        self.set.store(Some(Arc::new(read?)));
        Ok(())
    }

    fn is_due(&self, keys: &[SealedKey], now: OffsetDateTime) -> bool {
        let newest = keys.last().map(|key| &key.times);
        schedule::due(newest, now, self.every).is_some()
            || keys.iter().any(|key| key.times.published_until <= now)
    }

    async fn turn(&self, now: OffsetDateTime) -> Result<Vec<SealedKey>, KeysError> {
        let mut tx = self.pool.begin().await?;
        let keys = store::lock_all(&mut tx).await?;
        let keys = self.step(&mut tx, keys, now).await?;
        pg::ring(&mut tx, BELL).await?;
        tx.commit().await?;
        Ok(keys)
    }

    /// Does what is due with keys that nobody else changes, and gives them as they are then.
    async fn step(
        &self,
        tx: &mut PgConnection,
        mut keys: Vec<SealedKey>,
        now: OffsetDateTime,
    ) -> Result<Vec<SealedKey>, KeysError> {
        // With another secret nothing is touched, not even what is over.
        self.open(&keys, now)?;
        while let Some(step) = schedule::due(keys.last().map(|key| &key.times), now, self.every) {
            let times = match step {
                Step::Begin(times) => times,
                Step::Announce { newest, new } => {
                    if let Some(key) = keys.last_mut().filter(|key| key.times != newest) {
                        store::set_times(tx, &key.kid, &newest).await?;
                        key.times = newest;
                    }
                    new
                }
            };
            keys.push(self.make(tx, times, now).await?);
        }
        for over in keys.extract_if(.., |key| key.times.published_until <= now) {
            store::remove(tx, &over.kid).await?;
            tracing::info!(kid = over.kid, "a signing key is over");
        }
        Ok(keys)
    }

    async fn make(
        &self,
        tx: &mut PgConnection,
        times: Times,
        now: OffsetDateTime,
    ) -> Result<SealedKey, KeysError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let key = SigningKey::from_bytes(&seed);
        let kid = token::key_id(&key);
        let sealed = SealedKey {
            sealed: self.seal.seal(kid.as_bytes(), &seed)?,
            kid,
            times,
        };
        store::add(tx, &sealed, &token::public_x(&key), now).await?;
        let (kid, signs_from) = (&sealed.kid, times.signs_from);
        tracing::info!(kid, %signs_from, "a signing key was made");
        Ok(sealed)
    }

    /// Opens them all, so that a secret which is another is noticed at the start and not when the
    /// next key takes over.
    fn open(&self, keys: &[SealedKey], now: OffsetDateTime) -> Result<Set, KeysError> {
        let open = |key: &SealedKey| {
            let seed = self.seal.open(key.kid.as_bytes(), &key.sealed);
            let opened = seed
                .and_then(|seed| Some(SigningKey::from_bytes(seed.as_slice().try_into().ok()?)));
            opened
                .filter(|opened| token::key_id(opened) == key.kid)
                .map(|opened| (key.times, Arc::new(Signer::new(opened))))
                .ok_or_else(|| KeysError::OtherSecret {
                    kid: key.kid.clone(),
                })
        };
        let keys: Vec<_> = keys.iter().map(open).collect::<Result<_, _>>()?;
        let changes = keys
            .iter()
            .flat_map(|(times, _)| [times.signs_from, times.published_until])
            .filter(|at| *at > now);
        Ok(Set {
            fresh_until: changes.fold(now + STALE, OffsetDateTime::min),
            document: Arc::new(JwksDocument::new(keys.iter().map(|(_, signer)| &**signer))),
            keys,
        })
    }

    fn looked(&self) -> std::sync::MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job has to look although nobody rang.
    fn is_time_to_look(&self) -> bool {
        let pause = match self.set.load().is_some() {
            true => LOOK,
            false => LOOK_WITHOUT,
        };
        self.looked().at.is_none_or(|at| at.elapsed() >= pause)
    }
}

/// Looks at the keys before each request if it is time to, so that one which begins never finds a
/// key over that nobody has replaced. From memory, but for once in a minute or two.
pub(crate) async fn kept_fresh(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    app.tokens.keys().keep_fresh().await;
    next.run(request).await
}

/// Looks at the keys each minute, when another replica has changed them, and when that is due.
pub(crate) fn job(keys: &Arc<Keys>) -> Job {
    let keys = keys.clone();
    let bell: Arc<tokio::sync::Mutex<Option<(pg::Bell, DropGuard)>>> = Arc::default();
    Job {
        name: "signing_keys",
        every: Span::from_millis(10),
        limit: PULSE + ANSWER * 2,
        run: Arc::new(move || {
            let (keys, bell) = (keys.clone(), bell.clone());
            Box::pin(async move {
                let mut bell = bell.lock().await;
                let (bell, _) = bell.get_or_insert_with(|| {
                    let stop = CancellationToken::new();
                    let bell = pg::Bell::hang(&keys.pool, BELL, stop.clone());
                    (bell, stop.drop_guard())
                });
                if !keys.is_time_to_look() {
                    let rung = tokio::time::timeout(PULSE, bell.rung()).await.is_ok();
                    if !rung && !keys.is_time_to_look() {
                        return Ok(());
                    }
                }
                let _looking = keys.looking.lock().await;
                Ok(keys.look(keys.clock.now()).await?)
            })
        }),
    }
}

/// Without a key nobody can sign in, so requests are better sent to another replica.
pub(crate) fn need(keys: &Arc<Keys>) -> Need {
    let keys = keys.clone();
    Need {
        name: "signing keys",
        is_met: Arc::new(move || {
            let keys = keys.clone();
            Box::pin(async move {
                keys.keep_fresh().await;
                let (set, now) = (keys.set.load(), keys.clock.now());
                let mut times = set.iter().flat_map(|set| &set.keys);
                times.any(|(times, _)| times.signs_at(now))
            })
        }),
    }
}

impl From<NoSigningKey> for Problem {
    fn from(_: NoSigningKey) -> Self {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_unavailable",
            "Temporarily unavailable",
        )
        .retry_after(1)
    }
}
