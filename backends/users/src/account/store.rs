//! Accounts and the roles they hold.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Account;
use crate::email::Email;

/// The account that has this address.
pub(crate) async fn by_email(
    db: impl PgExecutor<'_>,
    email: &Email,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select id, email, password_hash, perm_ver, created_at,
            array(select role from users.account_role where account_id = id order by role) as "roles!"
        from users.account
        where email = $1
        "#,
        email.as_str(),
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
        select id, email, password_hash, perm_ver, created_at,
            array(select role from users.account_role where account_id = id order by role) as "roles!"
        from users.account
        where id = $1
        "#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// Tells whether an account has this address.
pub(crate) async fn is_taken(tx: &mut PgConnection, email: &Email) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from users.account where email = $1) as "taken!""#,
        email.as_str()
    )
    .fetch_one(tx)
    .await
}

/// Begins an account, or tells that the address has one.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    id: Uuid,
    email: &str,
    password_hash: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let begun = sqlx::query!(
        r#"
        insert into users.account (id, email, password_hash, created_at)
        values ($1, $2, $3, $4)
        on conflict on constraint account_email_key do nothing
        "#,
        id,
        email,
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
        r#"update users.account set password_hash = $2 where id = $1"#,
        id,
        password_hash
    )
    .execute(tx)
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
