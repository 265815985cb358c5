//! What the tables need now and then.

use sqlx::PgPool;

use crate::store;

/// Makes the journal's partitions of this month and of `months_ahead` more, where missing; how many it made.
///
/// A month without a partition cannot be posted in: run it at the start and daily.
pub async fn make_partitions(pool: &PgPool, months_ahead: u8) -> Result<u32, sqlx::Error> {
    store::make_partitions(pool, months_ahead).await
}

/// Forgets answers older than `days`; how many. From then on their keys are new again.
pub async fn forget_answers(pool: &PgPool, days: u16) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    loop {
        // In small steps, each its own commit, so that no lock is held long.
        let step = store::forget(pool, days, 5_000).await?;
        forgotten += step;
        if step == 0 {
            return Ok(forgotten);
        }
    }
}
