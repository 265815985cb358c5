//! Throws away what has no meaning any more: wishes that nobody proved, tokens and sessions past
//! their time. Nothing depends on it, since every reader looks at the clock itself.

mod store;

use sqlx::PgPool;
use time::OffsetDateTime;

/// Rows per statement, so that no sweep holds locks for long.
const BATCH: i64 = 1000;

/// Sweeps until nothing is left.
pub(crate) async fn sweep(pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    while store::registrations(pool, now, BATCH).await? == BATCH as u64 {}
    while store::refresh_tokens(pool, now, BATCH).await? == BATCH as u64 {}
    while store::sessions(pool, now, BATCH).await? == BATCH as u64 {}
    Ok(())
}
