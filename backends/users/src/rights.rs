//! Who may what: roles are sets of [`Permission`]s, and APIs have rules that name both.
//!
//! What a handler asks is answered from memory: the caller's roles are in the gateway's statement,
//! and what roles mean is a [`Snapshot`] that every replica keeps. It is read anew when a commit
//! rings, and looked after every [`POLL`] in case a ring is lost; so a change is felt everywhere well
//! within a second. Gateways keep the same snapshot, see [`feed`].
//!
//! Keys for programs hold no roles, and so no permissions.

pub(crate) mod check;
pub(crate) mod feed;
mod grant;
mod permission;
pub(crate) mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use host::Job;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use web::{Caller, Problem};

use crate::{App, acl};

pub(crate) use grant::{Above, Granter, LastAdmin, begin_change, covers, last_admin};
pub(crate) use permission::Permission;

/// What rings when who may what has changed.
const BELL: &str = "users.authz";
/// How often its version is looked after when nothing rings.
const POLL: Duration = Duration::from_millis(250);
/// The longest that the database may take over one look.
const ANSWER: Duration = Duration::from_secs(2);

/// Who may what, as of one version.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Snapshot {
    /// Goes up with every change, in the order of commits.
    pub(crate) version: i64,
    /// The names of the permissions of each role. A newer release may know some that we don't.
    pub(crate) roles: BTreeMap<String, BTreeSet<String>>,
    /// The rules of each API.
    pub(crate) acl: BTreeMap<String, serde_json::Value>,
}

impl Snapshot {
    /// The permissions that some roles have together.
    pub(crate) fn held<'a>(&'a self, roles: &[String]) -> BTreeSet<&'a str> {
        roles
            .iter()
            .filter_map(|role| self.roles.get(role))
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Whether the rules of an API name the role.
    pub(crate) fn names_in_rules(&self, role: &str) -> bool {
        let conditions = self.acl.values().flat_map(acl::conditions);
        conditions
            .filter_map(|condition| condition["role"].as_str())
            .any(|named| named == role)
    }

    pub(crate) fn allows(&self, roles: &[String], permission: Permission) -> bool {
        let has = |role| {
            self.roles
                .get(role)
                .is_some_and(|held| held.contains(permission.name()))
        };
        roles.iter().any(has)
    }
}

/// Why somebody may not.
#[derive(Debug, Error)]
pub(crate) enum RightsError {
    #[error("none of the caller's roles has the permission")]
    NotHeld,
    #[error("who may what is not known yet")]
    NotLoaded,
}

/// What this replica knows of who may what.
pub(crate) struct Rights {
    /// None until the database was there for the first time.
    now: watch::Sender<Option<Arc<Snapshot>>>,
    /// Held while it is read, so that what was read first is not kept last.
    reading: Mutex<()>,
    bell: Mutex<Option<(pg::Bell, DropGuard)>>,
    away: AtomicBool,
}

impl Rights {
    pub(crate) fn new() -> Self {
        Self {
            now: watch::Sender::new(None),
            reading: Mutex::default(),
            bell: Mutex::default(),
            away: AtomicBool::new(false),
        }
    }

    /// Refuses callers none of whose roles has the permission.
    pub(crate) fn require(
        &self,
        caller: &Caller,
        permission: Permission,
    ) -> Result<(), RightsError> {
        let held = self.snapshot()?.allows(&caller.roles, permission);
        held.then_some(()).ok_or(RightsError::NotHeld)
    }

    /// Refuses callers none of whose roles has any of the permissions.
    pub(crate) fn require_any(
        &self,
        caller: &Caller,
        permissions: &[Permission],
    ) -> Result<(), RightsError> {
        let snapshot = self.snapshot()?;
        let held = |permission: &Permission| snapshot.allows(&caller.roles, *permission);
        permissions
            .iter()
            .any(held)
            .then_some(())
            .ok_or(RightsError::NotHeld)
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, RightsError> {
        self.now.borrow().clone().ok_or(RightsError::NotLoaded)
    }

    /// What is known as soon as it has another version than the given one, for as long as somebody
    /// wants to wait for it.
    async fn other_than(&self, version: Option<i64>) -> Arc<Snapshot> {
        let mut news = self.now.subscribe();
        let other = |now: &Option<Arc<Snapshot>>| {
            now.as_ref().is_some_and(|now| Some(now.version) != version)
        };
        let now = news.wait_for(other).await;
        let now = now.expect("the sender is ours").clone();
        now.expect("it was looked at a moment ago")
    }

    /// Reads it anew if it has changed. For whoever has just changed it, so that their next request
    /// finds it so.
    pub(crate) async fn refresh(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let _reading = self.reading.lock().await;
        let known = self.now.borrow().as_ref().map(|now| now.version);
        let version = pg::within(ANSWER, store::version(pool)).await?;
        if known != Some(version) {
            let snapshot = pg::within(ANSWER, store::snapshot(pool)).await?;
            self.now.send_replace(Some(Arc::new(snapshot)));
        }
        Ok(())
    }

    /// [`Rights::refresh`] after a change that is committed: should it fail, the job makes up for it.
    pub(crate) async fn refresh_now(&self, pool: &PgPool) {
        if let Err(error) = self.refresh(pool).await {
            tracing::warn!(%error, "who may what was not read right after its change");
        }
    }

    /// Reads it, and waits for a ring, but not for long. An outage is said once.
    async fn turn(&self, pool: &PgPool) {
        let read = self.refresh(pool).await;
        match (&read, self.away.swap(read.is_err(), Ordering::Relaxed)) {
            (Ok(()), true) => tracing::info!("who may what is read again"),
            (Err(error), false) => {
                tracing::warn!(%error, "who may what can't be read; what was known stays");
            }
            _ => {}
        }
        let mut bell = self.bell.lock().await;
        let (bell, _) = bell.get_or_insert_with(|| {
            let stop = CancellationToken::new();
            let bell = pg::Bell::hang(pool, BELL, stop.clone());
            (bell, stop.drop_guard())
        });
        let _ = tokio::time::timeout(POLL, bell.rung()).await;
    }
}

/// Makes a change known with the commit of the transaction.
pub(crate) async fn changed(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    store::bump(tx).await?;
    pg::ring(tx, BELL).await
}

/// Keeps what this replica knows up to date.
pub(crate) fn job(app: Arc<App>) -> Job {
    Job {
        name: "rights",
        every: Duration::from_millis(1),
        limit: POLL + 3 * ANSWER,
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move {
                app.rights.turn(&app.pool).await;
                Ok(())
            })
        }),
    }
}

/// Lets the first requests after a start wait for what is being read, rather than refuse them.
pub(crate) async fn loaded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.rights.snapshot().is_err() {
        let first = app.rights.other_than(None);
        let _ = tokio::time::timeout(Duration::from_secs(1), first).await;
    }
    next.run(request).await
}

impl From<RightsError> for Problem {
    fn from(error: RightsError) -> Self {
        match error {
            RightsError::NotHeld => Problem::forbidden(),
            RightsError::NotLoaded => Problem::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "upstream_unavailable",
                "Temporarily unavailable",
            )
            .retry_after(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_list_in_the_code_is_the_one_in_the_database_and_admin_has_all_of_it() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let mut code: Vec<&str> = Permission::ALL.iter().map(|one| one.name()).collect();
        code.sort_unstable();
        let rows: Vec<String> = sqlx::query_scalar("select name from users.permission")
            .fetch_all(&database.pool)
            .await
            .expect("permissions");
        let rows: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
        assert_eq!(rows.iter().copied().collect::<Vec<_>>(), code);

        let rights = Rights::new();
        rights.refresh(&database.pool).await.expect("read");
        let snapshot = rights.snapshot().expect("loaded");
        let held = |role: &str| snapshot.held(&[role.to_owned()]);
        assert_eq!(held("admin"), rows);
        assert_eq!(held("user"), BTreeSet::new());
        assert_eq!(
            held("support"),
            BTreeSet::from(["audit.read", "users.freeze", "users.read"])
        );
        assert_eq!(held("nothing of the kind"), BTreeSet::new());
    }

    #[test]
    fn before_it_is_loaded_nobody_may_and_it_is_not_their_fault() {
        let refused = Rights::new().snapshot().expect_err("not loaded");
        let problem = Problem::from(refused);
        assert_eq!(problem.status(), 503);
    }
}
