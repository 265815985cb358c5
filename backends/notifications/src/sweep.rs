//! Forgets: who was written to is nobody's business for ever.

mod store;

use std::{sync::Arc, time::Duration};

use host::{Clock, Job};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::{SCHEMA, budget};

const EVERY: Duration = Duration::from_secs(10 * 60);
/// How long it can be looked up how a message fared. Far longer than any redelivery takes, so the
/// events' notes go by it too.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long the count of an hour's texts is kept after its hour: nothing asks for it any more.
const COUNTS_KEPT: Duration = Duration::from_secs(2 * 60 * 60);

pub(crate) fn job(pool: PgPool, clock: Clock) -> Job {
    Job {
        name: "sweep",
        every: EVERY,
        limit: EVERY,
        run: Arc::new(move || {
            let (pool, now) = (pool.clone(), clock.now());
            Box::pin(async move { Ok(sweep(&pool, now).await?) })
        }),
    }
}

async fn sweep(pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    budget::forget(pool, now - COUNTS_KEPT).await?;
    let before = now - KEPT;
    store::forget_messages(pool, before).await?;
    while pg::inbox::prune(pool, SCHEMA, before).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[tokio::test]
    async fn what_is_old_and_done_with_is_forgotten() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let before = datetime!(2026-01-02 00:00 UTC);
        for sql in [
            "insert into notifications.message
                (id, kind, recipient, content, state, next_try_at, created_at, sent_at)
            select gen_random_uuid(), 'verify_email', name, content, state, at, at, sent_at
            from (values
                ('old', null, 'sent', $1 - interval '1 second', $1),
                ('old but waiting', '{}'::jsonb, 'waiting', $1 - interval '1 second', null),
                ('new', null, 'sent', $1, $1)
            ) as row (name, content, state, at, sent_at)",
            "insert into notifications.inbox (event_id, consumer, handled_at)
            values (gen_random_uuid(), 'old', $1 - interval '1 second'), (gen_random_uuid(), 'new', $1)",
            "insert into notifications.text_count (counted, hour, texts)
            values ('old', $1, 1), ('new', $1 + interval '30 days', 1)",
        ] {
            sqlx::query(sql).bind(before).execute(&database.pool).await.expect("rows");
        }
        sweep(&database.pool, before + KEPT).await.expect("swept");
        let sql = "select recipient from notifications.message
            union all select consumer from notifications.inbox
            union all select counted from notifications.text_count order by 1";
        let left: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&database.pool)
            .await
            .expect("rows");
        assert_eq!(left, ["new", "new", "new", "old but waiting"]);
    }
}
