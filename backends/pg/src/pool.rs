//! Pools: bounded, with a deadline on everything.

use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

/// How an app may use its database.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The most connections that a process opens to one database.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is answered 503.
    pub acquire_timeout: Duration,
    /// The longest that one statement may run.
    pub statement_timeout: Duration,
    /// The longest that a statement waits for somebody's lock.
    pub lock_timeout: Duration,
    /// Whether PgBouncer stands in between in transaction mode. The two timeouts above are then
    /// not sent (it refuses them as startup options): give them to the role
    /// (`alter role … set statement_timeout = '5s'`). PgBouncer needs `max_prepared_statements` (1.21).
    pub pgbouncer: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            pgbouncer: false,
        }
    }
}

/// Where a database is and how to get in. Two that are equal are one database to us.
#[derive(Clone)]
pub struct Url {
    text: String,
    options: PgConnectOptions,
}

/// The database URL was refused. Does not show it: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not a database URL; expected postgres://user:password@host:port/database")]
pub struct UrlError;

impl Url {
    /// Reads `postgres://user:password@host:port/database`. libpq's parameters may follow, such as
    /// `?sslmode=verify-full&sslrootcert=/etc/ssl/our-ca.pem`; without one TLS is spoken where the
    /// server offers it, whoever it is.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(UrlError);
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| UrlError)?;
        Ok(Self {
            text: text.to_owned(),
            options: options.application_name("vorota"),
        })
    }
}

impl PartialEq for Url {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Where it is, without how to get in.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = &self.options;
        let database = options
            .get_database()
            .unwrap_or_else(|| options.get_username());
        write!(
            f,
            "{}:{}/{database}",
            options.get_host(),
            options.get_port()
        )
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A pool that connects when first asked to, and again after an outage.
pub fn lazy(url: &Url, settings: &Settings) -> PgPool {
    let mut options = url.options.clone();
    if !settings.pgbouncer {
        options = options.options([
            ("statement_timeout", millis(settings.statement_timeout)),
            ("lock_timeout", millis(settings.lock_timeout)),
        ]);
    }
    PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        // A connection that died in the pool (a failover, a restart) is found by a ping and not by
        // a request. One that was used a moment ago is believed, and saves the round trip.
        .test_before_acquire(false)
        .before_acquire(|connection, was| {
            Box::pin(async move {
                if was.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // A query that was dropped midway (a request's deadline) is waited for here. sqlx does so
        // as well, but for ever: against a server that has fallen silent each such request would
        // cost the pool a connection. The price is a second ping, when the request is answered.
        .after_release(|connection, _| {
            Box::pin(async move { within(RELEASE, connection.ping()).await.map(|()| true) })
        })
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1_800))
        .connect_lazy_with(options)
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Runs queries that must come to an end. A server that has gone without a word (a failover, a cut
/// cable) keeps none of its own limits, and no answer would ever come.
///
/// What is dropped at the deadline goes back to its pool, which looks after it (see [`lazy`]).
pub async fn within<T>(
    deadline: Duration,
    queries: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(deadline, queries)
        .await
        .unwrap_or_else(|_| {
            let silence = io::Error::new(io::ErrorKind::TimedOut, "no answer from the database");
            Err(silence.into())
        })
}

/// Waits until the database answers, for at most `patience`. The error is the last one met.
pub async fn wait(pool: &PgPool, patience: Duration) -> Result<(), sqlx::Error> {
    let give_up = tokio::time::Instant::now() + patience;
    loop {
        let options = pool.connect_options();
        // A connection of its own: the pool would say "timed out" where this says why.
        let error = match tokio::time::timeout_at(give_up, connect(&options)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        if tokio::time::Instant::now() + RETRY >= give_up {
            return Err(error);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A connection that has been idle for no longer than this is used without a question.
const FRESH: Duration = Duration::from_secs(1);

/// How long a connection that comes back may take to be ready for the next.
const RELEASE: Duration = Duration::from_secs(2);

const RETRY: Duration = Duration::from_millis(250);

async fn connect(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    options.connect().await?.close().await
}

/// Whether the database answers within a second.
pub async fn answers(pool: &PgPool) -> bool {
    let ask = sqlx::query("select 1").execute(pool);
    within(Duration::from_secs(1), ask).await.is_ok()
}

/// Whether an error says that the database is away or overloaded, so that the same request may
/// well succeed in a moment; not that the statement was wrong.
pub fn outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // 08 connection, 53 out of resources, 57 shut down or cancelled by a timeout,
            // 55P03 a lock was not to be had, 25006 a replica that is not the primary yet,
            // 25P03 and 25P04 a transaction that took too long, 40001 and 40P01 two that could
            // not both be; 28, 3D and 55000 the server lets us into this database no more.
            [
                "08", "53", "57", "55P03", "25006", "25P03", "25P04", "40001", "40P01", "28", "3D",
                "55000",
            ]
            .iter()
            .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
