//! Schemas brought up to date, and whether they are.

use std::collections::HashMap;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// How a database stands to an app's migrations.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Versions that are still to be applied.
    pub missing: Vec<i64>,
    /// Versions whose text is no longer what was applied.
    pub changed: Vec<i64>,
}

impl State {
    /// Whether the app may run. A database that is ahead is fine: old and new processes run side
    /// by side during a release.
    pub fn is_current(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty()
    }
}

/// The schema that the migrations make: the one in which they are noted.
pub fn schema(migrator: &Migrator) -> &str {
    let table = &*migrator.table_name;
    table.split_once('.').map_or("public", |(schema, _)| schema)
}

/// Applies what is missing; tells how many that were. Two of these at once wait for each other.
///
/// On a connection of its own: a migration may take longer than a request's statement, but it
/// gives up on a lock after 5 seconds rather than queue everybody behind it.
pub async fn run(pool: &PgPool, migrator: &Migrator) -> Result<usize, MigrateError> {
    let missing = state(pool, migrator).await?.missing.len();
    let options = pool.connect_options().as_ref().clone();
    let mut connection = options
        .options([("statement_timeout", "0"), ("lock_timeout", "5000")])
        .connect()
        .await?;
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(missing)
}

/// Compares the database with the migrations.
pub async fn state(pool: &PgPool, migrator: &Migrator) -> Result<State, sqlx::Error> {
    let applied = applied(pool, &migrator.table_name).await?;
    let mut state = State::default();
    for migration in migrator.iter() {
        match applied.get(&migration.version) {
            None => state.missing.push(migration.version),
            Some(checksum) if migration.checksum != *checksum => {
                state.changed.push(migration.version);
            }
            Some(_) => {}
        }
    }
    Ok(state)
}

async fn applied(pool: &PgPool, table: &str) -> Result<HashMap<i64, Vec<u8>>, sqlx::Error> {
    let there: Option<String> = sqlx::query_scalar("select to_regclass($1)::text")
        .bind(table)
        .fetch_one(pool)
        .await?;
    if there.is_none() {
        return Ok(HashMap::new());
    }
    // The name comes out of the app's sqlx.toml at compile time.
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(format!(
        "select version, checksum from {table} where success"
    )))
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}
