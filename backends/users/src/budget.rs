//! What somebody may have of something in a while: messages to an address, tries at a password. A
//! bucket that leaks (GCRA): so many in a row, and after those one more each time its share of the
//! clock has passed.

mod store;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

pub(crate) use store::{give_back, sweep};

use crate::key::{Key, Tag};

/// How much, and how fast it grows back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// So many are had at once.
    pub(crate) in_a_row: i32,
    /// And then one each time this long has passed.
    pub(crate) share: Duration,
}

/// Whose, and of what. A hash: what is counted under it can't be read from the database.
#[derive(Clone, Copy)]
pub(crate) struct Purse(Tag);

/// Names purses.
pub(crate) struct Purses(Key);

impl Purses {
    pub(crate) fn new(key: Key) -> Self {
        Self(key)
    }

    /// The purse of `whose` for `what`.
    pub(crate) fn of(&self, what: &'static str, whose: &[u8]) -> Purse {
        let what = [what.as_bytes(), b"\0", whose].concat();
        Purse(self.0.tag(&[&what]))
    }
}

/// Takes one, or tells in how many seconds there is one again.
pub(crate) async fn spend(
    tx: &mut PgConnection,
    purse: &Purse,
    rule: Rule,
    now: OffsetDateTime,
) -> Result<Result<(), u32>, sqlx::Error> {
    if store::spend(&mut *tx, &purse.0, rule, now).await? {
        return Ok(Ok(()));
    }
    let spent_until = store::spent_until(tx, &purse.0).await?;
    let free_at = spent_until.map(|until| until - rule.share * (rule.in_a_row - 1));
    let wait = free_at.map_or(0, |at| (at - now).whole_seconds() + 1);
    Ok(Err(u32::try_from(wait.max(1)).unwrap_or(1)))
}
