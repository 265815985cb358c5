//! How many texts may leave in an hour. A text costs money, and some earn by texts to numbers of
//! theirs: whatever asks for them, no more leave than the operator has allowed, counted in the
//! database for all processes together.

mod store;

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Deserialize;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use crate::number::{self, Number, NumberError};

pub(crate) use store::forget;

const HOUR: Duration = Duration::from_secs(60 * 60);
/// How many hours ahead room is looked for, for what must be said.
const LOOKED_AHEAD: u32 = 24;

/// The most texts in one hour of the clock (`apps.notifications.settings.sms.budget`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// To one number; 10 unless said otherwise.
    pub per_number: u32,
    /// To all numbers of one calling code (`+7`, `+380`); 200 unless said otherwise.
    pub per_country: u32,
    /// To all numbers that begin so, in place of `per_country`: `"+7": 5000`. The longest beginning
    /// counts, and 0 lets no text go there.
    pub countries: BTreeMap<String, u32>,
    /// In all; 1000 unless said otherwise.
    pub in_all: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            per_number: 10,
            per_country: 200,
            countries: BTreeMap::new(),
            in_all: 1000,
        }
    }
}

/// When a text may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// From this time on.
    At(OffsetDateTime),
    /// Not at all.
    Never(Withheld),
}

/// Why a text was withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withheld {
    Number(NumberError),
    OverNumber,
    OverCountry,
    OverAll,
}

impl Withheld {
    /// What the message's row says.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Number(error) => error.to_string(),
            Self::OverNumber | Self::OverCountry | Self::OverAll => "budget".to_owned(),
        }
    }

    /// What the metrics say.
    fn label(self) -> &'static str {
        match self {
            Self::Number(NumberError::NoNumber) => "no_number",
            Self::Number(NumberError::OffLimits) => "off_limits",
            Self::OverNumber => "budget_number",
            Self::OverCountry => "budget_country",
            Self::OverAll => "budget_all",
        }
    }
}

/// Keeps to the budget.
#[derive(Clone)]
pub(crate) struct Till {
    budget: Budget,
    withheld: IntCounterVec,
}

impl Till {
    pub(crate) fn new(budget: Budget, registry: &Registry) -> anyhow::Result<Self> {
        for prefix in budget.countries.keys() {
            ensure!(
                number::is_prefix(prefix),
                "`sms.budget.countries` names {prefix:?}: write a plus and digits, like \"+7\""
            );
        }
        let withheld = IntCounterVec::new(
            Opts::new(
                "notifications_texts_withheld_total",
                "Texts that were not sent to spare money, by the reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(withheld.clone()))?;
        Ok(Self { budget, withheld })
    }

    /// Pays for a text in the transaction that notes it. What must be said may wait for an hour that
    /// has room; all else is said now or not at all.
    pub(crate) async fn pay(
        &self,
        tx: &mut PgConnection,
        to: &str,
        mandatory: bool,
        now: OffsetDateTime,
    ) -> Result<Leave, sqlx::Error> {
        let number = match Number::parse(to) {
            Ok(number) => number,
            Err(error) => return Ok(Leave::Never(Withheld::Number(error))),
        };
        let hours = if mandatory { LOOKED_AHEAD } else { 1 };
        let this_hour = hour_of(now);
        let mut over = Withheld::OverAll;
        for ahead in 0..hours {
            let hour = this_hour + HOUR * ahead;
            match self.pay_in(tx, &number, hour).await? {
                None => return Ok(Leave::At(now.max(hour))),
                Some(limit) => over = limit,
            }
        }
        Ok(Leave::Never(over))
    }

    /// Counts a text in an hour; tells the limit that it would exceed, and counts nothing then.
    async fn pay_in(
        &self,
        tx: &mut PgConnection,
        number: &Number,
        hour: OffsetDateTime,
    ) -> Result<Option<Withheld>, sqlx::Error> {
        let (prefix, per_prefix) = self.prefix_of(number);
        // Always in this order, so that two that count at once do not wait for each other.
        let counts = [
            ("all", self.budget.in_all, Withheld::OverAll),
            (prefix, per_prefix, Withheld::OverCountry),
            (
                number.as_str(),
                self.budget.per_number,
                Withheld::OverNumber,
            ),
        ];
        let mut attempt = tx.begin().await?;
        for (counted, limit, over) in counts {
            let texts = store::count(&mut attempt, counted, hour).await?;
            if i64::from(texts) > i64::from(limit) {
                attempt.rollback().await?;
                return Ok(Some(over));
            }
        }
        attempt.commit().await?;
        Ok(None)
    }

    /// The longest beginning that has a limit of its own, or the calling code.
    fn prefix_of<'a>(&'a self, number: &'a Number) -> (&'a str, u32) {
        let own = self.budget.countries.iter();
        own.filter(|(prefix, _)| number.as_str().starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or_else(
                || (number.country(), self.budget.per_country),
                |(prefix, limit)| (prefix.as_str(), *limit),
            )
    }

    /// Notes that a text was withheld, once that is certain.
    pub(crate) fn tell(&self, why: Withheld) {
        tracing::warn!(reason = why.label(), "a text is withheld");
        self.withheld.with_label_values(&[why.label()]).inc();
    }
}

fn hour_of(now: OffsetDateTime) -> OffsetDateTime {
    let into_the_hour = now.unix_timestamp().rem_euclid(3600);
    now.replace_nanosecond(0).expect("zero is a nanosecond")
        - time::Duration::seconds(into_the_hour)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05.6 UTC);
    const NEXT_HOUR: OffsetDateTime = datetime!(2026-01-02 04:00 UTC);

    fn till(budget: Budget) -> Till {
        Till::new(budget, &Registry::new()).expect("a budget")
    }

    fn budget(countries: &[(&str, u32)]) -> Budget {
        let countries = countries.iter();
        Budget {
            per_number: 2,
            per_country: 3,
            countries: countries
                .map(|(prefix, limit)| ((*prefix).to_owned(), *limit))
                .collect(),
            in_all: 6,
        }
    }

    /// Security case 28: what a text may cost is bounded by number, by country and in all.
    #[tokio::test]
    async fn users_28_no_hour_has_more_texts_than_its_budget() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let till = till(budget(&[("+1876", 0), ("+7", 10)]));
        let mut tx = database.pool.begin().await.expect("a transaction");
        for (to, expected) in [
            ("+4915112345601", Leave::At(NOW)),
            ("+4915112345601", Leave::At(NOW)),
            ("+4915112345601", Leave::Never(Withheld::OverNumber)),
            ("+4915112345602", Leave::At(NOW)),
            ("+4915112345603", Leave::Never(Withheld::OverCountry)),
            ("+18765550123", Leave::Never(Withheld::OverCountry)),
            ("+12025550123", Leave::At(NOW)),
            ("+79255070601", Leave::At(NOW)),
            ("+79255070602", Leave::At(NOW)),
            ("+79255070603", Leave::Never(Withheld::OverAll)),
            (
                "+881612345678",
                Leave::Never(Withheld::Number(NumberError::OffLimits)),
            ),
        ] {
            let leave = till.pay(&mut tx, to, false, NOW).await.expect("counted");
            assert_eq!(leave, expected, "{to}");
        }
        // The next hour starts anew.
        let leave = till.pay(&mut tx, "+4915112345603", false, NEXT_HOUR).await;
        assert_eq!(leave.expect("counted"), Leave::At(NEXT_HOUR));
    }

    #[tokio::test]
    async fn what_must_be_said_waits_for_an_hour_with_room() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let till = till(budget(&[("+1876", 0)]));
        let mut tx = database.pool.begin().await.expect("a transaction");
        for expected in [NOW, NOW, NEXT_HOUR, NEXT_HOUR, NEXT_HOUR + HOUR] {
            let leave = till.pay(&mut tx, "+79255070601", true, NOW).await;
            assert_eq!(leave.expect("counted"), Leave::At(expected));
        }
        let leave = till.pay(&mut tx, "+18765550123", true, NOW).await;
        assert_eq!(
            leave.expect("counted"),
            Leave::Never(Withheld::OverCountry),
            "a country that is closed stays closed"
        );
    }

    #[test]
    fn a_budget_names_beginnings_of_numbers() {
        for prefix in ["7", "+", "+7x", "Russia"] {
            assert!(Till::new(budget(&[(prefix, 1)]), &Registry::new()).is_err());
        }
    }
}
