//! The list of what was revoked.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::{Item, KEPT, Page, Revoked};

/// Appends rows under the next numbers. Nobody else gets one before the caller's commit.
pub(super) async fn append(
    tx: &mut PgConnection,
    what: &[Revoked],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let kinds: Vec<String> = what.iter().map(|one| one.kind().to_owned()).collect();
    let ids: Vec<String> = what.iter().map(|one| one.id().to_string()).collect();
    let not_before: Vec<Option<OffsetDateTime>> =
        what.iter().map(|one| one.not_before(now)).collect();
    let until: Vec<OffsetDateTime> = what.iter().map(|one| one.until(now)).collect();
    sqlx::query!(
        r#"
        with head as (
            update users.revocation_head set seq = seq + cardinality($1::text[])
            returning seq - cardinality($1::text[]) as before
        )
        insert into users.revocation (seq, kind, id, not_before, until, revoked_at)
        select head.before + n, kind, id, not_before, until, $5
        from head, unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
            with ordinality as row (kind, id, not_before, until, n)
        "#,
        &kinds,
        &ids,
        &not_before as &[Option<OffsetDateTime>],
        &until,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The rows behind a number, or from the first that is kept.
pub(super) async fn page(
    pool: &PgPool,
    after: Option<i64>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    // One statement, so that the rows, their end and what was swept are of one moment.
    let rows = sqlx::query!(
        r#"
        select head.seq as head, head.swept, row.seq as "seq?", row.kind as "kind?", row.id as "id?",
            row.not_before, row.revoked_at as "revoked_at?", row.until as "until?"
        from users.revocation_head head
        left join lateral (
            select seq, kind, id, not_before, revoked_at, until
            from users.revocation where seq > $1
            order by seq limit $2
        ) as row on true
        order by row.seq
        "#,
        after.unwrap_or(0),
        limit,
    )
    .fetch_all(pool)
    .await?;
    let (head, swept) = rows.first().map_or((0, 0), |row| (row.head, row.swept));
    let items: Vec<Item> = rows
        .into_iter()
        .filter_map(|row| {
            Some(Item {
                cursor: row.seq?,
                kind: row.kind?,
                id: row.id?,
                not_before: row.not_before.map(OffsetDateTime::unix_timestamp),
                revoked_at_ms: unix_ms(row.revoked_at?),
                until: row.until?.unix_timestamp(),
            })
        })
        .collect();
    let full = i64::try_from(items.len()).is_ok_and(|count| count == limit);
    let last = items.last().map(|item| item.cursor);
    Ok(Page {
        after: after.unwrap_or(0),
        // A page that is not full ends where the numbers do.
        next: last.filter(|_| full).unwrap_or(head),
        head,
        lost: after.is_some_and(|after| after < swept),
        at_ms: unix_ms(now),
        items,
    })
}

/// Forgets what matters no longer and is old enough.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        with gone as (
            delete from users.revocation where seq in (
                select seq from users.revocation
                where until <= $1 and revoked_at <= $2
                order by until limit $3
                for update skip locked
            )
            returning seq
        ), noted as (
            update users.revocation_head
            set swept = greatest(swept, (select max(seq) from gone))
            where exists (select from gone)
        )
        select count(*) as "count!" from gone
        "#,
        now,
        now - KEPT,
        batch,
    )
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(swept.count).unwrap_or(0))
}

fn unix_ms(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
