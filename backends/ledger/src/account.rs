//! Accounts and what they hold.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::currency::Currency;
use crate::store;

/// The ledger's own name of an account; it never leaves the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user's money; never below its floor.
    Wallet,
    /// Where opening balances come from; the one kind that falls below zero.
    Equity,
}

impl Kind {
    pub(crate) fn number(self) -> i16 {
        match self {
            Kind::Wallet => 1,
            Kind::Equity => 2,
        }
    }

    pub(crate) fn flags(self) -> i32 {
        match self {
            Kind::Wallet => 0,
            Kind::Equity => Balance::ALLOW_NEGATIVE,
        }
    }
}

/// Finds the owner's account of this kind and currency, or opens it with nothing in it.
///
/// `owner` is `None` for the system's accounts. Concurrent callers all get the same one.
pub async fn open_account(
    conn: &mut PgConnection,
    owner: Option<Uuid>,
    currency: Currency,
    kind: Kind,
) -> Result<AccountId, sqlx::Error> {
    if let Some(account) = store::find_account(conn, owner, currency, kind).await? {
        return Ok(account);
    }
    store::insert_account(conn, owner, currency, kind).await?;
    // A concurrent opener may have been faster; either way it is there now.
    store::find_account(conn, owner, currency, kind)
        .await?
        .ok_or(sqlx::Error::RowNotFound)
}

/// What one account holds, in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Its one currency.
    pub currency: Currency,
    /// Credits less debits.
    pub posted: i64,
    /// The part of it that is reserved; never negative.
    pub held: i64,
    /// What must stay available.
    pub floor: i64,
    /// The system's accounts may fall below the floor.
    pub may_fall_below: bool,
    /// How many legs were posted to it.
    pub version: i64,
}

impl Balance {
    /// A posted balance stays within ± this (2^62), so that no difference of two overflows.
    pub const LIMIT: i64 = 1 << 62;

    /// Bit of `account.flags` behind [`Balance::may_fall_below`].
    pub(crate) const ALLOW_NEGATIVE: i32 = 1;

    /// What may be taken: posted less held. Negative for an account that gave more than it had.
    pub fn available(&self) -> i64 {
        self.posted - self.held
    }
}

/// The balances a batch works on, by account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balances(BTreeMap<AccountId, Balance>);

impl Balances {
    /// The balance of an account, if it is among them.
    pub fn get(&self, account: AccountId) -> Option<&Balance> {
        self.0.get(&account)
    }

    /// Each account and its balance, in order of account.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, &Balance)> {
        self.0.iter().map(|(account, balance)| (*account, balance))
    }

    pub(crate) fn get_mut(&mut self, account: AccountId) -> Option<&mut Balance> {
        self.0.get_mut(&account)
    }
}

impl FromIterator<(AccountId, Balance)> for Balances {
    fn from_iter<I: IntoIterator<Item = (AccountId, Balance)>>(balances: I) -> Self {
        Self(balances.into_iter().collect())
    }
}
