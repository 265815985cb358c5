//! The balance an account begins with.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use crate::account::{AccountId, Kind, open_account};
use crate::amount::Amount;
use crate::chain::Chain;
use crate::journal::{Code, Ids, Line, Posted};
use crate::posting::{Refusal, Transfer, evaluate};
use crate::store;

/// Why an opening balance was not posted.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The rules forbid it.
    #[error("opening balance refused")]
    Refused(#[from] Refusal),
    /// The database failed us.
    #[error("opening balance not written")]
    Database(#[from] sqlx::Error),
}

/// Gives an account the balance it begins with, out of the equity account of its currency.
///
/// Once: an account that has an opening entry keeps it, and `false` is returned. Takes place when the
/// caller's transaction commits, which holds both accounts locked until then: one opening a transaction,
/// and last, else two could wait for each other in a circle.
pub async fn open_balance(
    tx: &mut PgConnection,
    account: AccountId,
    amount: Amount,
) -> Result<bool, OpeningError> {
    store::go_by_index(tx).await?;
    let equity = open_account(tx, None, amount.currency(), Kind::Equity).await?;
    let mut balances = store::lock(tx, &BTreeSet::from([equity, account])).await?;
    if store::was_credited(tx, account, Code::Opening).await? {
        return Ok(false);
    }
    let transfer = Transfer {
        debit: equity,
        credit: account,
        amount,
    };
    let chain = Chain::one(transfer, Code::Opening);
    let legs = evaluate(&mut balances, [&chain]).remove(0);
    let legs = legs.map_err(|refused| refused.why)?;
    let now = store::now(tx).await?;
    let posted = Posted::new(&chain, legs, &mut Ids::new(now), now);
    let lines: Vec<Line> = posted.lines(None).collect();
    let written = store::write(tx, &lines, &balances, &BTreeMap::new(), now).await?;
    assert!(written, "without a key nobody can have been faster");
    Ok(true)
}
