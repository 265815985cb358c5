//! API keys, their secrets' hashes, and the answers under which they were made.

use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{ApiKeyView, wish::Kept};
use crate::key::Tag;

/// What is to be different about a key.
pub(super) struct Change<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) scopes: Option<&'a [String]>,
    pub(super) networks: Option<Vec<String>>,
}

/// A key that is good.
pub(super) struct Good {
    pub(super) api_key_id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) scopes: Vec<String>,
    pub(super) networks: Vec<String>,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) ends_at: Option<OffsetDateTime>,
}

/// Deletes an account's keys for programs; gives the ids of their secrets.
pub(super) async fn remove_all(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let secrets = sqlx::query_scalar!(
        r#"
        select secret.id from users.api_key_secret secret
        join users.api_key key on key.id = secret.api_key_id
        where key.account_id = $1
        "#,
        account_id
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from users.api_key where account_id = $1",
        account_id
    )
    .execute(tx)
    .await?;
    Ok(secrets)
}

/// The scopes that an account's roles carry.
pub(super) async fn scopes_of(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select distinct carried.scope
        from users.account_role held
        join users.role_scope carried on carried.role = held.role
        where held.account_id = $1
        "#,
        account_id,
    )
    .fetch_all(tx)
    .await
}

/// How many keys an account has that are not past their time.
pub(super) async fn count(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from users.api_key
        where account_id = $1 and (expires_at is null or expires_at > $2)
        "#,
        account_id,
        now,
    )
    .fetch_one(tx)
    .await
}

/// The keys of an account that are not past their time, oldest first.
pub(super) async fn of_account(
    pool: &PgPool,
    account_id: Uuid,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ApiKeyView>, sqlx::Error> {
    sqlx::query_as!(
        ApiKeyView,
        r#"
        select k.id, k.name, k.scopes, k.networks, k.created_at, k.expires_at, k.last_used_at,
            (select s.id from users.api_key_secret s
                where s.api_key_id = k.id and s.ends_at is null) as "secret_id!",
            (select max(s.ends_at) from users.api_key_secret s
                where s.api_key_id = k.id and s.ends_at > $2) as previous_until
        from users.api_key k
        where k.account_id = $1 and (k.expires_at is null or k.expires_at > $2)
        order by k.id limit $3
        "#,
        account_id,
        now,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// One of them.
pub(super) async fn by_id(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<ApiKeyView>, sqlx::Error> {
    sqlx::query_as!(
        ApiKeyView,
        r#"
        select k.id, k.name, k.scopes, k.networks, k.created_at, k.expires_at, k.last_used_at,
            (select s.id from users.api_key_secret s
                where s.api_key_id = k.id and s.ends_at is null) as "secret_id!",
            (select max(s.ends_at) from users.api_key_secret s
                where s.api_key_id = k.id and s.ends_at > $3) as previous_until
        from users.api_key k
        where k.account_id = $1 and k.id = $2 and (k.expires_at is null or k.expires_at > $3)
        "#,
        account_id,
        id,
        now,
    )
    .fetch_optional(tx)
    .await
}

/// Begins a key; it has no secret yet.
pub(super) async fn begin(
    tx: &mut PgConnection,
    account_id: Uuid,
    key: &ApiKeyView,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.api_key (id, account_id, name, scopes, networks, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        "#,
        key.id,
        account_id,
        key.name,
        &key.scopes,
        &key.networks,
        key.created_at,
        key.expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a secret that is good from now on.
pub(super) async fn add_secret(
    tx: &mut PgConnection,
    api_key_id: Uuid,
    id: Uuid,
    hash: &Tag,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.api_key_secret (id, hash, api_key_id, issued_at) values ($1, $2, $3, $4)
        "#,
        id,
        &hash[..],
        api_key_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets a key's secret end at `ends_at`, and ends those now that were to end already; names these.
pub(super) async fn end_secrets(
    tx: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
    ends_at: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ended = sqlx::query_scalar!(
        r#"
        delete from users.api_key_secret
        where api_key_id = $1 and (ends_at is not null or $3::timestamptz <= $2::timestamptz)
        returning id
        "#,
        id,
        now,
        ends_at,
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        r#"update users.api_key_secret set ends_at = $2 where api_key_id = $1"#,
        id,
        ends_at,
    )
    .execute(tx)
    .await?;
    Ok(ended)
}

/// The ids of the secrets of a key of this account.
pub(super) async fn secrets_of(
    tx: &mut PgConnection,
    account_id: Uuid,
    api_key_id: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select s.id from users.api_key_secret s
        join users.api_key k on k.id = s.api_key_id
        where k.account_id = $1 and k.id = $2
        order by s.id
        for update of k, s
        "#,
        account_id,
        api_key_id,
    )
    .fetch_all(tx)
    .await
}

/// Changes a key of this account, or tells that there is none.
pub(super) async fn change(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
    change: &Change<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query!(
        r#"
        update users.api_key set
            name = coalesce($4, name),
            scopes = coalesce($5, scopes),
            networks = coalesce($6, networks)
        where account_id = $1 and id = $2 and (expires_at is null or expires_at > $3)
        "#,
        account_id,
        id,
        now,
        change.name,
        change.scopes,
        change.networks.as_deref(),
    )
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Removes a key of this account and its secrets, or tells that there is none.
pub(super) async fn remove(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query!(
        r#"delete from users.api_key where account_id = $1 and id = $2"#,
        account_id,
        id,
    )
    .execute(tx)
    .await?;
    Ok(removed.rows_affected() == 1)
}

/// The good key of this id and hash, with the scopes that its owner still carries. Those of an owner
/// who is not active are void meanwhile.
pub(super) async fn resolve(
    pool: &PgPool,
    id: Uuid,
    hash: &[u8],
    now: OffsetDateTime,
) -> Result<Option<Good>, sqlx::Error> {
    sqlx::query_as!(
        Good,
        r#"
        select k.id as api_key_id, k.account_id, k.networks, k.expires_at, s.ends_at,
            array(
                select unnest(k.scopes)
                intersect
                select carried.scope
                from users.account_role held
                join users.role_scope carried on carried.role = held.role
                where held.account_id = k.account_id
                order by 1
            ) as "scopes!"
        from users.api_key_secret s
        join users.api_key k on k.id = s.api_key_id
        join users.account owner on owner.id = k.account_id
        where s.id = $1 and s.hash = $2
            and (owner.standing = 'active' or owner.standing_until <= $3)
            and (s.ends_at is null or s.ends_at > $3)
            and (k.expires_at is null or k.expires_at > $3)
        "#,
        id,
        hash,
        now,
    )
    .fetch_optional(pool)
    .await
}

/// Notes that a key is in use, unless that was noted within `every`.
pub(super) async fn note_use(
    pool: &PgPool,
    id: Uuid,
    now: OffsetDateTime,
    every: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.api_key set last_used_at = $2
        where id = $1 and (last_used_at is null or last_used_at <= $3)
        "#,
        id,
        now,
        now - every,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What was answered to this account under an `Idempotency-Key`, later than `since`.
pub(super) async fn wish(
    tx: &mut PgConnection,
    account_id: Uuid,
    key_hash: &Tag,
    since: OffsetDateTime,
) -> Result<Option<Kept>, sqlx::Error> {
    sqlx::query_as!(
        Kept,
        r#"
        select fingerprint, salt, secret_hash, answer from users.api_key_wish
        where account_id = $1 and key_hash = $2 and created_at > $3
        "#,
        account_id,
        &key_hash[..],
        since,
    )
    .fetch_optional(tx)
    .await
}

/// Keeps an answer, in place of one that is too old to be given again.
pub(super) async fn keep_wish(
    tx: &mut PgConnection,
    account_id: Uuid,
    key_hash: &Tag,
    kept: &Kept,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.api_key_wish
            (account_id, key_hash, fingerprint, salt, secret_hash, answer, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict on constraint api_key_wish_pkey do update set
            fingerprint = excluded.fingerprint, salt = excluded.salt,
            secret_hash = excluded.secret_hash, answer = excluded.answer,
            created_at = excluded.created_at
        "#,
        account_id,
        &key_hash[..],
        kept.fingerprint,
        kept.salt,
        kept.secret_hash,
        kept.answer,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
