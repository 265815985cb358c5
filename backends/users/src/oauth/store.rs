//! Spent assertions, and what is believed no longer.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::key::Tag;

/// Spends an assertion. False if it was spent before.
pub(super) async fn spend_assertion(
    pool: &PgPool,
    hash: &Tag,
    until: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query!(
        r#"
        insert into users.client_assertion (hash, expires_at) values ($1, $2)
        on conflict on constraint client_assertion_pkey do nothing
        "#,
        &hash[..],
        until,
    )
    .execute(pool)
    .await?;
    Ok(spent.rows_affected() == 1)
}

/// Whether an access token was taken back: with its session, or with all that its subject had.
pub(super) async fn is_revoked(
    pool: &PgPool,
    subject: Uuid,
    session_id: Option<Uuid>,
    issued_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from users.revocation
            where kind = 'session' and id = $2
                or kind = 'subject' and id = $1 and not_before > $3
        ) as "revoked!"
        "#,
        subject.to_string(),
        session_id.map(|id| id.to_string()),
        issued_at,
    )
    .fetch_one(pool)
    .await
}

/// Forgets spent assertions that are void by themselves.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.client_assertion where hash in (
            select hash from users.client_assertion
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
