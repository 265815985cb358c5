//! What an app is, and what it is lent.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::{Clock, Key};

/// One of the backend's services: a schema, an API and what happens behind it.
pub trait App: Send + Sync + 'static {
    /// Its name: in backend.yaml, on the command line, of its schema, and the audience that the
    /// gateway seals for.
    const NAME: &'static str;

    /// Its own settings, `apps.NAME.settings` of backend.yaml. Unknown keys must be refused
    /// (`deny_unknown_fields`); doc comments are the manual.
    type Config: DeserializeOwned + Send + 'static;

    /// What its schema is made of, after those that it shares with other apps: the ledger's is in
    /// the list of each app that posts. Each is noted in its own schema, so that whichever app comes
    /// first applies it, and once.
    fn migrations() -> &'static [&'static Migrator];

    /// What it answers, as a document; known without settings or a database.
    fn openapi() -> utoipa::openapi::OpenApi;

    /// Puts the app together. Its database may be away at this time: nothing here may need it.
    fn build(
        config: Self::Config,
        host: &Host,
    ) -> impl Future<Output = anyhow::Result<Parts>> + Send;

    /// Brings the demo people into the app; a second time it changes nothing. `people` come in the
    /// file's order, with `user_id` filled in once `users` has run.
    fn demo(
        _pool: &PgPool,
        _people: &mut Vec<DemoPerson>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What an app consists of once it is built.
#[derive(Default)]
pub struct Parts {
    /// Answers on the app's `bind`, behind the seal (`web::guarded`).
    pub routes: axum::Router,
    /// Joins the private port, unsealed: only what machines of ours ask, such as key sets.
    pub private: axum::Router,
    /// Whom events in this process are brought to.
    pub consumers: Vec<pg::Consumer>,
    /// The schema whose outbox is to be relayed, for an app that publishes.
    pub outbox: Option<&'static str>,
    /// What is done every so often.
    pub jobs: Vec<Job>,
    /// What it can't do its work without, besides its database.
    pub needs: Vec<Need>,
}

/// Something that an app can't do its work without: as long as it is missing, the process says that
/// it is not ready, and is sent no requests.
#[derive(Clone)]
pub struct Need {
    /// Names it in `/readyz`.
    pub name: &'static str,
    /// Whether it is there. Asked often, so it should be answered from memory.
    pub is_met: Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// Something done every so often, by every replica: it must be harmless when two do it at once.
pub struct Job {
    /// Names it in logs and metrics.
    pub name: &'static str,
    /// From one start to the next; a run that takes longer delays the next.
    pub every: Duration,
    /// When a run is cut off as failed, so that one that hangs is not the last.
    pub limit: Duration,
    /// One run. An error is logged, and the next run comes as usual.
    pub run: Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>,
}

/// What an app is lent by the process that it runs in.
#[derive(Clone)]
pub struct Host {
    pub(crate) pool: PgPool,
    pub(crate) keys: Arc<identity::KeyRing>,
    pub(crate) clock: Clock,
    pub(crate) cursor_key: Key,
    pub(crate) redis: Option<redis::Client>,
    pub(crate) metrics: Metrics,
}

impl Host {
    /// The pool of this app's database; shared with every app on the same one.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The keys that open what the gateway has sealed.
    pub fn identity_keys(&self) -> Arc<identity::KeyRing> {
        self.keys.clone()
    }

    /// What time it is; stands still in tests that ask for it.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The key that signs list cursors.
    pub fn cursor_key(&self) -> &Key {
        &self.cursor_key
    }

    /// The Redis of this deployment, where it has one. It may be away at any time, and what it holds
    /// be gone: nothing may be lost by that.
    pub fn redis(&self) -> Option<&redis::Client> {
        self.redis.as_ref()
    }

    /// What this process counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where an app may register a metric of its own; labels come from closed sets.
    pub fn registry(&self) -> &prometheus::Registry {
        self.metrics.registry()
    }
}

/// A person that the demo needs; `var/demo.json` is a list of these.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoPerson {
    /// Also the login.
    pub email: String,
    /// In clear: the file is the one place to read it, and is its owner's alone.
    pub password: String,
    /// The one role that the account has.
    pub role: String,
    /// Filled in by `users`, not part of the file.
    #[serde(skip)]
    pub user_id: Option<Uuid>,
}

impl std::fmt::Debug for DemoPerson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.email, self.role)
    }
}
