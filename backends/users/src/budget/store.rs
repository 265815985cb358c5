//! Buckets, each a time until which it is spent.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::{Purse, Rule};
use crate::key::Tag;

/// Takes one, or tells that there is none left.
pub(super) async fn spend(
    tx: &mut PgConnection,
    key: &Tag,
    rule: Rule,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query!(
        r#"
        insert into users.budget as budget (key, spent_until)
        values ($1, $2::timestamptz + make_interval(secs => $3))
        on conflict on constraint budget_pkey do update
            set spent_until = greatest(budget.spent_until, $2) + make_interval(secs => $3)
            where budget.spent_until <= $4
        "#,
        &key[..],
        now,
        rule.share.as_seconds_f64(),
        now + rule.share * (rule.in_a_row - 1),
    )
    .execute(tx)
    .await?;
    Ok(spent.rows_affected() == 1)
}

/// Until when a bucket is spent.
pub(super) async fn spent_until(
    tx: &mut PgConnection,
    key: &Tag,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select spent_until from users.budget where key = $1"#,
        &key[..]
    )
    .fetch_optional(tx)
    .await
}

/// Gives one back: it was taken beforehand, and turned out to be none of those that count.
pub(crate) async fn give_back(
    tx: &mut PgConnection,
    purse: &Purse,
    rule: Rule,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.budget set spent_until = spent_until - make_interval(secs => $2) where key = $1"#,
        &purse.0[..],
        rule.share.as_seconds_f64(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets those who have all of it again.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.budget where key in (
            select key from users.budget
            where spent_until <= $1
            order by spent_until limit $2
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
