//! Accounts that were given up, and what is forgotten with them.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Shuts an account until it is had back or forgotten.
pub(super) async fn shut(tx: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.account
        set standing = 'deleted', standing_reason = null, standing_note = null,
            standing_until = null, perm_ver = perm_ver + 1, version = version + 1
        where id = $1
        "#,
        id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes an account active again that was shut.
pub(super) async fn open(tx: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.account
        set standing = 'active', perm_ver = perm_ver + 1, version = version + 1
        where id = $1 and standing = 'deleted' and erased_at is null
        "#,
        id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes when somebody is to be forgotten; of one that is held, anew.
pub(super) async fn begin(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
    due_at: OffsetDateTime,
    undo_hash: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.erasure (account_id, asked_at, due_at, undo_hash)
        values ($1, $2, $3, $4)
        on conflict on constraint erasure_pkey do update set due_at = $3, undo_hash = $4
        "#,
        account_id,
        now,
        due_at,
        undo_hash,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether somebody is to be forgotten, however long that is held up.
pub(crate) async fn is_noted(tx: &mut PgConnection, account_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from users.erasure where account_id = $1) as "is!""#,
        account_id
    )
    .fetch_one(tx)
    .await
}

/// Holds up an erasure that its owner has asked for, until there is another word on it; false if there
/// is none of that kind.
pub(crate) async fn hold_up(tx: &mut PgConnection, account_id: Uuid) -> Result<bool, sqlx::Error> {
    let held = sqlx::query!(
        r#"
        update users.erasure set due_at = 'infinity', undo_hash = null
        where account_id = $1 and undo_hash is not null
        "#,
        account_id
    )
    .execute(tx)
    .await?;
    Ok(held.rows_affected() == 1)
}

/// Ends an erasure that was noted; false if none is.
pub(super) async fn call_off(tx: &mut PgConnection, account_id: Uuid) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        r#"delete from users.erasure where account_id = $1"#,
        account_id
    )
    .execute(tx)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Whose erasure a token undoes.
pub(super) async fn undone_by(
    tx: &mut PgConnection,
    undo_hash: &[u8],
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select account_id from users.erasure where undo_hash = $1"#,
        undo_hash,
    )
    .fetch_optional(tx)
    .await
}

/// Takes back the erasure that a token undoes; false if it is too late.
pub(super) async fn undo(
    tx: &mut PgConnection,
    undo_hash: &[u8],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let undone = sqlx::query!(
        r#"delete from users.erasure where undo_hash = $1 and due_at > $2"#,
        undo_hash,
        now,
    )
    .execute(tx)
    .await?;
    Ok(undone.rows_affected() == 1)
}

/// The account whose erasure is due longest.
pub(super) async fn due(
    tx: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select account_id from users.erasure
        where due_at <= $1
        order by due_at limit 1
        "#,
        now
    )
    .fetch_optional(tx)
    .await
}

/// Deletes the rows that belong to an account alone, in whatever table they are.
pub(super) async fn forget_belongings(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!("select users.forget_belongings($1)", account_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes what was to be proven with these contacts, by anybody.
pub(super) async fn forget_challenges(
    tx: &mut PgConnection,
    contacts: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from users.challenge where contact = any($1)",
        contacts
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes the particulars of what an account did, and of what was done to it.
pub(super) async fn forget_particulars(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from users.audit_detail where audit_seq in (
            select seq from users.audit where account_id = $1
            union all
            select seq from users.audit where actor_id = $1
        )
        "#,
        account_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes events that tell of an account or its contacts, be they delivered or not.
pub(super) async fn forget_events(
    tx: &mut PgConnection,
    account_id: Uuid,
    contacts: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from users.outbox
        where key = $1 or key = any($2) or payload ->> 'to' = any($2)
        "#,
        account_id.to_string(),
        contacts,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Leaves of an account nothing but its id.
pub(super) async fn empty(
    tx: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.account
        set email = null, phone = null, name = null, password_hash = null,
            standing = 'deleted', standing_reason = null, standing_note = null,
            standing_until = null, verified_at = null, erased_at = $2, version = version + 1
        where id = $1
        "#,
        id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
