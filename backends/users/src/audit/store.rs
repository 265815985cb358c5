//! The record of acts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Act;

/// Writes down an act of the present request, with the account it concerns, and the session where
/// there is one.
pub(crate) async fn record(
    tx: &mut PgConnection,
    now: OffsetDateTime,
    act: Act,
    account_id: Uuid,
    session_id: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.audit (at, act, account_id, session_id, request_id)
        values ($1, $2, $3, $4, $5)
        "#,
        now,
        act.name(),
        account_id,
        session_id,
        web::request_id(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down an act of the present request that concerns an API key of the account.
pub(crate) async fn record_key(
    tx: &mut PgConnection,
    now: OffsetDateTime,
    act: Act,
    account_id: Uuid,
    session_id: Option<Uuid>,
    api_key_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.audit (at, act, account_id, session_id, request_id, api_key_id)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        now,
        act.name(),
        account_id,
        session_id,
        web::request_id(),
        api_key_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down that a sign-in to no account was refused, not in the record but at the same cost.
pub(crate) async fn note_stranger(
    tx: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into users.stranger (at, request_id) values ($1, $2)",
        now,
        web::request_id(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
