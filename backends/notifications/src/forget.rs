//! Somebody was erased: what was sent to them, or was still to be, is forgotten at once, and not when
//! its time is up.

mod store;

use anyhow::Context;
use events::{Envelope, UserErased};
use pg::Consumer;
use sqlx::PgPool;

use crate::SCHEMA;

const FORGET: &str = "notifications.forget_erased";

/// Hears of those who were erased.
pub(crate) fn consumer(pool: &PgPool) -> Consumer {
    let pool = pool.clone();
    Consumer::of(FORGET, move |event: UserErased, envelope| {
        forget(pool.clone(), event, envelope)
    })
}

async fn forget(pool: PgPool, event: UserErased, envelope: Envelope) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    if pg::inbox::once(&mut tx, SCHEMA, FORGET, envelope.id).await? {
        // Whoever has the address now may have been written to since.
        store::forget(&mut tx, &event, envelope.at)
            .await
            .context("forgetting messages")?;
    }
    tx.commit().await?;
    Ok(())
}
