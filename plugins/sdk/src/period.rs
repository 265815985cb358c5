use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};

/// A length of time as a file says it: a whole number and its unit, `250ms`, `5s`, `1m`, `2h` or
/// `7d`. A bare number is refused: half of its readers would take it for seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

/// The units, longest name first so that `ms` is not read as `m`; with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const EXPECTED: &str = "a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`";

/// The text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct PeriodError;

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, unit_ms) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(PeriodError)?;
        let number: u64 = number.parse().map_err(|_| PeriodError)?;
        let ms = number.checked_mul(*unit_ms).ok_or(PeriodError)?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Period {
    /// Writes it in the largest unit that leaves no remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (name, unit_ms) = UNITS
            .iter()
            .rev()
            .find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(u128::from(*unit_ms)))
            .unwrap_or(&UNITS[1]);
        write!(f, "{}{name}", ms / u128::from(*unit_ms))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Period;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Period, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "description": format!("{EXPECTED}."),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit() {
        for (text, ms) in [
            ("250ms", Some(250)),
            ("5s", Some(5_000)),
            ("1m", Some(60_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("5", None),
            ("s", None),
            ("5 s", None),
            ("-5s", None),
            ("1.5s", None),
            ("5M", None),
            ("", None),
            ("18446744073709551615d", None),
        ] {
            let period = text.parse::<Period>().ok();
            assert_eq!(
                period,
                ms.map(|ms| Period(Duration::from_millis(ms))),
                "{text}"
            );
        }
        let error = serde_json::from_str::<Period>("5").expect_err("a bare number");
        assert!(error.to_string().contains("such as `250ms`"), "{error}");
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["250ms", "90s", "1m", "2h", "7d", "0s"] {
            let period: Period = text.parse().expect("a period");
            assert_eq!(period.to_string(), text);
        }
    }
}
