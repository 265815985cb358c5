//! What may be thrown away. Rows that somebody is using at the moment are left for the next time.

use sqlx::PgPool;
use time::OffsetDateTime;

/// Forgets sign-ins to no account that were refused at `before` or earlier.
pub(super) async fn strangers(
    pool: &PgPool,
    before: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        with gone as (
            delete from users.stranger where seq in (
                select seq from users.stranger
                where at <= $1
                order by at limit $2
                for update skip locked
            )
            returning seq
        ), detail as (
            delete from users.stranger_detail where stranger_seq in (select seq from gone)
        ), link as (
            delete from users.stranger_link where stranger_seq in (select seq from gone)
        )
        select count(*) as "count!" from gone
        "#,
        before,
        batch,
    )
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(swept.count).unwrap_or(0))
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

/// Deletes API keys that have expired, with their secrets.
pub(super) async fn api_keys(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.api_key where id in (
            select id from users.api_key
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

/// Deletes the old secrets of rotated API keys.
pub(super) async fn api_key_secrets(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.api_key_secret where id in (
            select id from users.api_key_secret
            where ends_at <= $1
            order by ends_at limit $2
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

/// Deletes the answers under which API keys were made at `before` or earlier, and with them the last
/// thing that their secrets could be told from again.
pub(super) async fn api_key_wishes(
    pool: &PgPool,
    before: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.api_key_wish where (account_id, key_hash) in (
            select account_id, key_hash from users.api_key_wish
            where created_at <= $1
            order by created_at limit $2
            for update skip locked
        )
        "#,
        before,
        batch,
    )
    .execute(pool)
    .await?;
    Ok(swept.rows_affected())
}
