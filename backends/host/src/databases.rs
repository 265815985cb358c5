//! The databases of a process: one pool for each, lent to every app on it.

use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;

use crate::Entry;
use crate::config::Config;

/// How long a process that starts waits for its databases.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Databases(Vec<Database>);

#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) url: pg::Url,
    pub(crate) pool: PgPool,
    pub(crate) apps: Vec<Entry>,
}

impl Databases {
    /// A pool for each distinct URL. Connects to none yet.
    pub(crate) fn open(config: &Config) -> Self {
        let mut databases: Vec<Database> = Vec::new();
        for app in &config.apps {
            let url = &app.settled.database;
            match databases.iter_mut().find(|database| database.url == *url) {
                Some(database) => database.apps.push(app.entry),
                None => databases.push(Database {
                    url: url.clone(),
                    pool: pg::lazy(url, &config.pool),
                    apps: vec![app.entry],
                }),
            }
        }
        Self(databases)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Database> {
        self.0.iter()
    }

    pub(crate) fn pool(&self, url: &pg::Url) -> &PgPool {
        let database = self.0.iter().find(|database| database.url == *url);
        &database.expect("each app's URL was opened").pool
    }

    /// Waits until all of them answer, for a bounded time.
    pub(crate) async fn reach(&self) -> anyhow::Result<()> {
        for database in self.iter() {
            pg::wait(&database.pool, PATIENCE).await.with_context(|| {
                format!(
                    "the database of {} at {} cannot be reached; `backend doctor` tells more",
                    database.names(),
                    database.url
                )
            })?;
        }
        Ok(())
    }

    /// Waits until they answer, and makes sure that each app's schema is there and current.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        self.reach().await?;
        for database in self.iter() {
            for app in &database.apps {
                database.has_schema_of(app).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        let closing = futures::future::join_all(self.iter().map(|database| database.pool.close()));
        // A connection that is stuck is the server's to clean up.
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }
}

impl Database {
    /// The apps that live in it.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.apps.iter().map(|app| app.name).collect();
        names.join(", ")
    }

    async fn has_schema_of(&self, app: &Entry) -> anyhow::Result<()> {
        for migrator in (app.migrations)() {
            self.has_schema(app.name, migrator).await?;
        }
        Ok(())
    }

    async fn has_schema(&self, app: &str, migrator: &Migrator) -> anyhow::Result<()> {
        let schema = pg::migrate::schema(migrator);
        let state = pg::migrate::state(&self.pool, migrator)
            .await
            .with_context(|| format!("looking at the schema {schema} of {app}"))?;
        if !state.changed.is_empty() {
            bail!(
                "{app}: the migrations {:?} of the schema {schema} were changed after they were applied; restore their \
                 text and put the change into a new one",
                state.changed
            );
        }
        if !state.missing.is_empty() {
            bail!(
                "{app}: the migrations {:?} of the schema {schema} are not applied; run `backend migrate` with the same \
                 --config",
                state.missing
            );
        }
        Ok(())
    }
}
