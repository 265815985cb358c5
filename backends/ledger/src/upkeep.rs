//! What the tables need now and then.

use sqlx::PgPool;

use crate::store;

/// Makes the journal's partitions of this month and of `months_ahead` more, where missing; how many it made.
///
/// A month without a partition cannot be posted in: run it at the start and daily.
pub async fn make_partitions(pool: &PgPool, months_ahead: u8) -> Result<u32, sqlx::Error> {
    store::make_partitions(pool, months_ahead).await
}

/// Answers forgotten in one commit, so that no lock is held long.
const STEP: u64 = 5_000;

/// Forgets answers older than `days`; how many. From then on their keys are new again.
///
/// Its time grows with the answers kept: pages that were emptied fill with new answers, of which the BRIN
/// index by time knows no more than how old their oldest ever was, and a better index would cost every
/// transfer.
pub async fn forget_answers(pool: &PgPool, days: u16) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    loop {
        let mut tx = pool.begin().await?;
        store::be_patient(&mut tx).await?;
        let step = store::forget(&mut tx, days, STEP as i64).await?;
        tx.commit().await?;
        forgotten += step;
        if step < STEP {
            return Ok(forgotten);
        }
    }
}
