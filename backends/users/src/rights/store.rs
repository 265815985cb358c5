//! Roles, their permissions and the rules of APIs, as one thing with one version.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, PgExecutor, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Snapshot;
use crate::account::FROZEN_ROLE;

/// All of it, as of one moment.
pub(crate) async fn snapshot(db: impl PgExecutor<'_>) -> Result<Snapshot, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select head.version,
            (
                select coalesce(jsonb_object_agg(role.name, array(
                    select permission from users.role_permission
                    where role_permission.role = role.name order by permission
                )), '{}')
                from users.role
            ) as "roles!: Json<BTreeMap<String, BTreeSet<String>>>",
            (
                select coalesce(jsonb_object_agg(api, document), '{}') from users.acl
            ) as "acl!: Json<BTreeMap<String, serde_json::Value>>"
        from users.authz_head head
        "#
    )
    .fetch_one(db)
    .await?;
    Ok(Snapshot {
        version: row.version,
        roles: row.roles.0,
        acl: row.acl.0,
    })
}

/// Its version alone.
pub(super) async fn version(db: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select version from users.authz_head"#)
        .fetch_one(db)
        .await
}

/// Makes whoever else changes who may what wait for the caller's commit.
pub(super) async fn lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"select version from users.authz_head for update"#)
        .fetch_one(tx)
        .await?;
    Ok(())
}

/// Gives it the next version.
pub(super) async fn bump(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"update users.authz_head set version = version + 1"#)
        .execute(tx)
        .await?;
    Ok(())
}

/// Up to two accounts that hold the role and are active.
pub(super) async fn admins(
    tx: &mut PgConnection,
    role: &str,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select account.id
        from users.account_role held join users.account account on account.id = held.account_id
        where held.role = $1 and (account.standing = 'active' or account.standing_until <= $2)
        limit 2
        "#,
        role,
        now,
    )
    .fetch_all(tx)
    .await
}

/// The roles that accounts speak with now: those of a frozen one are `frozen` alone. Accounts that are
/// banned or gone are not there.
pub(super) async fn roles_of(
    db: impl PgExecutor<'_>,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<HashMap<Uuid, Vec<String>>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"
        select id, case
            when standing = 'frozen' and (standing_until is null or standing_until > $2) then array[$3]
            else array(select role from users.account_role where account_id = id)
        end as "roles!"
        from users.account
        where id = any($1) and (standing in ('active', 'frozen') or standing_until <= $2)
        "#,
        ids,
        now,
        FROZEN_ROLE,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.roles)).collect())
}
