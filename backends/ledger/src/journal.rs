//! What the journal keeps of a transfer.

use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

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

/// A row of the journal to be.
pub(crate) struct Line {
    pub(crate) posted: Posted,
    pub(crate) code: Code,
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
