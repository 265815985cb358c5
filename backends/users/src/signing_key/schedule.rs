//! When a key signs, and what there is to do for that.

use serde::{Deserialize, Deserializer, de};
use time::{Duration, OffsetDateTime};

use crate::token;

/// The least that a key is published before it signs. Whoever checks tokens keeps keys for minutes,
/// an hour at most; a day leaves room for one that was cut off.
pub(crate) const AHEAD: Duration = Duration::hours(24);
/// How long a key is published after it has signed its last token: until that is void, for clocks
/// that differ by minutes.
const KEPT: Duration = Duration::seconds(token::LIFETIME.whole_seconds() + 300);

/// How often the signing key changes: a whole number of days or hours, `30d` or `48h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotateEvery(Duration);

impl RotateEvery {
    /// Less, and a key would not be announced long enough before it signs.
    const SHORTEST: Duration = Duration::days(2);
    /// More, and nobody would know that a change works.
    const LONGEST: Duration = Duration::days(400);

    fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let number: i64 = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
            let hours = match text.chars().next_back()? {
                'h' => number,
                'd' => number.checked_mul(24)?,
                _ => return None,
            };
            let period = hours.checked_mul(3_600).map(Duration::seconds)?;
            (Self::SHORTEST..=Self::LONGEST)
                .contains(&period)
                .then_some(Self(period))
        };
        read().ok_or_else(|| {
            format!(
                "`{text}` is no time to change keys after; expected 2d to 400d, such as 30d or 72h"
            )
        })
    }
}

impl Default for RotateEvery {
    fn default() -> Self {
        Self(Duration::days(30))
    }
}

impl<'de> Deserialize<'de> for RotateEvery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// When a key does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) signs_from: OffsetDateTime,
    pub(super) signs_until: OffsetDateTime,
    pub(super) published_until: OffsetDateTime,
}

impl Times {
    pub(super) fn sign(from: OffsetDateTime, until: OffsetDateTime) -> Self {
        Self {
            signs_from: from,
            signs_until: until,
            published_until: until + KEPT,
        }
    }

    pub(super) fn signs_at(&self, now: OffsetDateTime) -> bool {
        self.signs_from <= now && now < self.signs_until
    }
}

/// What has to be done for there to be a key that signs, and one announced after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is no key at all: make one that signs at once. Nobody knows another one either.
    Begin(Times),
    /// The newest key signs, or did: it signs until `newest` says, and a new one takes over there.
    Announce { newest: Times, new: Times },
}

/// The next step, if one is due. `newest` is when the newest key signs.
///
/// That key goes on for longer than was said when nobody was there to announce another: what is not
/// known yet must not sign.
pub(super) fn due(newest: Option<&Times>, now: OffsetDateTime, every: RotateEvery) -> Option<Step> {
    let Some(newest) = newest else {
        return Some(Step::Begin(Times::sign(now, now + every.0)));
    };
    (newest.signs_from <= now).then(|| {
        let from = newest.signs_until.max(now + AHEAD);
        Step::Announce {
            newest: Times::sign(newest.signs_from, from),
            new: Times::sign(from, from + every.0),
        }
    })
}

/// What the key that is announced does when it has to take over now.
pub(super) fn at_once(now: OffsetDateTime, every: RotateEvery) -> Times {
    Times::sign(now, now + every.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::DAY;

    fn begun() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time")
    }

    fn sign(from: Duration, until: Duration) -> Times {
        Times::sign(begun() + from, begun() + until)
    }

    #[test]
    fn a_key_is_announced_as_soon_as_none_waits() {
        let every = RotateEvery::default();
        let check = |newest: Option<Times>, now: Duration, step: Option<Step>| {
            assert_eq!(
                due(newest.as_ref(), begun() + now, every),
                step,
                "{newest:?} {now}"
            );
        };
        let announce = |newest, new| Some(Step::Announce { newest, new });
        let zero = Duration::ZERO;
        check(None, zero, Some(Step::Begin(sign(zero, DAY * 30))));
        let first = sign(zero, DAY * 30);
        check(Some(first), zero, announce(first, sign(DAY * 30, DAY * 60)));
        let next = sign(DAY * 30, DAY * 60);
        check(Some(next), DAY * 30 - Duration::SECOND, None);
        check(
            Some(next),
            DAY * 30,
            announce(next, sign(DAY * 60, DAY * 90)),
        );
        // Nobody was there for a while.
        check(
            Some(next),
            DAY * 60 - Duration::HOUR,
            announce(
                sign(DAY * 30, DAY * 61 - Duration::HOUR),
                sign(DAY * 61 - Duration::HOUR, DAY * 91 - Duration::HOUR),
            ),
        );
        check(
            Some(next),
            DAY * 200,
            announce(sign(DAY * 30, DAY * 201), sign(DAY * 201, DAY * 231)),
        );
    }

    #[test]
    fn a_time_to_change_after_has_a_unit_and_bounds() {
        for (text, hours) in [
            ("30d", Some(720)),
            ("48h", Some(48)),
            ("2d", Some(48)),
            ("400d", Some(9_600)),
            ("47h", None),
            ("401d", None),
            ("30", None),
            ("d", None),
            ("", None),
            ("-30d", None),
            ("30 d", None),
            ("3é", None),
            ("99999999999999999999d", None),
            ("9223372036854775807d", None),
        ] {
            let parsed = RotateEvery::parse(text).ok();
            assert_eq!(
                parsed,
                hours.map(|hours| RotateEvery(Duration::hours(hours))),
                "{text}"
            );
        }
    }
}
