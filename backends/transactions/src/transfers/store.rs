//! Transfers out of the journal.

use ledger::{Amount, Code};
use sqlx::PgPool;
use uuid::Uuid;

use super::Transfer;
use crate::wallets::store::currency;

/// The transfers of an entry that `party` paid or was paid by, in their order.
pub(super) async fn of_entry(
    pool: &PgPool,
    entry: Uuid,
    party: Uuid,
) -> Result<Vec<Transfer>, sqlx::Error> {
    // The legs of an entry are made in one moment and of one batch: their ids are close behind its own,
    // which is the partition, too.
    let rows = sqlx::query!(
        r#"
        select journal.id, payer.id as "from", payee.id as "to", journal.amount, journal.currency,
            journal.created_at
        from ledger.journal as first
        join ledger.journal on journal.entry_id = first.id
            and journal.id >= first.id and journal.id < ledger.uuid_floor(first.created_at + interval '10 milliseconds')
        join transactions.wallet as payer on payer.account = journal.debit_acct
        join transactions.wallet as payee on payee.account = journal.credit_acct
        where first.id = $1 and journal.code = $2 and $3 in (payer.owner, payee.owner)
        order by journal.leg
        "#,
        entry,
        Code::Transfer.number(),
        party,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Transfer {
                id: row.id,
                from: row.from,
                to: row.to,
                amount: amount(row.amount, row.currency)?,
                created_at: row.created_at,
            })
        })
        .collect()
}

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
        Ok(Transfer {
            id,
            from: row.from,
            to: row.to,
            amount: amount(row.amount, row.currency)?,
            created_at: row.created_at,
        })
    })
    .transpose()
}

fn amount(minor: i64, number: i16) -> Result<Amount, sqlx::Error> {
    Amount::new(minor, currency(number)?).map_err(|why| sqlx::Error::Decode(why.into()))
}
