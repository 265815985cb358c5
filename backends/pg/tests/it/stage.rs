//! A database with an app `users` that publishes and an app `hall` that consumes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use events::{AddressKnown, Channel, Envelope};
use pg::testing::TestDatabase;
use pg::{Consumer, Handled, Relay, Settings, Url};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use uuid::Uuid;

pub(crate) struct Stage {
    database: TestDatabase,
    /// What a relay of this stage has brought to [`Stage::listener`], in order.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let database = pg::testing::database(&[]).await;
        let sql = format!(
            "create schema users; create schema hall; create table hall.guest (name text); {} {}",
            pg::outbox::TABLE_SQL.replace("{schema}", "users"),
            pg::inbox::TABLE_SQL.replace("{schema}", "hall"),
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&database.pool)
            .await
            .unwrap();
        Self {
            database,
            heard: Arc::default(),
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// A pool whose sessions wait for ever: with a lock that is never granted it stands for a
    /// server that has fallen silent.
    pub(crate) fn patient_pool(&self, max_connections: u32) -> PgPool {
        let settings = Settings {
            max_connections,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::ZERO,
            lock_timeout: Duration::ZERO,
            pgbouncer: false,
        };
        let url = Url::parse(&self.database.url).unwrap();
        pg::lazy(&url, &settings)
    }

    /// Publishes and commits.
    pub(crate) async fn publish(&self, to: &str) -> Uuid {
        let mut tx = self.pool().begin().await.unwrap();
        let event = AddressKnown {
            to: to.to_owned(),
            channel: Channel::Email,
        };
        let id = pg::outbox::publish(&mut tx, "users", &event).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    pub(crate) fn relay(&self, consumers: Vec<Consumer>) -> Relay {
        Relay {
            pool: self.pool().clone(),
            schema: "users",
            topic: "users.address_known",
            consumers,
            observe: Arc::new(|_| {}),
        }
    }

    /// A consumer that notes the event, and fails as long as `fail` says so.
    pub(crate) fn listener(&self, fail: impl Fn(&str) -> bool + Send + Sync + 'static) -> Consumer {
        let heard = self.heard.clone();
        Consumer::of("hall.listen", move |event: AddressKnown, _| {
            let failing = fail(&event.to);
            heard.lock().unwrap().push(event.to);
            async move {
                anyhow::ensure!(!failing, "not today");
                Ok(())
            }
        })
    }

    /// A consumer with an effect in the database and an inbox, as apps write them.
    pub(crate) fn guest_book(&self) -> Consumer {
        let pool = self.pool().clone();
        Consumer::of(
            "hall.guest_book",
            move |event: AddressKnown, envelope: Envelope| {
                let pool = pool.clone();
                async move {
                    let mut tx = pool.begin().await?;
                    if pg::inbox::once(&mut tx, "hall", "hall.guest_book", envelope.id).await? {
                        sqlx::query("insert into hall.guest values ($1)")
                            .bind(event.to)
                            .execute(&mut *tx)
                            .await?;
                        tx.commit().await?;
                    }
                    Ok(())
                }
            },
        )
    }

    pub(crate) async fn guests(&self) -> Vec<String> {
        sqlx::query_scalar("select name from hall.guest order by name")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    /// Makes what was postponed due, instead of waiting for it.
    pub(crate) async fn time_passes(&self) {
        sqlx::query("update users.outbox set next_try_at = now()")
            .execute(self.pool())
            .await
            .unwrap();
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }
}

/// A consumer that does what `handle` does.
pub(crate) fn consumer(
    name: &'static str,
    handle: impl Fn(Envelope) -> Handled + Send + Sync + 'static,
) -> Consumer {
    Consumer {
        name,
        topic: "users.address_known",
        handle: Arc::new(handle),
    }
}

/// Waits for something that must come true soon.
pub(crate) async fn eventually(mut is: impl AsyncFnMut() -> bool) {
    let soon = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is().await {
        assert!(
            tokio::time::Instant::now() < soon,
            "it did not come true within 10 s"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
