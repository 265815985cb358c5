//! The proof: the books, checked against themselves.

mod store;

use sqlx::PgPool;

/// What must hold in the books at each moment, whatever happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// I1: the balances of each currency sum to zero, since all money came from an equity account.
    SumIsZero,
    /// I2: an account's balance, version and currency are those of its legs.
    BalanceIsLegs,
    /// I3: each leg's balance after is the one before it plus the leg.
    ChainHolds,
    /// I4: nobody has less available than the floor, unless allowed.
    Covered,
    /// I7: an entry is there with all of its legs, or not at all.
    EntryWhole,
    /// I5: an entry belongs to one `Idempotency-Key` at most, and each key's entry is there.
    OneEffect,
}

impl Invariant {
    /// Each of them.
    pub const ALL: [Invariant; 6] = [
        Self::SumIsZero,
        Self::BalanceIsLegs,
        Self::ChainHolds,
        Self::Covered,
        Self::EntryWhole,
        Self::OneEffect,
    ];

    /// As metrics and logs name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SumIsZero => "sum_is_zero",
            Self::BalanceIsLegs => "balance_is_legs",
            Self::ChainHolds => "chain_holds",
            Self::Covered => "covered",
            Self::EntryWhole => "entry_whole",
            Self::OneEffect => "one_effect",
        }
    }
}

/// How often each invariant was found broken, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof([i64; Invariant::ALL.len()]);

impl Proof {
    /// How many currencies, accounts, legs or entries break it; must be 0.
    pub fn violations(&self, invariant: Invariant) -> i64 {
        self.0[invariant as usize]
    }

    /// Whether the books are in order.
    pub fn holds(&self) -> bool {
        self.0.iter().all(|broken| *broken == 0)
    }
}

/// Reads the whole journal, in one snapshot, while posting goes on.
///
/// Its time grows with the journal, so it belongs into a job, never into a request.
///
/// `None` while another process reads it: one proof at a time is enough for all replicas.
pub async fn reconcile(pool: &PgPool) -> Result<Option<Proof>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    crate::store::be_patient(&mut tx).await?;
    if !store::is_alone(&mut tx).await? {
        return Ok(None);
    }
    let violations = store::violations(&mut tx).await?;
    tx.rollback().await?;
    Ok(Some(Proof(violations)))
}
