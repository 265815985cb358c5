//! A transfer out of the journal.

use ledger::{Amount, Code};
use sqlx::PgPool;
use uuid::Uuid;

use super::Transfer;
use crate::wallets::store::currency;

/// The transfer, if `party` paid or was paid by it.
pub(super) async fn by_id(
    pool: &PgPool,
    id: Uuid,
    party: Uuid,
) -> Result<Option<Transfer>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select payer.id as "from", payee.id as "to", journal.amount, journal.currency, journal.created_at
        from ledger.journal
        join transactions.wallet as payer on payer.account = journal.debit_acct
        join transactions.wallet as payee on payee.account = journal.credit_acct
        where journal.id = $1 and journal.code = $2 and $3 in (payer.owner, payee.owner)
        "#,
        id,
        Code::Transfer.number(),
        party,
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let amount = Amount::new(row.amount, currency(row.currency)?)
            .map_err(|why| sqlx::Error::Decode(why.into()))?;
        Ok(Transfer {
            id,
            from: row.from,
            to: row.to,
            amount,
            created_at: row.created_at,
        })
    })
    .transpose()
}
