//! Service accounts, what they may ask for, and their keys.

use sqlx::{PgConnection, PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PublicJwk, ServiceAccountError, ServiceAccountView, ServiceKeyView, keys::Proof};
use crate::{key::Tag, oauth::client::Client};

/// What somebody may, or may hand on.
pub(super) struct Rights {
    pub(super) scopes: Vec<String>,
    pub(super) roles: Vec<String>,
}

impl Rights {
    /// Refuses what is more than this.
    pub(super) fn covers(&self, other: &Self) -> Result<(), ServiceAccountError> {
        let scopes = other
            .scopes
            .iter()
            .find(|scope| !self.scopes.contains(scope));
        let roles = other.roles.iter().find(|role| !self.roles.contains(role));
        match scopes.or(roles) {
            None => Ok(()),
            Some(name) => Err(ServiceAccountError::NotHeld(name.clone())),
        }
    }
}

/// The roles that an account has, and the scopes that they carry. Holds the account until the
/// commit, so that nobody takes away what is being handed on.
pub(super) async fn held(tx: &mut PgConnection, account_id: Uuid) -> Result<Rights, sqlx::Error> {
    let _ = sqlx::query_scalar!(
        r#"select id from users.account where id = $1 for no key update"#,
        account_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query_as!(
        Rights,
        r#"
        select
            array(select role from users.account_role where account_id = $1) as "roles!",
            array(
                select distinct carried.scope from users.account_role held
                join users.role_scope carried on carried.role = held.role
                where held.account_id = $1
            ) as "scopes!"
        "#,
        account_id,
    )
    .fetch_one(tx)
    .await
}

/// What a service account may ask for.
pub(super) async fn rights_of(tx: &mut PgConnection, id: Uuid) -> Result<Rights, sqlx::Error> {
    sqlx::query_as!(
        Rights,
        r#"
        select
            array(select role from users.service_account_role
                where service_account_id = $1) as "roles!",
            array(select scope from users.service_account_scope
                where service_account_id = $1) as "scopes!"
        "#,
        id,
    )
    .fetch_one(tx)
    .await
}

/// All service accounts with their keys, by name.
pub(super) async fn all(pool: &PgPool, limit: i64) -> Result<Vec<ServiceAccountView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select a.id, a.name, a.introspects, a.created_at,
            array(select scope from users.service_account_scope
                where service_account_id = a.id order by scope) as "scopes!",
            array(select role from users.service_account_role
                where service_account_id = a.id order by role) as "roles!"
        from users.service_account a
        order by a.name limit $1
        "#,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let mut views: Vec<_> = rows
        .into_iter()
        .map(|row| ServiceAccountView {
            id: row.id,
            name: row.name,
            scopes: row.scopes,
            roles: row.roles,
            introspects: row.introspects,
            created_at: row.created_at,
            keys: Vec::new(),
        })
        .collect();
    let ids: Vec<Uuid> = views.iter().map(|view| view.id).collect();
    let keys = sqlx::query!(
        r#"
        select service_account_id, id, created_at, expires_at,
            case when jwk is null then 'secret' else 'jwk' end as "kind!"
        from users.service_account_key
        where service_account_id = any($1)
        order by service_account_id, id
        "#,
        &ids,
    )
    .fetch_all(pool)
    .await?;
    for row in keys {
        let key = ServiceKeyView {
            id: row.id,
            kind: row.kind,
            created_at: row.created_at,
            expires_at: row.expires_at,
        };
        let mut views = views.iter_mut();
        if let Some(owner) = views.find(|view| view.id == row.service_account_id) {
            owner.keys.push(key);
        }
    }
    Ok(views)
}

/// How many there are.
pub(super) async fn count(tx: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from users.service_account"#)
        .fetch_one(tx)
        .await
}

/// Begins a service account.
pub(super) async fn begin(
    tx: &mut PgConnection,
    account: &ServiceAccountView,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with begun as (
            insert into users.service_account (id, name, introspects, created_at)
            values ($1, $2, $3, $4)
        ), scopes as (
            insert into users.service_account_scope (service_account_id, scope)
            select $1, unnest($5::text[])
        )
        insert into users.service_account_role (service_account_id, role)
        select $1, unnest($6::text[])
        "#,
        account.id,
        account.name,
        account.introspects,
        account.created_at,
        &account.scopes,
        &account.roles,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Holds a service account until the commit. False if there is none.
pub(super) async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select id from users.service_account where id = $1 for no key update"#,
        id
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}

/// Ends a service account with all that it has. False if there is none.
pub(super) async fn remove(tx: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query!(r#"delete from users.service_account where id = $1"#, id)
        .execute(tx)
        .await?;
    Ok(removed.rows_affected() == 1)
}

/// How many keys it has.
pub(super) async fn count_keys(tx: &mut PgConnection, id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from users.service_account_key where service_account_id = $1
        "#,
        id,
    )
    .fetch_one(tx)
    .await
}

/// Gives it a key.
pub(super) async fn add_key(
    tx: &mut PgConnection,
    id: Uuid,
    key: &ServiceKeyView,
    proof: &Proof,
) -> Result<(), sqlx::Error> {
    let (hash, jwk) = match proof {
        Proof::Secret(hash) => (Some(&hash[..]), None),
        Proof::Jwk(jwk) => (None, Some(jwk)),
    };
    sqlx::query!(
        r#"
        insert into users.service_account_key
            (id, service_account_id, secret_hash, jwk, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        key.id,
        id,
        hash,
        jwk,
        key.created_at,
        key.expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes a key from it. False if it had no such key.
pub(super) async fn remove_key(
    tx: &mut PgConnection,
    id: Uuid,
    key_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query!(
        r#"delete from users.service_account_key where service_account_id = $1 and id = $2"#,
        id,
        key_id,
    )
    .execute(tx)
    .await?;
    Ok(removed.rows_affected() == 1)
}

/// The service account that has this secret.
pub(crate) async fn by_secret(
    pool: &PgPool,
    id: Uuid,
    hash: &Tag,
    now: OffsetDateTime,
) -> Result<Option<Client>, sqlx::Error> {
    let has = sqlx::query_scalar!(
        r#"
        select exists (
            select from users.service_account_key
            where service_account_id = $1 and secret_hash = $2
                and (expires_at is null or expires_at > $3)
        ) as "has!"
        "#,
        id,
        &hash[..],
        now,
    )
    .fetch_one(pool)
    .await?;
    match has {
        true => by_id(pool, id).await,
        false => Ok(None),
    }
}

/// The public keys of a service account that are good now.
pub(crate) async fn jwks(
    pool: &PgPool,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<PublicJwk>, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        r#"
        select jwk as "jwk!: Json<PublicJwk>" from users.service_account_key
        where service_account_id = $1 and jwk is not null
            and (expires_at is null or expires_at > $2)
        order by id limit 100
        "#,
        id,
        now,
    )
    .fetch_all(pool)
    .await?;
    Ok(keys.into_iter().map(|Json(key)| key).collect())
}

/// A service account as a client.
pub(crate) async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Client>, sqlx::Error> {
    sqlx::query_as!(
        Client,
        r#"
        select a.id, a.introspects,
            array(select scope from users.service_account_scope
                where service_account_id = a.id order by scope) as "scopes!",
            array(select role from users.service_account_role
                where service_account_id = a.id order by role) as "roles!"
        from users.service_account a
        where a.id = $1
        "#,
        id,
    )
    .fetch_optional(pool)
    .await
}
