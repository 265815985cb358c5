//! Roles, their permissions and the rules of APIs, as one thing with one version.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgExecutor, types::Json};

use super::Snapshot;

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
