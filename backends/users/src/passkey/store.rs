//! Passkeys, and the challenges that wait for them.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Aim, client_data::Challenge, keep::PasskeyView, options::CredentialDescriptor};

/// A passkey to be.
pub(super) struct NewPasskey<'a> {
    pub(super) id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) name: &'a str,
    pub(super) credential_id: &'a [u8],
    pub(super) public_key: &'a [u8],
    pub(super) sign_count: u32,
    pub(super) backup_eligible: bool,
    pub(super) backed_up: bool,
    pub(super) aaguid: Uuid,
    pub(super) transports: &'a [String],
    pub(super) discoverable: Option<bool>,
}

/// What is known of a passkey that somebody brings.
pub(super) struct Kept {
    pub(super) id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) public_key: Vec<u8>,
    pub(super) sign_count: i64,
    pub(super) backup_eligible: bool,
}

/// Writes down a challenge that was given out.
pub(super) async fn begin(
    tx: &mut PgConnection,
    challenge: &Challenge,
    aim: &Aim<'_>,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.passkey_ceremony (challenge, aim, account_id, bound_to, expires_at)
        values ($1, $2, $3, $4, $5)
        "#,
        &challenge[..],
        aim.name(),
        aim.account_id(),
        aim.bound_to(),
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes a challenge that was given out for just this, and tells whether it was there and in time.
pub(super) async fn take(
    tx: &mut PgConnection,
    challenge: &Challenge,
    aim: &Aim<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let expires_at = sqlx::query_scalar!(
        r#"
        delete from users.passkey_ceremony
        where challenge = $1 and aim = $2
            and account_id is not distinct from $3 and bound_to is not distinct from $4
        returning expires_at
        "#,
        &challenge[..],
        aim.name(),
        aim.account_id(),
        aim.bound_to(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(expires_at.is_some_and(|expires_at| now < expires_at))
}

/// How many passkeys an account has.
pub(super) async fn count(tx: &mut PgConnection, account_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from users.passkey where account_id = $1"#,
        account_id
    )
    .fetch_one(tx)
    .await
}

/// Adds a passkey. False if it is somebody's already.
pub(super) async fn add(
    tx: &mut PgConnection,
    new: &NewPasskey<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let added = sqlx::query!(
        r#"
        insert into users.passkey (id, account_id, name, credential_id, public_key, sign_count,
            backup_eligible, backed_up, aaguid, transports, discoverable, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict on constraint passkey_credential_key do nothing
        "#,
        new.id,
        new.account_id,
        new.name,
        new.credential_id,
        new.public_key,
        i64::from(new.sign_count),
        new.backup_eligible,
        new.backed_up,
        new.aaguid,
        new.transports,
        new.discoverable,
        now,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// An account's passkeys, oldest first.
pub(super) async fn of_account(
    pool: &PgPool,
    account_id: Uuid,
    limit: i64,
) -> Result<Vec<PasskeyView>, sqlx::Error> {
    sqlx::query_as!(
        PasskeyView,
        r#"
        select id, name, aaguid, backup_eligible, backed_up, discoverable, created_at, last_used_at
        from users.passkey where account_id = $1 order by id limit $2
        "#,
        account_id,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// One of an account's passkeys.
pub(super) async fn by_id(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
) -> Result<Option<PasskeyView>, sqlx::Error> {
    sqlx::query_as!(
        PasskeyView,
        r#"
        select id, name, aaguid, backup_eligible, backed_up, discoverable, created_at, last_used_at
        from users.passkey where account_id = $1 and id = $2
        "#,
        account_id,
        id,
    )
    .fetch_optional(tx)
    .await
}

/// An account's passkeys as browsers look for them, the one used last first.
pub(super) async fn descriptors(
    tx: &mut PgConnection,
    account_id: Uuid,
    limit: i64,
) -> Result<Vec<CredentialDescriptor>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select credential_id, transports from users.passkey
        where account_id = $1
        order by last_used_at desc nulls last, id desc limit $2
        "#,
        account_id,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let descriptors = rows
        .into_iter()
        .map(|row| CredentialDescriptor::new(&row.credential_id, row.transports));
    Ok(descriptors.collect())
}

/// Whose passkey it is.
pub(super) async fn owner(
    tx: &mut PgConnection,
    credential_id: &[u8],
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select account_id from users.passkey where credential_id = $1"#,
        credential_id,
    )
    .fetch_optional(tx)
    .await
}

/// Finds a passkey by its authenticator's name for it, and holds it until the commit: of two that
/// bring the same count the second is seen as what it is.
pub(super) async fn lock(
    tx: &mut PgConnection,
    credential_id: &[u8],
) -> Result<Option<Kept>, sqlx::Error> {
    sqlx::query_as!(
        Kept,
        r#"
        select id, account_id, public_key, sign_count, backup_eligible
        from users.passkey where credential_id = $1 for update
        "#,
        credential_id,
    )
    .fetch_optional(tx)
    .await
}

/// Writes down what a passkey has shown of itself when it was used.
pub(super) async fn used(
    tx: &mut PgConnection,
    id: Uuid,
    sign_count: u32,
    backed_up: bool,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.passkey set sign_count = $2, backed_up = $3, last_used_at = $4 where id = $1"#,
        id,
        i64::from(sign_count),
        backed_up,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives a passkey of this account another name. False if there is none.
pub(super) async fn rename(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let renamed = sqlx::query!(
        r#"update users.passkey set name = $3 where account_id = $1 and id = $2"#,
        account_id,
        id,
        name,
    )
    .execute(tx)
    .await?;
    Ok(renamed.rows_affected() == 1)
}

/// Removes a passkey of this account, and says what it was called.
pub(super) async fn remove(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"delete from users.passkey where account_id = $1 and id = $2 returning name"#,
        account_id,
        id,
    )
    .fetch_optional(tx)
    .await
}

/// Forgets challenges that nobody has answered in time.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.passkey_ceremony where challenge in (
            select challenge from users.passkey_ceremony
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
