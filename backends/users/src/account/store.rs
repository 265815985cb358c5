//! Accounts and the roles they hold.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Account;
use crate::{
    contact::{Contact, Phone},
    email::Email,
};

/// The account that has this contact.
pub(crate) async fn by_contact(
    db: impl PgExecutor<'_>,
    contact: &Contact,
) -> Result<Option<Account>, sqlx::Error> {
    match contact {
        Contact::Email(email) => by_email(db, email).await,
        Contact::Phone(phone) => by_phone(db, phone).await,
    }
}

/// The account that has this address.
pub(crate) async fn by_email(
    db: impl PgExecutor<'_>,
    email: &Email,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select id, email, phone, name, password_hash, password_ver, perm_ver, standing as standing_given,
            standing_until, created_at,
            array(select role from users.account_role where account_id = id order by role) as "roles_given!"
        from users.account
        where email = $1
        "#,
        email.as_str(),
    )
    .fetch_optional(db)
    .await
}

/// The account that has this phone number.
pub(crate) async fn by_phone(
    db: impl PgExecutor<'_>,
    phone: &Phone,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select id, email, phone, name, password_hash, password_ver, perm_ver, standing as standing_given,
            standing_until, created_at,
            array(select role from users.account_role where account_id = id order by role) as "roles_given!"
        from users.account
        where phone = $1
        "#,
        phone.as_str(),
    )
    .fetch_optional(db)
    .await
}

/// The account of this id.
pub(crate) async fn by_id(
    db: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select id, email, phone, name, password_hash, password_ver, perm_ver, standing as standing_given,
            standing_until, created_at,
            array(select role from users.account_role where account_id = id order by role) as "roles_given!"
        from users.account
        where id = $1
        "#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// The account of this id as it is now, and will be until the commit: whoever else changes it, or what
/// hangs on it, waits for that or has done it before. The first lock of a transaction but for that of
/// `rights::begin_change`, so that no two wait for each other.
pub(crate) async fn hold(tx: &mut PgConnection, id: Uuid) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id from users.account where id = $1 for no key update"#,
        id
    )
    .fetch_optional(&mut *tx)
    .await?;
    by_id(tx, id).await
}

/// Tells whether an account has this contact.
pub(crate) async fn is_taken(
    tx: &mut PgConnection,
    contact: &Contact,
) -> Result<bool, sqlx::Error> {
    let (email, phone) = columns(contact);
    sqlx::query_scalar!(
        r#"select exists (select from users.account where email = $1 or phone = $2) as "taken!""#,
        email,
        phone,
    )
    .fetch_one(tx)
    .await
}

/// Whether anybody can come in: by a contact, which codes are sent to and a password goes with, by
/// somebody else's word, or by a passkey.
pub(crate) async fn has_way_in(tx: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select email is not null or phone is not null
            or exists (select from users.identity where account_id = account.id)
            or exists (select from users.passkey where account_id = account.id) as "has!"
        from users.account where id = $1
        "#,
        id,
    )
    .fetch_one(tx)
    .await
}

/// A contact as the two columns that it may stand in.
fn columns(contact: &Contact) -> (Option<&str>, Option<&str>) {
    match contact {
        Contact::Email(email) => (Some(email.as_str()), None),
        Contact::Phone(phone) => (None, Some(phone.as_str())),
    }
}

/// Begins an account, or tells that the contact has one.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    id: Uuid,
    contact: &Contact,
    password_hash: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (email, phone) = columns(contact);
    let begun = sqlx::query!(
        r#"
        insert into users.account (id, email, phone, password_hash, created_at)
        values ($1, $2, $3, $4, $5)
        on conflict do nothing
        "#,
        id,
        email,
        phone,
        password_hash,
        now,
    )
    .execute(tx)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Replaces an account's password.
pub(crate) async fn set_password(
    tx: &mut PgConnection,
    id: Uuid,
    password_hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.account set password_hash = $2, password_ver = password_ver + 1 where id = $1"#,
        id,
        password_hash
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Puts a hash of today in the place of `old`, unless the password was changed meanwhile: the
/// change wins.
pub(crate) async fn rehash(
    tx: &mut PgConnection,
    id: Uuid,
    old: Option<&str>,
    anew: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.account set password_hash = $3 where id = $1 and password_hash = $2"#,
        id,
        old,
        anew,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Calls an account by a name, or by none.
pub(crate) async fn rename(
    db: impl PgExecutor<'_>,
    id: Uuid,
    name: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.account set name = $2 where id = $1"#,
        id,
        name
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives an account a role, if it does not have it yet.
pub(crate) async fn grant(
    tx: &mut PgConnection,
    id: Uuid,
    role: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with granted as (
            insert into users.account_role (account_id, role, granted_at)
            values ($1, $2, $3)
            on conflict on constraint account_role_pkey do nothing
            returning account_id
        )
        update users.account set perm_ver = perm_ver + 1 where id in (select account_id from granted)
        "#,
        id,
        role,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes every role but one from an account.
pub(crate) async fn revoke_all_but(
    tx: &mut PgConnection,
    id: Uuid,
    role: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with revoked as (
            delete from users.account_role where account_id = $1 and role <> $2
            returning account_id
        )
        update users.account set perm_ver = perm_ver + 1 where id in (select account_id from revoked)
        "#,
        id,
        role,
    )
    .execute(tx)
    .await?;
    Ok(())
}
