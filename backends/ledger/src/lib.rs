//! Double entry: pure rules first, SQL last.
//!
//! Money never appears or disappears here: each transfer takes from one account what it gives to another,
//! both in one currency and in one row of an append-only journal, together with both balances after it.
//! In reading order:
//!
//! - [`Currency`], [`Amount`]: what may be moved; read once at the door, good ever after
//! - [`Balance`], [`Balances`]: what an account holds
//! - [`Chain`]: transfers of which all take place or none
//! - [`evaluate`]: the rules, without I/O: chains in order, each with its own result
//! - [`Claim`], [`Answer`]: one effect and one answer for each `Idempotency-Key`
//! - [`post()`]: lock, look up, evaluate, write: a batch in one commit
//! - [`Teller`]: many callers, few commits
//! - [`Proof`]: the books, checked against themselves

mod account;
mod amount;
mod chain;
mod currency;
mod idem;
mod journal;
mod opening;
mod post;
mod posting;
mod reconcile;
mod store;
mod teller;
mod upkeep;

pub use account::{AccountId, Balance, Balances, Kind, open_account};
pub use amount::{Amount, AmountError, WrittenAmount};
pub use chain::{Chain, ChainLength, Move};
pub use currency::Currency;
pub use idem::{Answer, Claim};
pub use journal::{Code, Posted, PostedLeg};
pub use opening::{OpeningError, open_balance};
pub use post::{Order, Outcome, Verdict, post};
pub use posting::{Leg, Refusal, Refused, Transfer, evaluate};
pub use reconcile::{Invariant, Proof, reconcile};
pub use teller::{PostError, Teller};
pub use upkeep::{forget_answers, make_partitions};

/// Schema `ledger`. An app that posts names these before its own.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
