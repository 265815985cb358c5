//! What is old enough to go. A run takes a bounded bite; the next one goes on.

use sqlx::PgPool;
use time::OffsetDateTime;

/// Removes messages from before `before` that are sent or given up.
pub(super) async fn forget_messages(
    pool: &PgPool,
    before: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from notifications.message
        where id in (
            select id from notifications.message
            where created_at < $1 and state <> 'waiting'
            order by created_at
            limit 10000
        )
        "#,
        before,
    )
    .execute(pool)
    .await?;
    Ok(())
}
