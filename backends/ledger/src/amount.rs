//! How much, of what: whole minor units of one currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::currency::{Currency, UnknownCurrency};

/// An amount that may be moved: 1 to [`Amount::MAX_MINOR`] minor units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Amount {
    #[serde(rename = "amount")]
    minor: i64,
    currency: Currency,
}

impl Amount {
    /// 2^53 - 1: the largest integer that every JSON reader keeps exactly.
    pub const MAX_MINOR: i64 = 9_007_199_254_740_991;

    /// Takes minor units (cents of a dollar; yen have none, so whole yen).
    pub fn new(minor: i64, currency: Currency) -> Result<Self, AmountError> {
        match minor {
            ..=0 => Err(AmountError::NotPositive),
            1..=Self::MAX_MINOR => Ok(Self { minor, currency }),
            _ => Err(AmountError::TooLarge),
        }
    }

    /// The minor units, 1 to [`Amount::MAX_MINOR`].
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency they are of.
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// Why something written is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// A fraction, an exponent, a string, or no number at all.
    #[error("an amount is a whole number of minor units, written in digits")]
    NotAnInteger,
    /// Zero or less: direction is told by `from` and `to`, never by a sign.
    #[error("an amount is at least 1 minor unit")]
    NotPositive,
    /// Above what JSON readers keep exactly.
    #[error("an amount is at most {} minor units", Amount::MAX_MINOR)]
    TooLarge,
    /// Not a currency we keep accounts in.
    #[error(transparent)]
    Currency(#[from] UnknownCurrency),
}

/// An amount as it came over the wire, not yet believed: [`WrittenAmount::read`] it.
///
/// It is kept as any JSON value, so that a wrong one is answered as a wrong amount and not as a
/// malformed body; the schema that is published (and that the gateway holds bodies to) is the strict one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Amount, description = "How much, in whole minor units of one currency.")]
#[serde(deny_unknown_fields)]
pub struct WrittenAmount {
    /// Whole minor units: 1234 is 12.34 USD, 1234 JPY, or 1.234 BHD.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1234)]
    pub amount: serde_json::Value,
    /// ISO 4217 code; `GET /v1/currencies` lists those there are.
    #[schema(
        min_length = 3,
        max_length = 3,
        pattern = "^[A-Z]{3}$",
        example = "USD"
    )]
    pub currency: String,
}

impl WrittenAmount {
    /// Believes it, or tells why not.
    ///
    /// `1e3`, `1.0` and `-0` are refused although they name whole numbers: who writes money so has a
    /// float somewhere.
    pub fn read(&self) -> Result<Amount, AmountError> {
        let serde_json::Value::Number(number) = &self.amount else {
            return Err(AmountError::NotAnInteger);
        };
        let minor = match (number.as_i64(), number.as_u64()) {
            (Some(minor), _) => minor,
            (None, Some(_)) => return Err(AmountError::TooLarge),
            (None, None) => return Err(AmountError::NotAnInteger),
        };
        Amount::new(minor, self.currency.parse()?)
    }
}

impl From<Amount> for WrittenAmount {
    fn from(amount: Amount) -> Self {
        Self {
            amount: amount.minor.into(),
            currency: amount.currency.code().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Amount, AmountError> {
        serde_json::from_str::<WrittenAmount>(json)
            .expect("the shape of an amount")
            .read()
    }

    #[test]
    fn good_amounts_are_read_and_written_alike() {
        for json in [
            r#"{"amount":1,"currency":"USD"}"#,
            r#"{"amount":1234,"currency":"JPY"}"#,
            r#"{"amount":9007199254740991,"currency":"BHD"}"#,
        ] {
            let amount = read(json).expect(json);
            assert_eq!(serde_json::to_string(&amount).expect("to JSON"), json);
            assert_eq!(
                serde_json::to_string(&WrittenAmount::from(amount)).expect("to JSON"),
                json
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        use AmountError::{NotAnInteger, NotPositive, TooLarge};
        for (written, refusal) in [
            ("0", NotPositive),
            ("-1", NotPositive),
            ("-9223372036854775808", NotPositive),
            ("-0", NotAnInteger),
            ("1e3", NotAnInteger),
            ("1E0", NotAnInteger),
            ("1.0", NotAnInteger),
            ("12.34", NotAnInteger),
            ("9007199254740992", TooLarge),
            ("9223372036854775807", TooLarge),
            ("9223372036854775808", TooLarge),
            ("18446744073709551615", TooLarge),
            ("18446744073709551616", NotAnInteger),
            ("1e400", NotAnInteger),
            ("\"1234\"", NotAnInteger),
            ("\"+1\"", NotAnInteger),
            ("\"-1\"", NotAnInteger),
            ("\"1e3\"", NotAnInteger),
            ("\"NaN\"", NotAnInteger),
            ("true", NotAnInteger),
            ("null", NotAnInteger),
            ("[1]", NotAnInteger),
            ("{}", NotAnInteger),
        ] {
            let json = format!(r#"{{"amount":{written},"currency":"USD"}}"#);
            match serde_json::from_str::<WrittenAmount>(&json) {
                Ok(amount) => assert_eq!(amount.read(), Err(refusal), "{written}"),
                // Not even a number for serde_json: the body is malformed, which the door answers.
                Err(_) => assert_eq!(written, "1e400"),
            }
        }
        assert_eq!(
            read(r#"{"amount":1,"currency":"usd"}"#),
            Err(AmountError::Currency(UnknownCurrency))
        );
    }
}
