//! A database per test, copied from a migrated template.
//!
//! In the server that `TEST_DATABASE_URL` names (the role needs `createdb`), or in a private one
//! that is started for the test process and ends with it.

use std::str::FromStr;
use std::sync::LazyLock;

use local::postgres::Cluster;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use crate::{Settings, Url, migrate};

/// A database of a test's own; gone when this is dropped.
pub struct TestDatabase {
    /// A pool with the settings that a running app has.
    pub pool: PgPool,
    /// Where it is, for what connects by itself.
    pub url: String,
    server: PgConnectOptions,
    name: String,
}

/// A fresh database with these migrations applied, in this order.
///
/// # Panics
///
/// When the server cannot be reached or a migration fails: the test cannot go on.
pub async fn database(migrators: &[&Migrator]) -> TestDatabase {
    let url = server_url();
    let server = PgConnectOptions::from_str(&url).expect("a database URL");
    let mut connection = server.connect().await.expect("the test server answers");
    let template = template(&mut connection, &url, migrators).await;
    let name = format!("test_{}", Uuid::now_v7().simple());
    execute(
        &mut connection,
        format!("create database {name} template {template}"),
    )
    .await;
    connection.close().await.expect("the test server closes");
    let url = at(&url, &name);
    TestDatabase {
        pool: pool(&url),
        url,
        server,
        name,
    }
}

/// A pool on the server itself, for what a test does to a database from outside.
///
/// # Panics
///
/// When there is no server to be had.
pub fn server() -> PgPool {
    pool(&server_url())
}

/// Makes the template unless an earlier test has; it is named after the migrations' checksums.
async fn template(connection: &mut PgConnection, url: &str, migrators: &[&Migrator]) -> String {
    let mut digest = std::hash::DefaultHasher::new();
    for migrator in migrators {
        use std::hash::Hash;
        migrator.table_name.hash(&mut digest);
        migrator
            .iter()
            .for_each(|step| step.checksum.hash(&mut digest));
    }
    let name = format!("template_{:016x}", std::hash::Hasher::finish(&digest));
    // One at a time over all test processes, else two would create it.
    execute(connection, "select pg_advisory_lock(7226781)".to_owned()).await;
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await
            .expect("the list of databases");
    if !there {
        let draft = format!("{name}_draft");
        execute(
            connection,
            format!("drop database if exists {draft} with (force)"),
        )
        .await;
        execute(
            connection,
            format!("create database {draft} template template0"),
        )
        .await;
        let pool = pool(&at(url, &draft));
        for migrator in migrators {
            migrate::run(&pool, migrator)
                .await
                .expect("migrations apply");
        }
        pool.close().await;
        // Named last, so that a test process that dies midway leaves no half template.
        execute(
            connection,
            format!("alter database {draft} rename to {name}"),
        )
        .await;
    }
    execute(connection, "select pg_advisory_unlock(7226781)".to_owned()).await;
    name
}

fn pool(url: &str) -> PgPool {
    crate::lazy(
        &Url::parse(url).expect("a database URL"),
        &Settings::default(),
    )
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The server named by `TEST_DATABASE_URL`, or one of this test process's own, which ends with it.
fn server_url() -> String {
    static OWN: LazyLock<Cluster> =
        LazyLock::new(|| Cluster::temporary().expect("a private PostgreSQL starts"));
    std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| OWN.url_of("postgres"))
}

/// The same server's URL with another database.
fn at(url: &str, database: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, None), |(a, q)| (a, Some(q)));
    let scheme = address.find("://").map_or(0, |at| at + 3);
    let end = address[scheme..]
        .find('/')
        .map_or(address.len(), |slash| scheme + slash);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // A runtime of its own: the test's may be in the middle of ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut connection = server.connect().await.map_err(std::io::Error::other)?;
                let sql = AssertSqlSafe(format!("drop database if exists {name} with (force)"));
                sqlx::raw_sql(sql)
                    .execute(&mut connection)
                    .await
                    .map_err(std::io::Error::other)
            })
        });
        // What is left behind by a server that has gone is not worth failing a test for.
        drop(dropping.join());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_database_is_exchanged_in_a_url() {
        for (url, expected) in [
            (
                "postgres://u:p@h:1/x?host=/tmp",
                "postgres://u:p@h:1/new?host=/tmp",
            ),
            ("postgres://u@h", "postgres://u@h/new"),
            ("postgres:///x", "postgres:///new"),
        ] {
            assert_eq!(super::at(url, "new"), expected);
        }
    }
}
