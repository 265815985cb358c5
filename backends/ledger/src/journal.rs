//! Posting: a batch of orders in one commit, each answered for itself.
//!
//! Any number of replicas may post at once: accounts are locked in order of id and keys are claimed in
//! order of key, so none waits for another in a circle. A batch of one and of a thousand take the same way.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::account::{AccountId, Balances, Kind, open_account};
use crate::amount::Amount;
use crate::idem::{Answer, Claim, ClaimKey, Kept};
use crate::posting::{Leg, Refusal, Transfer, evaluate};
use crate::store;

/// Why money moved; what the journal keeps as `code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A user paid another.
    Transfer,
    /// The balance an account began with.
    Opening,
}

impl Code {
    const ALL: [Code; 2] = [Code::Transfer, Code::Opening];

    /// What `journal.code` holds.
    pub fn number(self) -> i16 {
        match self {
            Code::Transfer => 1,
            Code::Opening => 2,
        }
    }

    /// Finds a code by what `journal.code` holds.
    pub fn by_number(number: i16) -> Option<Code> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }
}

/// A transfer somebody asked for under an `Idempotency-Key`.
pub struct Order {
    /// What is to move.
    pub transfer: Transfer,
    /// Why.
    pub code: Code,
    /// Under which key; its principal is the journal's `actor`.
    pub claim: Claim,
    /// Words the verdict for the client. Called again should the batch have to start anew; only the
    /// answer of the attempt that was committed is ever kept or sent.
    pub answer: Box<dyn Fn(&Verdict) -> Answer + Send + Sync>,
}

/// Posted, or why not.
pub type Verdict = Result<Posted, Refusal>;

/// A transfer as it stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The transfer's id: uuid v7 by the database's clock.
    pub id: Uuid,
    /// What moved, and both balances after.
    pub leg: Leg,
    /// By the database's clock.
    pub at: OffsetDateTime,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was judged now.
    Fresh(Answer),
    /// It had been judged before: this is what was answered then, and nothing moved now.
    Replayed(Answer),
    /// The key was used for another request; nothing moved.
    KeyReused,
}

/// Judges the orders strictly in order and writes all that follows in one commit.
///
/// One outcome for each, in the same order. Each key has one effect, also when a copy of the order stands
/// in the same batch or is being posted by another replica. An error means that nothing was written, or
/// (when it struck the commit itself) that asking again under the same key will tell.
pub async fn post(pool: &PgPool, orders: &[Order]) -> Result<Vec<Outcome>, sqlx::Error> {
    // Each round that ends without a commit has seen another replica commit one of our keys, which the
    // next round finds; so there are no more rounds than keys.
    loop {
        let mut tx = pool.begin().await?;
        if let Some(outcomes) = attempt(&mut tx, orders).await? {
            tx.commit().await?;
            return Ok(outcomes);
        }
        tx.rollback().await?;
    }
}

/// `None`: a key was claimed by another transaction since we looked.
async fn attempt(
    tx: &mut PgConnection,
    orders: &[Order],
) -> Result<Option<Vec<Outcome>>, sqlx::Error> {
    let accounts: BTreeSet<AccountId> = orders
        .iter()
        .flat_map(|order| [order.transfer.debit, order.transfer.credit])
        .collect();
    let mut balances = store::lock(tx, &accounts).await?;

    // Looked up only now: who holds the locks sees what the holder before it has kept.
    let keys: BTreeSet<ClaimKey> = orders.iter().map(|order| order.claim.key).collect();
    let mut kept = store::kept(tx, &keys).await?;
    let fresh = first_of_each(orders, &kept);
    if !fresh.is_empty() {
        let now = store::now(tx).await?;
        let batch = judge(&mut balances, orders, &fresh, now);
        if !store::write(tx, &batch.lines, &balances, &batch.kept, now).await? {
            return Ok(None);
        }
        kept.extend(batch.kept);
    }
    let outcomes = orders.iter().enumerate().map(|(n, order)| {
        let Kept {
            fingerprint,
            answer,
            ..
        } = &kept[&order.claim.key];
        match (fresh.contains(&n), *fingerprint == order.claim.fingerprint) {
            (true, _) => Outcome::Fresh(answer.clone()),
            (false, true) => Outcome::Replayed(answer.clone()),
            (false, false) => Outcome::KeyReused,
        }
    });
    Ok(Some(outcomes.collect()))
}

/// Which orders are to be judged: the first under each key that has no answer yet.
fn first_of_each(orders: &[Order], kept: &BTreeMap<ClaimKey, Kept>) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let is_new = |key: &ClaimKey| !kept.contains_key(key);
    (0..orders.len())
        .filter(|n| is_new(&orders[*n].claim.key) && seen.insert(orders[*n].claim.key))
        .collect()
}

/// A row of the journal to be.
pub(crate) struct Line {
    pub(crate) posted: Posted,
    pub(crate) code: Code,
    pub(crate) actor: Option<Uuid>,
}

struct Batch {
    lines: Vec<Line>,
    kept: BTreeMap<ClaimKey, Kept>,
}

fn judge(
    balances: &mut Balances,
    orders: &[Order],
    fresh: &BTreeSet<usize>,
    now: OffsetDateTime,
) -> Batch {
    let orders = fresh.iter().map(|n| &orders[*n]);
    let transfers: Vec<Transfer> = orders.clone().map(|order| order.transfer).collect();
    let mut ids = Ids::new(now);
    let mut batch = Batch {
        lines: Vec::new(),
        kept: BTreeMap::new(),
    };
    for (order, result) in orders.zip(evaluate(balances, &transfers)) {
        let verdict = result.map(|leg| Posted {
            id: ids.next(),
            leg,
            at: now,
        });
        let Claim { key, fingerprint } = order.claim;
        let entry = verdict.ok().map(|posted| posted.id);
        batch.kept.insert(
            key,
            Kept {
                fingerprint,
                entry,
                answer: (order.answer)(&verdict),
            },
        );
        if let Ok(posted) = verdict {
            batch.lines.push(Line {
                posted,
                code: order.code,
                actor: Some(key.principal),
            });
        }
    }
    batch
}

/// uuid v7 of the database's moment, rising within a batch.
///
/// Never of our own clock: the journal is partitioned by these, and replicas disagree about the time.
struct Ids {
    context: ContextV7,
    now: OffsetDateTime,
}

impl Ids {
    fn new(now: OffsetDateTime) -> Self {
        Self {
            context: ContextV7::new(),
            now,
        }
    }

    fn next(&mut self) -> Uuid {
        let seconds =
            u64::try_from(self.now.unix_timestamp()).expect("the database's clock is past 1970");
        Uuid::new_v7(Timestamp::from_unix(
            &self.context,
            seconds,
            self.now.nanosecond(),
        ))
    }
}

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
/// caller's transaction commits.
pub async fn open_balance(
    tx: &mut PgConnection,
    account: AccountId,
    amount: Amount,
) -> Result<bool, OpeningError> {
    let equity = open_account(tx, None, amount.currency(), Kind::Equity).await?;
    let mut balances = store::lock(tx, &BTreeSet::from([equity, account])).await?;
    if store::was_credited(tx, account, Code::Opening).await? {
        return Ok(false);
    }
    let leg = evaluate(
        &mut balances,
        &[Transfer {
            debit: equity,
            credit: account,
            amount,
        }],
    )
    .remove(0)?;
    let now = store::now(tx).await?;
    let posted = Posted {
        id: Ids::new(now).next(),
        leg,
        at: now,
    };
    let line = Line {
        posted,
        code: Code::Opening,
        actor: None,
    };
    let written = store::write(tx, &[line], &balances, &BTreeMap::new(), now).await?;
    assert!(written, "without a key nobody can have been faster");
    Ok(true)
}

/// Makes the journal's partitions of this month and of `months_ahead` more, where missing; how many it made.
///
/// A month without a partition cannot be posted in: run it at the start and daily.
pub async fn make_partitions(pool: &PgPool, months_ahead: u8) -> Result<u32, sqlx::Error> {
    store::make_partitions(pool, months_ahead).await
}

/// Forgets answers older than `days`; how many. From then on their keys are new again.
pub async fn forget_answers(pool: &PgPool, days: u16) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    loop {
        // In small steps, each its own commit, so that no lock is held long.
        let step = store::forget(pool, days, 5_000).await?;
        forgotten += step;
        if step == 0 {
            return Ok(forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_back() {
        for code in Code::ALL {
            assert_eq!(Code::by_number(code.number()), Some(code));
        }
    }

    #[test]
    fn ids_carry_the_moment_given_and_rise() {
        let now =
            OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).expect("a moment");
        let mut ids = Ids::new(now);
        let ids: Vec<Uuid> = (0..2_000).map(|_| ids.next()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        for id in ids {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.as_u128() >> 80, 1_700_000_000_123);
        }
    }
}
