//! The texts of an hour, counted.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Counts one text more, and tells how many it are now. Whoever counts the same meanwhile waits
/// until this transaction ends.
pub(super) async fn count(
    tx: &mut PgConnection,
    counted: &str,
    hour: OffsetDateTime,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        insert into notifications.text_count (counted, hour, texts)
        values ($1, $2, 1)
        on conflict (counted, hour) do update set texts = text_count.texts + 1
        returning texts
        "#,
        counted,
        hour,
    )
    .fetch_one(tx)
    .await
}

/// Removes the counts of hours before `before`.
pub(crate) async fn forget(pool: &PgPool, before: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from notifications.text_count
        where (counted, hour) in (
            select counted, hour from notifications.text_count
            where hour < $1
            order by hour
            limit 10000
        )
        "#,
        before,
    )
    .execute(pool)
    .await?;
    Ok(())
}
