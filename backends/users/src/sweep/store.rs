//! What may be thrown away. Rows that somebody is using at the moment are left for the next time.

use sqlx::PgPool;
use time::OffsetDateTime;

/// Deletes wishes whose code is void and whose address may be sent mails again: until then the row
/// is what counts them.
pub(super) async fn registrations(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.registration where email in (
            select email from users.registration
            where mails_refill_at <= $1 and expires_at <= $1
            order by mails_refill_at limit $2
            for update skip locked
        )
        "#,
        now,
        batch,
    )
    .execute(pool)
    .await?;
    Ok(swept.rows_affected())
}

/// Deletes refresh tokens that would be refused for their age.
pub(super) async fn refresh_tokens(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.refresh_token where hash in (
            select hash from users.refresh_token
            where expires_at <= $1
            order by expires_at limit $2
            for update skip locked
        )
        "#,
        now,
        batch,
    )
    .execute(pool)
    .await?;
    Ok(swept.rows_affected())
}

/// Deletes sessions that are past their last day.
pub(super) async fn sessions(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.session where id in (
            select id from users.session
            where expires_at <= $1
            order by expires_at limit $2
            for update skip locked
        )
        "#,
        now,
        batch,
    )
    .execute(pool)
    .await?;
    Ok(swept.rows_affected())
}
