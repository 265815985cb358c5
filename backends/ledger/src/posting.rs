//! The rules: what a transfer does to two balances, or why it may not. No I/O, no clock.

use crate::account::{AccountId, Balance, Balances};
use crate::amount::Amount;
use crate::chain::Chain;

/// A wish to move money: `debit` gives, `credit` gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The account that gives.
    pub debit: AccountId,
    /// The account that gets.
    pub credit: AccountId,
    /// How much, in the currency of both.
    pub amount: Amount,
}

/// A transfer that took place: the row of the journal, both sides of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// What was wished for.
    pub transfer: Transfer,
    /// The giver's posted balance after it, in minor units.
    pub debit_after: i64,
    /// The getter's posted balance after it, in minor units.
    pub credit_after: i64,
}

/// Why a transfer may not take place; nothing has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Giver and getter are one.
    #[error("an account cannot pay itself")]
    SameAccount,
    /// One of the two is not there.
    #[error("there is no such account")]
    UnknownAccount,
    /// The amount and both accounts must share one currency.
    #[error("the amount and both accounts must be of one currency")]
    CurrencyMismatch,
    /// The giver's available balance would fall below its floor.
    #[error("the account has less available than the transfer takes")]
    InsufficientFunds,
    /// A balance would leave ±[`Balance::LIMIT`].
    #[error("the account cannot hold that much")]
    OutOfRange,
}

/// Which leg of a chain was refused, and why; none of them has moved anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("leg {leg}: {why}")]
pub struct Refused {
    /// Counted from 0.
    pub leg: usize,
    /// What is wrong with it, after those before it.
    #[source]
    pub why: Refusal,
}

/// Does the transfers of each chain strictly in order, each upon what the ones before it left.
///
/// One result for each chain, in the same order. A refused one leaves the balances as they were and does
/// not hinder the next.
pub fn evaluate<'a>(
    balances: &mut Balances,
    chains: impl IntoIterator<Item = &'a Chain>,
) -> Vec<Result<Vec<Leg>, Refused>> {
    let chains = chains.into_iter();
    chains.map(|chain| link(balances, chain)).collect()
}

fn link(balances: &mut Balances, chain: &Chain) -> Result<Vec<Leg>, Refused> {
    let mut legs = Vec::with_capacity(chain.moves().len());
    for (leg, transfer) in chain.transfers().enumerate() {
        match apply(balances, transfer) {
            Ok(done) => legs.push(done),
            Err(why) => {
                for done in legs.into_iter().rev() {
                    undo(balances, done);
                }
                return Err(Refused { leg, why });
            }
        }
    }
    Ok(legs)
}

/// Takes back the leg that was done last.
fn undo(balances: &mut Balances, leg: Leg) {
    let amount = leg.transfer.amount.minor();
    for (account, before) in [
        (leg.transfer.debit, leg.debit_after + amount),
        (leg.transfer.credit, leg.credit_after - amount),
    ] {
        let balance = balances
            .get_mut(account)
            .expect("a leg that was done is between balances");
        balance.posted = before;
        balance.version -= 1;
    }
}

fn apply(balances: &mut Balances, transfer: Transfer) -> Result<Leg, Refusal> {
    let leg = judge(balances, transfer)?;
    for (account, after) in [
        (transfer.debit, leg.debit_after),
        (transfer.credit, leg.credit_after),
    ] {
        let balance = balances
            .get_mut(account)
            .expect("judged accounts are among the balances");
        balance.posted = after;
        balance.version += 1;
    }
    Ok(leg)
}

fn judge(balances: &Balances, transfer: Transfer) -> Result<Leg, Refusal> {
    if transfer.debit == transfer.credit {
        return Err(Refusal::SameAccount);
    }
    let debit = balances
        .get(transfer.debit)
        .ok_or(Refusal::UnknownAccount)?;
    let credit = balances
        .get(transfer.credit)
        .ok_or(Refusal::UnknownAccount)?;
    let currency = transfer.amount.currency();
    if debit.currency != currency || credit.currency != currency {
        return Err(Refusal::CurrencyMismatch);
    }
    let amount = i128::from(transfer.amount.minor());
    let left = i128::from(debit.posted) - amount;
    if !debit.may_fall_below && left - i128::from(debit.held) < i128::from(debit.floor) {
        return Err(Refusal::InsufficientFunds);
    }
    Ok(Leg {
        transfer,
        debit_after: in_range(left)?,
        credit_after: in_range(i128::from(credit.posted) + amount)?,
    })
}

fn in_range(posted: i128) -> Result<i64, Refusal> {
    i64::try_from(posted)
        .ok()
        .filter(|posted| (-Balance::LIMIT..=Balance::LIMIT).contains(posted))
        .ok_or(Refusal::OutOfRange)
}

#[cfg(test)]
mod tests;
