//! The messages to somebody who was erased.

use events::UserErased;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Deletes the messages to their addresses that were noted up to a moment.
pub(super) async fn forget(
    tx: &mut PgConnection,
    erased: &UserErased,
    up_to: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from notifications.message
        where created_at <= $3
            and encode(sha256(convert_to($1 || recipient, 'UTF8')), 'hex') = any($2)
        "#,
        erased.user_id.to_string(),
        &erased.addresses,
        up_to,
    )
    .execute(tx)
    .await?;
    Ok(())
}
