//! What the journal keeps of a transfer.

use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::chain::Chain;
use crate::posting::Leg;

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

/// An entry as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Its legs, in order; at least one.
    pub legs: Vec<PostedLeg>,
    /// By the database's clock.
    pub at: OffsetDateTime,
}

/// A leg as it stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedLeg {
    /// The transfer's id: uuid v7 by the database's clock.
    pub id: Uuid,
    /// What moved, and both balances after.
    pub leg: Leg,
    /// Why.
    pub code: Code,
}

impl Posted {
    /// Of what was judged good. `legs` are those of the chain.
    pub(crate) fn new(chain: &Chain, legs: Vec<Leg>, ids: &mut Ids, at: OffsetDateTime) -> Self {
        let legs = legs.into_iter().zip(chain.moves());
        let legs = legs.map(|(leg, step)| PostedLeg {
            id: ids.next(),
            leg,
            code: step.code,
        });
        Self {
            legs: legs.collect(),
            at,
        }
    }

    /// The entry's id: that of its first leg.
    pub fn id(&self) -> Uuid {
        self.legs[0].id
    }

    /// The rows that it makes.
    pub(crate) fn lines(&self, actor: Option<Uuid>) -> impl Iterator<Item = Line> {
        let (entry, legs) = (self.id(), self.legs.len());
        self.legs.iter().enumerate().map(move |(n, posted)| Line {
            posted: *posted,
            entry,
            n: small(n),
            legs: small(legs),
            actor,
        })
    }
}

fn small(number: usize) -> i16 {
    i16::try_from(number).expect("a chain has at most 64 legs")
}

/// A row of the journal to be.
pub(crate) struct Line {
    pub(crate) posted: PostedLeg,
    pub(crate) entry: Uuid,
    /// Which leg of the entry, counted from 0, of how many.
    pub(crate) n: i16,
    pub(crate) legs: i16,
    pub(crate) actor: Option<Uuid>,
}

/// uuid v7 of the database's moment, rising within a batch.
///
/// Never of our own clock: the journal is partitioned by these, and replicas disagree about the time.
pub(crate) struct Ids {
    context: ContextV7,
    now: OffsetDateTime,
}

impl Ids {
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self {
            context: ContextV7::new(),
            now,
        }
    }

    pub(crate) fn next(&mut self) -> Uuid {
        let seconds =
            u64::try_from(self.now.unix_timestamp()).expect("the database's clock is past 1970");
        Uuid::new_v7(Timestamp::from_unix(
            &self.context,
            seconds,
            self.now.nanosecond(),
        ))
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
