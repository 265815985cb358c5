//! The outbox: a change and the event that tells of it are one commit.
//!
//! Order is kept per topic and key as long as the publishers of one key wait for each other, which
//! they do when they change the row that the key names.

use events::Event;
use sqlx::PgConnection;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use crate::schema::statement;

/// What an app that publishes creates in a migration of its own, with its schema's name.
pub const TABLE_SQL: &str = include_str!("outbox.sql");

/// The channel on which a commit rings the bells of a name, the payload: that of an outbox is its
/// schema's.
pub(crate) const CHANNEL: &str = "outbox";

/// Publishes an event with the caller's transaction: it leaves when that commits, or never was.
///
/// # Panics
///
/// When the topic is not named after the schema (`users.verified` in `users`): the relay would
/// never look for it there.
pub async fn publish<E: Event>(
    tx: &mut PgConnection,
    schema: &'static str,
    event: &E,
) -> Result<Uuid, sqlx::Error> {
    assert!(
        E::TOPIC
            .split_once('.')
            .is_some_and(|(app, _)| app == schema),
        "a topic is named after the app that publishes it: {} in {schema}",
        E::TOPIC
    );
    let id = Uuid::now_v7();
    let payload =
        serde_json::to_value(event).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query(statement(
        "with written as (
            insert into {schema}.outbox (id, topic, key, payload) values ($1, $2, $3, $4)
        )
        select pg_notify($5, $6)",
        schema,
    ))
    .bind(id)
    .bind(E::TOPIC)
    .bind(event.key())
    .bind(payload)
    .bind(CHANNEL)
    .bind(schema)
    .execute(tx)
    .await?;
    Ok(id)
}

/// How many events wait, and for how many seconds the oldest of them has.
pub async fn backlog(pool: &PgPool, schema: &'static str) -> Result<(i64, f64), sqlx::Error> {
    sqlx::query_as(statement(
        "select count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8
        from {schema}.outbox where delivered_at is null",
        schema,
    ))
    .fetch_one(pool)
    .await
}

/// Removes up to 1,000 events that were delivered more than a week ago; tells how many.
pub async fn prune(pool: &PgPool, schema: &'static str) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(statement(
        "delete from {schema}.outbox where seq in (
            select seq from {schema}.outbox
            where delivered_at < now() - interval '7 days' order by seq limit 1000
        )",
        schema,
    ))
    .execute(pool)
    .await?;
    Ok(gone.rows_affected())
}
