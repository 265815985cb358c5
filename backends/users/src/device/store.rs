//! Known devices.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{client::Client, key::Tag};

/// The device of this account whose token the client shows.
pub(crate) async fn known(
    db: impl PgExecutor<'_>,
    account_id: Uuid,
    client: &Client,
) -> Result<Option<Uuid>, sqlx::Error> {
    let Some(hash) = &client.device else {
        return Ok(None);
    };
    sqlx::query_scalar!(
        r#"select id from users.device where account_id = $1 and hash = $2"#,
        account_id,
        &hash[..],
    )
    .fetch_optional(db)
    .await
}

/// Whether the account has a device.
pub(super) async fn has_any(tx: &mut PgConnection, account_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from users.device where account_id = $1) as "any!""#,
        account_id
    )
    .fetch_one(tx)
    .await
}

/// Makes a device known.
pub(super) async fn add(
    tx: &mut PgConnection,
    id: Uuid,
    account_id: Uuid,
    hash: &Tag,
    client: &Client,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.device (id, account_id, hash, user_agent, created_at, last_seen_at)
        values ($1, $2, $3, $4, $5, $5)
        "#,
        id,
        account_id,
        &hash[..],
        client.user_agent,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that a device was seen.
pub(super) async fn touch(
    tx: &mut PgConnection,
    id: Uuid,
    client: &Client,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.device set last_seen_at = $2, user_agent = $3 where id = $1"#,
        id,
        now,
        client.user_agent,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets devices that were last seen at `before` or earlier.
pub(crate) async fn sweep(
    pool: &PgPool,
    before: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.device where id in (
            select id from users.device
            where last_seen_at <= $1
            order by last_seen_at limit $2
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
