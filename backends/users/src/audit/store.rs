//! The record of acts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Act;

/// Writes down an act of the present request, with the account and the session it concerns where
/// they are known.
pub(crate) async fn record(
    tx: &mut PgConnection,
    now: OffsetDateTime,
    act: Act,
    account_id: Option<Uuid>,
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
