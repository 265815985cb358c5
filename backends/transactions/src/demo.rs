//! Money for the demo accounts, out of the ledger's equity account.

use anyhow::Context;
use host::DemoPerson;
use ledger::{Amount, Currency};
use sqlx::PgPool;

use crate::wallets;

/// What each begins with, in cents.
const OPENING_MINOR: i64 = 100_000;

/// Gives each person with an account a wallet and one opening entry; a second time changes nothing.
pub(crate) async fn arrange(pool: &PgPool, people: &[DemoPerson]) -> anyhow::Result<()> {
    let opening = Amount::new(OPENING_MINOR, Currency::USD)?;
    for (person, user_id) in people
        .iter()
        .filter_map(|person| Some((person, person.user_id?)))
    {
        let mut tx = pool.begin().await?;
        let account = wallets::open(&mut tx, user_id, Currency::USD).await?;
        ledger::open_balance(&mut tx, account, opening)
            .await
            .with_context(|| format!("giving {} a balance to begin with", person.email))?;
        tx.commit().await?;
    }
    Ok(())
}
