//! The rules of APIs.

use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

/// The rules of an API and their version.
pub(super) async fn by_api(
    db: impl PgExecutor<'_>,
    api: &str,
) -> Result<Option<(i64, Value)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select version, document from users.acl where api = $1"#,
        api
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.version, row.document)))
}

/// How many APIs have rules.
pub(super) async fn count(tx: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from users.acl"#)
        .fetch_one(tx)
        .await
}

/// Puts rules in place of those that there are, and gives their version.
pub(super) async fn put(
    tx: &mut PgConnection,
    api: &str,
    document: &Value,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        insert into users.acl as acl (api, document, changed_at) values ($1, $2, $3)
        on conflict on constraint acl_pkey do update
        set document = $2, changed_at = $3, version = acl.version + 1
        returning version
        "#,
        api,
        document,
        now,
    )
    .fetch_one(tx)
    .await
}
