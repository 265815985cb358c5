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

/// Keeps what a change is undone with.
pub(super) async fn allow_undo(
    tx: &mut PgConnection,
    token_hash: &Tag,
    account_id: Uuid,
    previous: &Contact,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.undo (token_hash, account_id, channel, previous, expires_at)
        values ($1, $2, $3, $4, $5)
        "#,
        &token_hash[..],
        account_id,
        previous.channel_name(),
        previous.as_str(),
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes a change's way back: whose it is, and what they had before.
pub(super) async fn take_undo(
    tx: &mut PgConnection,
    token_hash: &Tag,
    now: OffsetDateTime,
) -> Result<Option<(Uuid, Contact)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        delete from users.undo where token_hash = $1 and expires_at > $2
        returning account_id, channel, previous
        "#,
        &token_hash[..],
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.and_then(|row| {
        let previous = Contact::kept(&row.channel, &row.previous)?;
        Some((row.account_id, previous))
    }))
}

/// Forgets every other way back of an account: whoever made a change must not undo its undoing.
pub(super) async fn forbid_undo(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"delete from users.undo where account_id = $1"#,
        account_id
    )
    .execute(tx)
    .await?;
    Ok(())
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
