//! Exchanging contacts, and the way back.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{contact::Contact, key::Tag};

/// Gives an account a contact in place of the one of its kind. False when it is somebody else's.
pub(super) async fn exchange(
    tx: &mut PgConnection,
    account_id: Uuid,
    contact: &Contact,
) -> Result<bool, sqlx::Error> {
    let (email, phone) = match contact {
        Contact::Email(email) => (Some(email.as_str()), None),
        Contact::Phone(phone) => (None, Some(phone.as_str())),
    };
    let exchanged = sqlx::query!(
        r#"
        update users.account set email = coalesce($2, email), phone = coalesce($3, phone)
        where id = $1 and not exists (
            select from users.account other where other.id <> $1 and (other.email = $2 or other.phone = $3)
        )
        "#,
        account_id,
        email,
        phone,
    )
    .execute(tx)
    .await;
    match exchanged {
        Ok(done) => Ok(done.rows_affected() == 1),
        // Somebody else was faster by a moment.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes the contact of a channel from an account; it had none before.
pub(super) async fn drop(
    tx: &mut PgConnection,
    account_id: Uuid,
    channel: &str,
) -> Result<bool, sqlx::Error> {
    let dropped = sqlx::query!(
        r#"
        update users.account set
            email = case when $2 = 'email' then null else email end,
            phone = case when $2 = 'sms' then null else phone end
        where id = $1
        "#,
        account_id,
        channel,
    )
    .execute(tx)
    .await?;
    Ok(dropped.rows_affected() == 1)
}

/// Forgets what was proven, or was to be proven, by a contact that an account has no more.
pub(super) async fn forget_proofs(
    tx: &mut PgConnection,
    account_id: Uuid,
    old: &Contact,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with codes as (
            delete from users.challenge where account_id = $1 and contact = $2
        )
        delete from users.pending_login where account_id = $1
        "#,
        account_id,
        old.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps what a change is undone with.
pub(super) async fn allow_undo(
    tx: &mut PgConnection,
    token_hash: &Tag,
    account_id: Uuid,
    new: &Contact,
    previous: Option<&Contact>,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.undo (token_hash, account_id, channel, previous, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        &token_hash[..],
        account_id,
        new.channel_name(),
        previous.map(Contact::as_str),
        now,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whose change a link undoes, which it is, and when it was made.
pub(super) async fn change_of(
    tx: &mut PgConnection,
    token_hash: &Tag,
    now: OffsetDateTime,
) -> Result<Option<(Uuid, i64, OffsetDateTime)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select account_id, seq, created_at from users.undo
        where token_hash = $1 and expires_at > $2
        "#,
        &token_hash[..],
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.account_id, row.seq, row.created_at)))
}

/// Takes every way back of an account, and gives those of a change and its followers, the newest first. The
/// others are void: whoever made a change must not undo its undoing.
pub(super) async fn take_undos(
    tx: &mut PgConnection,
    account_id: Uuid,
    first: i64,
) -> Result<Vec<(String, Option<Contact>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with taken as (
            delete from users.undo where account_id = $1
            returning channel, previous, seq
        )
        select channel, previous from taken where seq >= $2 order by seq desc
        "#,
        account_id,
        first,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let previous = row.previous.as_deref();
            let previous = previous.and_then(|text| Contact::kept(&row.channel, text));
            (row.channel, previous)
        })
        .collect())
}

/// Calls off an erasure that was asked for.
pub(super) async fn reopen(tx: &mut PgConnection, account_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with called_off as (
            delete from users.erasure where account_id = $1 and undo_hash is not null
            returning account_id
        )
        update users.account
        set standing = 'active', perm_ver = perm_ver + 1, version = version + 1
        where id in (select account_id from called_off) and standing = 'deleted' and erased_at is null
        "#,
        account_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes back what an account has enrolled since then, and its recovery codes; gives the secrets of its
/// keys for programs that went with it.
pub(super) async fn forget_since(
    tx: &mut PgConnection,
    account_id: Uuid,
    since: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        with factors as (
            delete from users.second_factor where account_id = $1 and created_at >= $2
        ), passkeys as (
            delete from users.passkey where account_id = $1 and created_at >= $2
        ), identities as (
            delete from users.identity where account_id = $1 and linked_at >= $2
        ), codes as (
            delete from users.recovery_code where account_id = $1
        ), keys as (
            delete from users.api_key where account_id = $1 and created_at >= $2 returning id
        )
        select s.id from users.api_key_secret s where s.api_key_id in (select id from keys)
        "#,
        account_id,
        since,
    )
    .fetch_all(tx)
    .await
}

/// Forgets ways back whose time is over.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.undo where token_hash in (
            select token_hash from users.undo
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
