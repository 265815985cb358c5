//! What waits for a second proof.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Pending, Wait};
use crate::{
    client::Client,
    factor::{self, Factor},
    key::Tag,
};

/// An act under way.
pub(super) struct Waiting {
    pub(super) account_id: Uuid,
    pub(super) act: Pending,
    pub(super) proven: Vec<Factor>,
    pub(super) state: Value,
}

/// Keeps an act until its second proof.
pub(super) async fn keep(
    tx: &mut PgConnection,
    token_hash: &Tag,
    wait: &Wait<'_>,
    client: &Client,
    tries_left: i16,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.pending_login
            (token_hash, account_id, act, proven, state, user_agent, tries_left, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        &token_hash[..],
        wait.account.id,
        wait.act.name(),
        &factor::names(wait.proven),
        wait.state,
        client.user_agent,
        tries_left,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The act of a token, where it was begun by this very program and tries are left.
pub(super) async fn look(
    tx: &mut PgConnection,
    token_hash: &Tag,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Option<Waiting>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select account_id, act, proven, state from users.pending_login
        where token_hash = $1 and tries_left > 0 and expires_at > $2
            and user_agent is not distinct from $3
        "#,
        &token_hash[..],
        now,
        client.user_agent,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Waiting {
        account_id: row.account_id,
        act: Pending::named(&row.act),
        proven: factor::read(&row.proven),
        state: row.state,
    }))
}

/// The same, and takes one try off it.
pub(super) async fn spend_try(
    pool: &PgPool,
    token_hash: &Tag,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Option<Waiting>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        update users.pending_login set tries_left = tries_left - 1
        where token_hash = $1 and tries_left > 0 and expires_at > $2
            and user_agent is not distinct from $3
        returning account_id, act, proven, state
        "#,
        &token_hash[..],
        now,
        client.user_agent,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Waiting {
        account_id: row.account_id,
        act: Pending::named(&row.act),
        proven: factor::read(&row.proven),
        state: row.state,
    }))
}

/// Ends an act's waiting, or tells that somebody was faster.
pub(super) async fn take(tx: &mut PgConnection, token_hash: &Tag) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        r#"delete from users.pending_login where token_hash = $1"#,
        &token_hash[..]
    )
    .execute(tx)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Deletes acts that nobody went on with.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.pending_login where token_hash in (
            select token_hash from users.pending_login
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
