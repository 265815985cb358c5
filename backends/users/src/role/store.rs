//! Roles and what they are made of.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PermissionView, Role};

/// Every permission, by name.
pub(super) async fn permissions(
    db: impl PgExecutor<'_>,
) -> Result<Vec<PermissionView>, sqlx::Error> {
    sqlx::query_as!(
        PermissionView,
        r#"select name, description from users.permission order by name limit 1000"#
    )
    .fetch_all(db)
    .await
}

/// Every role, by name.
pub(super) async fn all(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Role>, sqlx::Error> {
    sqlx::query_as!(
        Role,
        r#"
        select name, description, built_in, version, array(
            select permission from users.role_permission where role = name order by permission
        ) as "permissions!"
        from users.role order by name limit $1
        "#,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The role of this name.
pub(super) async fn by_name(
    db: impl PgExecutor<'_>,
    name: &str,
) -> Result<Option<Role>, sqlx::Error> {
    sqlx::query_as!(
        Role,
        r#"
        select name, description, built_in, version, array(
            select permission from users.role_permission where role = name order by permission
        ) as "permissions!"
        from users.role where name = $1
        "#,
        name,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn count(tx: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from users.role"#)
        .fetch_one(tx)
        .await
}

/// Makes a role without permissions, or tells that the name is taken.
pub(super) async fn create(
    tx: &mut PgConnection,
    name: &str,
    description: &str,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query!(
        r#"
        insert into users.role (name, description) values ($1, $2)
        on conflict on constraint role_pkey do nothing
        "#,
        name,
        description,
    )
    .execute(tx)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Gives a role the next version, and a description if there is one.
pub(super) async fn describe(
    tx: &mut PgConnection,
    name: &str,
    description: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.role set description = coalesce($2, description), version = version + 1
        where name = $1
        "#,
        name,
        description,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives a role these permissions and no others.
pub(super) async fn set_permissions(
    tx: &mut PgConnection,
    name: &str,
    permissions: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with gone as (
            delete from users.role_permission where role = $1 and permission <> all($2)
        )
        insert into users.role_permission (role, permission)
        select $1, permission from unnest($2::text[]) as given (permission)
        on conflict on constraint role_permission_pkey do nothing
        "#,
        name,
        permissions,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a role, or tells that somebody holds it.
pub(super) async fn delete(tx: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let gone = sqlx::query!(r#"delete from users.role where name = $1"#, name)
        .execute(tx)
        .await;
    match gone {
        Ok(_) => Ok(true),
        // Whatever refers to roles does so by a foreign key.
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives an account these roles and no others, and its `perm_ver` then.
pub(super) async fn hold_roles(
    tx: &mut PgConnection,
    account_id: Uuid,
    roles: &[String],
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        with gone as (
            delete from users.account_role where account_id = $1 and role <> all($2)
        ), given as (
            insert into users.account_role (account_id, role, granted_at)
            select $1, role, $3 from unnest($2::text[]) as given (role)
            on conflict on constraint account_role_pkey do nothing
        )
        update users.account set perm_ver = perm_ver + 1 where id = $1
        returning perm_ver
        "#,
        account_id,
        roles,
        now,
    )
    .fetch_one(tx)
    .await
}
