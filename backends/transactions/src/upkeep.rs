//! What the tables need now and then.

use std::sync::Arc;
use std::time::Duration;

use host::{Clock, Job};
use sqlx::PgPool;

use crate::SCHEMA;

/// Months that the journal is ready for beyond this one.
const MONTHS_AHEAD: u8 = 3;

/// How long a repeated request gets its first answer; clients retry for hours, not for a month.
const ANSWER_DAYS: u16 = 30;

/// How long it is known which events were handled: far longer than a redelivery takes.
const HANDLED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes the journal's partitions ahead of time.
pub(crate) fn partitions(pool: PgPool) -> Job {
    Job {
        name: "ledger_partitions",
        every: Duration::from_secs(6 * 3600),
        limit: Duration::from_secs(60),
        run: Arc::new(move || {
            let pool = pool.clone();
            Box::pin(async move {
                let made = ledger::make_partitions(&pool, MONTHS_AHEAD).await?;
                if made > 0 {
                    tracing::info!(made, "partitions of the journal were made ahead");
                }
                Ok(())
            })
        }),
    }
}

/// Forgets what was answered under old idempotency keys.
pub(crate) fn answers(pool: PgPool) -> Job {
    Job {
        name: "ledger_answers",
        every: Duration::from_secs(3600),
        limit: Duration::from_secs(3600),
        run: Arc::new(move || {
            let pool = pool.clone();
            Box::pin(async move {
                ledger::forget_answers(&pool, ANSWER_DAYS).await?;
                Ok(())
            })
        }),
    }
}

/// Forgets which events were handled long ago.
pub(crate) fn inbox(pool: PgPool, clock: Clock) -> Job {
    Job {
        name: "inbox",
        every: Duration::from_secs(3600),
        limit: Duration::from_secs(600),
        run: Arc::new(move || {
            let (pool, before) = (pool.clone(), clock.now() - HANDLED_KEPT);
            Box::pin(async move {
                while pg::inbox::prune(&pool, SCHEMA, before).await? > 0 {}
                Ok(())
            })
        }),
    }
}
