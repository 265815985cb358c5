//! The messages that wait.

use events::Channel;
use sqlx::{PgConnection, PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{channel, letter::Content};

/// A message that is this process's to send, for a while.
pub(super) struct Claimed {
    pub(super) id: Uuid,
    /// Not parsed yet, like the content.
    pub(super) channel: String,
    pub(super) recipient: String,
    /// Not parsed yet: during an upgrade a newer version may have noted what this one cannot read, and
    /// that must not cost the others of the batch their try.
    pub(super) content: serde_json::Value,
    /// This try included; also tells this claim from a later one.
    pub(super) attempts: i32,
}

/// A message that is new.
pub(crate) struct New {
    pub(crate) channel: Channel,
    pub(crate) recipient: String,
    pub(crate) content: Content,
}

/// Notes a message that is to be sent at `at`.
pub(crate) async fn add(
    tx: &mut PgConnection,
    message: &New,
    now: OffsetDateTime,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let content = &message.content;
    sqlx::query!(
        r#"
        insert into notifications.message
            (id, kind, channel, recipient, content, max_attempts, next_try_at, expires_at, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        Uuid::now_v7(),
        content.kind(),
        channel::name(message.channel),
        message.recipient,
        Json(content) as _,
        content.max_attempts(),
        at,
        content.expires_at(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes a message that will not be sent, and why; what it would have said is not kept.
pub(crate) async fn add_dead(
    tx: &mut PgConnection,
    message: &New,
    now: OffsetDateTime,
    why: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into notifications.message
            (id, kind, channel, recipient, state, next_try_at, last_error, created_at)
        values ($1, $2, $3, $4, 'dead', $5, $6, $5)
        "#,
        Uuid::now_v7(),
        message.content.kind(),
        channel::name(message.channel),
        message.recipient,
        now,
        why,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes up to `limit` due messages that [`give_up`] leaves, the longest waiting first, until
/// `until`: nobody else gets them before.
pub(super) async fn claim(
    pool: &PgPool,
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        update notifications.message
        set attempts = attempts + 1, next_try_at = $2
        where id in (
            select id from notifications.message
            where state = 'waiting' and next_try_at <= $1
                and attempts < max_attempts and (expires_at is null or expires_at > $1)
            order by next_try_at
            limit $3
            for update skip locked
        )
        returning id, channel, recipient, content as "content!", attempts
        "#,
        now,
        until,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let claimed = rows.into_iter().map(|row| Claimed {
        id: row.id,
        channel: row.channel,
        recipient: row.recipient,
        content: row.content,
        attempts: row.attempts,
    });
    Ok(claimed.collect())
}

/// It is sent; what it said is forgotten.
pub(super) async fn sent(
    pool: &PgPool,
    id: Uuid,
    attempts: i32,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update notifications.message
        set state = 'sent', content = null, last_error = null, sent_at = $3
        where id = $1 and attempts = $2 and state = 'waiting'
        "#,
        id,
        attempts,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// It is to be tried again at `at`.
pub(super) async fn later(
    pool: &PgPool,
    id: Uuid,
    attempts: i32,
    at: OffsetDateTime,
    why: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update notifications.message
        set next_try_at = $3, last_error = $4
        where id = $1 and attempts = $2 and state = 'waiting'
        "#,
        id,
        attempts,
        at,
        why,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// It will never be taken; what it said is forgotten.
pub(super) async fn dead(
    pool: &PgPool,
    id: Uuid,
    attempts: i32,
    why: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update notifications.message
        set state = 'dead', content = null, last_error = $3
        where id = $1 and attempts = $2 and state = 'waiting'
        "#,
        id,
        attempts,
        why,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives up what is due but not worth sending any more, or was tried too often; tells how many by
/// channel.
pub(super) async fn give_up(
    pool: &PgPool,
    now: OffsetDateTime,
) -> Result<Vec<(String, u64)>, sqlx::Error> {
    let given_up = sqlx::query!(
        r#"
        with given_up as (
            update notifications.message
            set state = 'dead', content = null, last_error = coalesce(last_error, 'expired')
            where state = 'waiting' and next_try_at <= $1
                and (expires_at <= $1 or attempts >= max_attempts)
            returning channel
        )
        select channel, count(*) as "messages!" from given_up group by channel
        "#,
        now,
    )
    .fetch_all(pool)
    .await?;
    let given_up = given_up.into_iter();
    Ok(given_up
        .map(|row| (row.channel, row.messages.unsigned_abs()))
        .collect())
}
