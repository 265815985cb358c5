//! A user has proven who they are: they get a wallet.

use anyhow::Context;
use events::{Envelope, UserVerified};
use ledger::Currency;
use pg::Consumer;
use sqlx::PgPool;

use crate::{SCHEMA, wallets};

const NAME: &str = "transactions.open_wallet";

/// Opens the wallet of each verified user, once however often the event comes.
pub(crate) fn consumer(pool: PgPool) -> Consumer {
    Consumer::of(NAME, move |user, envelope| {
        open(pool.clone(), user, envelope)
    })
}

async fn open(pool: PgPool, user: UserVerified, envelope: Envelope) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    if pg::inbox::once(&mut tx, SCHEMA, NAME, envelope.id).await? {
        wallets::open(&mut tx, user.user_id, Currency::USD)
            .await
            .context("opening a wallet")?;
        tx.commit().await?;
        tracing::info!(user_id = %user.user_id, "a wallet was opened");
    }
    Ok(())
}
