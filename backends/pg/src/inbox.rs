//! The inbox: an event's effect happens once, however often the event comes.

use sqlx::PgConnection;
use sqlx::postgres::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::statement;

/// What an app that consumes events creates in a migration of its own, with its schema's name.
pub const TABLE_SQL: &str = include_str!("inbox.sql");

/// Notes in the handler's transaction that `consumer` has handled the event; `false` when it had
/// before, and there is nothing left to do.
///
/// While another transaction handles the same event this waits for it to end.
pub async fn once(
    tx: &mut PgConnection,
    schema: &'static str,
    consumer: &str,
    event_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let noted = sqlx::query(statement(
        "insert into {schema}.inbox (event_id, consumer) values ($1, $2) on conflict do nothing",
        schema,
    ))
    .bind(event_id)
    .bind(consumer)
    .execute(tx)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Removes up to 1,000 notes of events that were handled before `before`; tells how many.
///
/// An event that came again after that would be handled again: leave them much longer than an event
/// may be on its way.
pub async fn prune(
    pool: &PgPool,
    schema: &'static str,
    before: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(statement(
        "delete from {schema}.inbox where (event_id, consumer) in (
            select event_id, consumer from {schema}.inbox
            where handled_at < $1 order by handled_at limit 1000 for update skip locked
        )",
        schema,
    ))
    .bind(before)
    .execute(pool)
    .await?;
    Ok(gone.rows_affected())
}
