//! Posting: a batch of orders in one commit, each answered for itself.
//!
//! Any number of replicas may post at once: accounts are locked in order of id and keys are claimed in
//! order of key, so none waits for another in a circle. A batch of one and of a thousand take the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::account::{AccountId, Balances};
use crate::chain::Chain;
use crate::idem::{Answer, Claim, ClaimKey, Kept};
use crate::journal::{Ids, Line, Posted};
use crate::posting::{Refused, evaluate};
use crate::store;

/// How long a batch may take. The server's own limits are shorter; this one is for a server that has gone
/// without a word (a failover, a cut cable), from which no answer would ever come.
const DEADLINE: Duration = Duration::from_secs(10);

/// What somebody asked for under an `Idempotency-Key`.
pub struct Order {
    /// What is to move, and why.
    pub chain: Chain,
    /// Under which key; its principal is the journal's `actor`.
    pub claim: Claim,
    /// Words the verdict for the client. Called again should the batch have to start anew; only the
    /// answer of the attempt that was committed is ever kept or sent.
    pub answer: Box<dyn Fn(&Verdict) -> Answer + Send + Sync>,
}

/// Posted, or why not.
pub type Verdict = Result<Posted, Refused>;

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
/// (when it struck the commit itself, or there was no answer in time) that asking again under the same
/// key will tell.
pub async fn post(pool: &PgPool, orders: &[Order]) -> Result<Vec<Outcome>, sqlx::Error> {
    pg::within(DEADLINE, async {
        let mut connection = pool.acquire().await?;
        rounds(&mut connection, orders).await
    })
    .await
}

/// Each round that ends without a commit has seen another replica commit one of our keys, which the next
/// round finds; so there are no more rounds than keys.
async fn rounds(
    connection: &mut PgConnection,
    orders: &[Order],
) -> Result<Vec<Outcome>, sqlx::Error> {
    loop {
        let mut tx = store::begin(connection).await?;
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
        .flat_map(|order| order.chain.transfers())
        .flat_map(|transfer| [transfer.debit, transfer.credit])
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
    let results = evaluate(balances, orders.clone().map(|order| &order.chain));
    let mut ids = Ids::new(now);
    let mut batch = Batch {
        lines: Vec::new(),
        kept: BTreeMap::new(),
    };
    for (order, result) in orders.zip(results) {
        let verdict = result.map(|legs| Posted::new(&order.chain, legs, &mut ids, now));
        let Claim { key, fingerprint } = order.claim;
        let entry = verdict.as_ref().ok().map(Posted::id);
        batch.kept.insert(
            key,
            Kept {
                fingerprint,
                entry,
                answer: (order.answer)(&verdict),
            },
        );
        if let Ok(posted) = verdict {
            batch.lines.extend(posted.lines(Some(key.principal)));
        }
    }
    batch
}
