use std::any::Any;
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};

/// What the gateway lends to plugins while they are built and after.
#[derive(Clone)]
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Asks servers elsewhere: for key sets, metadata, tokens.
    pub fetch: Arc<dyn Fetch>,
    /// Asks our own upstreams.
    pub upstreams: Arc<dyn Upstreams>,
    /// Where the cluster's Redis is (`redis://…`), when there is one.
    pub redis: Option<Arc<str>>,
    /// The headers that tell upstreams who is calling, besides the seal: nobody else writes them.
    pub identity_headers: Arc<[HeaderName]>,
    name: Arc<str>,
    tasks: Arc<dyn Tasks>,
    meter: Arc<dyn Meter>,
    base: Arc<Path>,
    kept: Arc<Mutex<HashMap<String, Weak<dyn Any + Send + Sync>>>>,
}

/// Tells the time; a test's stands still.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// Seconds since 1970.
    fn unix(&self) -> i64 {
        self.now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |past| i64::try_from(past.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Runs what a plugin does beside the requests.
pub trait Tasks: Send + Sync {
    /// Runs a future until it ends. `gateway check` drops it unrun.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// What [`Fetch::get`] comes to.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>>;

/// What asking another server comes to.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + 'a>>;

/// Asks other servers over HTTP, within bounds of time and size, following no redirect.
pub trait Fetch: Send + Sync {
    /// Gets the document at `url`, at most `limit` bytes of it. Any status but 200 is an error.
    fn get<'a>(&'a self, url: &'a str, limit: usize) -> Fetched<'a> {
        Box::pin(async move {
            let request = Request::get(url)
                .body(Bytes::new())
                .map_err(|error| FetchError(error.to_string()))?;
            let answer = self.send(request, limit).await?;
            match answer.status() {
                StatusCode::OK => Ok(answer.into_body()),
                status => Err(FetchError(format!("the answer was {status}"))),
            }
        })
    }

    /// Sends a request and brings its answer, whatever the status. An answer's body of more than
    /// `limit` bytes is an error.
    fn send<'a>(&'a self, request: Request<Bytes>, limit: usize) -> Sent<'a>;
}

/// Asks our own upstreams, in the gateway's name: the statement that they get names nobody, and its
/// route is `gateway:` and the name of who asks, which no route of a table can have.
pub trait Upstreams: Send + Sync {
    /// Sends a request, whose URI is a path only, to an upstream of the table. Bounds as with
    /// [`Fetch::send`].
    fn ask<'a>(
        &'a self,
        upstream: &'a str,
        asker: &'a str,
        request: Request<Bytes>,
        limit: usize,
    ) -> Sent<'a>;
}

/// Counts what plugins have to tell.
pub trait Meter: Send + Sync {
    /// Counts an event of the plugin of that name.
    fn count(&self, plugin: &str, event: &'static str);
}

/// What [`Env::new`] puts together.
#[derive(Clone)]
pub struct Lent {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What runs beside the requests.
    pub tasks: Arc<dyn Tasks>,
    /// Other servers.
    pub fetch: Arc<dyn Fetch>,
    /// Our own upstreams.
    pub upstreams: Arc<dyn Upstreams>,
    /// What is counted.
    pub meter: Arc<dyn Meter>,
}

/// Why a document was not had; says nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

impl Env {
    /// Puts together what is lent. Relative paths start at `base`, the route table's folder.
    /// There is no Redis until somebody says where.
    pub fn new(base: PathBuf, lent: Lent) -> Self {
        Self {
            clock: lent.clock,
            fetch: lent.fetch,
            upstreams: lent.upstreams,
            redis: None,
            identity_headers: Arc::default(),
            name: Arc::from(""),
            tasks: lent.tasks,
            meter: lent.meter,
            base: base.into(),
            kept: Arc::default(),
        }
    }

    /// The same, lent to the plugin that the route table knows under this name: two limits that
    /// are written alike count apart, and each finds its counters again after a reload.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self.clone()
        }
    }

    /// What the route table calls the plugin that is being built: `limits.login`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the entry that is being built: `user` of `auth.user.jwt`.
    pub fn entry(&self) -> &str {
        self.name.split('.').nth(1).unwrap_or(&self.name)
    }

    /// A path as the route table says it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.base.join(relative)
    }

    /// Runs a task beside the requests.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(Box::pin(task));
    }

    /// Counts an event under the name of the plugin that is being built: an outage, say. `event`
    /// is one of a few words, since it becomes a label.
    pub fn count(&self, event: &'static str) {
        self.meter.count(&self.name, event);
    }

    /// The thing of that name which an earlier load of the table made, or a new one: counters and
    /// keys outlive a reload this way. It lives as long as somebody holds it. The name should say
    /// all of the configuration that the thing depends on. `make` must not keep anything itself.
    pub fn keep<T: Any + Send + Sync>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let made = self.try_keep(name, || Ok::<_, Infallible>(make()));
        made.unwrap_or_else(|never| match never {})
    }

    /// The same, of what may fail to be made; of a failure nothing is kept.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn try_keep<T: Any + Send + Sync, E>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, thing| thing.strong_count() > 0);
        let known = kept.get(name).and_then(Weak::upgrade);
        if let Some(thing) = known.and_then(|thing| thing.downcast::<T>().ok()) {
            return Ok(thing);
        }
        let thing = Arc::new(make()?);
        let weak: Weak<dyn Any + Send + Sync> = Arc::downgrade(&thing) as _;
        kept.insert(name.to_owned(), weak);
        Ok(thing)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::TestEnv;

    #[test]
    fn a_kept_thing_outlives_a_reload_and_not_its_last_holder() {
        let env = TestEnv::default().env;
        let first = env.keep("count of login", || 1_u32);
        let again = env.named("limits.login").keep("count of login", || 2_u32);
        assert_eq!((*first, *again), (1, 1));
        drop((first, again));
        assert_eq!(*env.keep("count of login", || 3_u32), 3);
    }

    #[test]
    fn of_a_failure_nothing_is_kept() {
        let env = TestEnv::default().env;
        let failed = env.try_keep("key", || Err::<u32, _>("no such file"));
        assert_eq!(failed, Err("no such file"));
        assert_eq!(*env.keep("key", || 1_u32), 1);
    }

    #[test]
    fn two_types_under_one_name_do_not_meet() {
        let env = TestEnv::default().env;
        let number = env.keep("thing", || 1_u32);
        let text = env.keep("thing", || "one".to_owned());
        assert_eq!((*number, text.as_str()), (1, "one"));
    }

    #[test]
    fn a_named_env_lends_the_same_things() {
        let lent = TestEnv::default();
        let named = lent.env.named("limits.login");
        lent.clock.advance(std::time::Duration::from_secs(5));
        assert_eq!(named.name(), "limits.login");
        assert_eq!(named.clock.monotonic().as_secs(), 5);
        assert_eq!(lent.env.name(), "");
    }
}
