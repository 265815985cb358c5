//! Second factors, recovery codes, and failures with either.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::FactorView;
use crate::{contact::Contact, key::Tag};

/// An authenticator app.
pub(super) struct Totp {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) secret: Vec<u8>,
}

/// The kinds that an account has enrolled, and whether a recovery code is left.
pub(super) async fn enrolled(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<(Vec<String>, bool), sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select
            array(
                select kind from users.second_factor
                where account_id = $1 and confirmed_at is not null
                union
                select 'passkey' from users.passkey where account_id = $1
            ) as "kinds!",
            exists (
                select from users.recovery_code where account_id = $1 and spent_at is null
            ) as "has_codes!"
        "#,
        account_id,
    )
    .fetch_one(tx)
    .await?;
    Ok((row.kinds, row.has_codes))
}

/// The second factors of an account, oldest first.
pub(super) async fn of_account(
    pool: &PgPool,
    account_id: Uuid,
    limit: i64,
) -> Result<Vec<FactorView>, sqlx::Error> {
    sqlx::query_as!(
        FactorView,
        r#"
        select id, kind, name, confirmed_at is not null as "confirmed!", created_at, last_used_at
        from users.second_factor where account_id = $1
        order by id limit $2
        "#,
        account_id,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// How many second factors an account has, confirmed or not.
pub(super) async fn count(tx: &mut PgConnection, account_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from users.second_factor where account_id = $1"#,
        account_id
    )
    .fetch_one(tx)
    .await
}

/// How many recovery codes are left.
pub(super) async fn recovery_codes_left(
    pool: &PgPool,
    account_id: Uuid,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from users.recovery_code
        where account_id = $1 and spent_at is null
        "#,
        account_id
    )
    .fetch_one(pool)
    .await
}

/// Begins an authenticator app.
pub(super) async fn add_totp(
    tx: &mut PgConnection,
    id: Uuid,
    account_id: Uuid,
    name: &str,
    secret: &[u8],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.second_factor (id, account_id, kind, name, secret, created_at)
        values ($1, $2, 'totp', $3, $4, $5)
        "#,
        id,
        account_id,
        name,
        secret,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds codes by message, or tells that they are there.
pub(super) async fn add_message(
    tx: &mut PgConnection,
    id: Uuid,
    account_id: Uuid,
    kind: &str,
    name: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let added = sqlx::query!(
        r#"
        insert into users.second_factor (id, account_id, kind, name, created_at, confirmed_at)
        values ($1, $2, $3, $4, $5, $5)
        on conflict (account_id, kind) where kind <> 'totp' do nothing
        "#,
        id,
        account_id,
        kind,
        name,
        now,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Forgets an app that was begun and never confirmed.
pub(super) async fn remove_unconfirmed(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"delete from users.second_factor where account_id = $1 and confirmed_at is null"#,
        account_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// An app of this account that waits for its first code; held until the commit.
pub(super) async fn unconfirmed(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
) -> Result<Option<Totp>, sqlx::Error> {
    sqlx::query_as!(
        Totp,
        r#"
        select id, name, secret as "secret!" from users.second_factor
        where account_id = $1 and id = $2 and kind = 'totp' and confirmed_at is null
        for update
        "#,
        account_id,
        id,
    )
    .fetch_optional(tx)
    .await
}

/// Makes an app a second factor; the step of its first code is spent by that.
pub(super) async fn confirm(
    tx: &mut PgConnection,
    id: Uuid,
    step: i64,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.second_factor set confirmed_at = $3, last_step = $2 where id = $1"#,
        id,
        step,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The apps of an account.
pub(super) async fn totp_secrets(
    pool: &PgPool,
    account_id: Uuid,
) -> Result<Vec<Totp>, sqlx::Error> {
    sqlx::query_as!(
        Totp,
        r#"
        select id, name, secret as "secret!" from users.second_factor
        where account_id = $1 and kind = 'totp' and confirmed_at is not null
        order by id
        "#,
        account_id,
    )
    .fetch_all(pool)
    .await
}

/// Spends a step of an app, or tells that it, or a later one, was spent.
pub(super) async fn spend_step(
    tx: &mut PgConnection,
    id: Uuid,
    step: i64,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query!(
        r#"
        update users.second_factor set last_step = $2, last_used_at = $3
        where id = $1 and confirmed_at is not null and (last_step is null or last_step < $2)
        "#,
        id,
        step,
        now,
    )
    .execute(tx)
    .await?;
    Ok(spent.rows_affected() == 1)
}

/// Notes the use of codes by message.
pub(super) async fn note_message(
    tx: &mut PgConnection,
    account_id: Uuid,
    kind: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.second_factor set last_used_at = $3 where account_id = $1 and kind = $2"#,
        account_id,
        kind,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a factor of this account and gives its name, or tells that there is none.
pub(super) async fn remove(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"delete from users.second_factor where account_id = $1 and id = $2 returning name"#,
        account_id,
        id,
    )
    .fetch_optional(tx)
    .await
}

/// Calls the factor that stands on a contact by the one that took its place.
pub(crate) async fn rename_message(
    tx: &mut PgConnection,
    account_id: Uuid,
    contact: &Contact,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.second_factor set name = $3 where account_id = $1 and kind = $2"#,
        account_id,
        contact.channel_name(),
        contact.masked(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps what new recovery codes are known by.
pub(super) async fn add_recovery_codes(
    tx: &mut PgConnection,
    account_id: Uuid,
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into users.recovery_code (account_id, hash) select $1, unnest($2::bytea[])"#,
        account_id,
        hashes,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Voids the recovery codes of an account.
pub(crate) async fn remove_recovery_codes(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"delete from users.recovery_code where account_id = $1"#,
        account_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Spends a recovery code, or tells that there is no such one left.
pub(super) async fn spend_recovery_code(
    tx: &mut PgConnection,
    account_id: Uuid,
    hash: &Tag,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query!(
        r#"
        update users.recovery_code set spent_at = $3
        where account_id = $1 and hash = $2 and spent_at is null
        "#,
        account_id,
        &hash[..],
        now,
    )
    .execute(tx)
    .await?;
    Ok(spent.rows_affected() == 1)
}

/// Counts a try with a factor as failed, before it is made; or tells that there have been too many.
pub(super) async fn pay(
    pool: &PgPool,
    account_id: Uuid,
    factor: &str,
    device_id: Uuid,
    most: i16,
) -> Result<bool, sqlx::Error> {
    let paid = sqlx::query!(
        r#"
        insert into users.factor_failure as failed (account_id, factor, device_id, failures)
        values ($1, $2, $3, 1)
        on conflict on constraint factor_failure_pkey do update set failures = failed.failures + 1
            where failed.failures < $4
        "#,
        account_id,
        factor,
        device_id,
        most,
    )
    .execute(pool)
    .await?;
    Ok(paid.rows_affected() == 1)
}

/// Forgets the failures of an account from there.
pub(super) async fn forgive(
    tx: &mut PgConnection,
    account_id: Uuid,
    device_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"delete from users.factor_failure where account_id = $1 and device_id = $2"#,
        account_id,
        device_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}
