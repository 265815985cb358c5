//! The inbox: an event's effect happens once, however often the event comes.

use sqlx::PgConnection;
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
