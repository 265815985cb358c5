//! The currencies the ledger keeps accounts in.

use std::fmt;
use std::str::FromStr;

/// A currency of ISO 4217 that we keep accounts in; its number is what the database stores.
#[derive(Clone, Copy)]
pub struct Currency(&'static Row);

struct Row {
    code: &'static str,
    number: i16,
    exponent: u8,
    name: &'static str,
}

const fn row(code: &'static str, number: i16, exponent: u8, name: &'static str) -> Row {
    Row {
        code,
        number,
        exponent,
        name,
    }
}

/// In order of code, as [`Currency::all`] lists them.
static ROWS: [Row; 10] = [
    row("AUD", 36, 2, "Australian dollar"),
    row("BHD", 48, 3, "Bahraini dinar"),
    row("CAD", 124, 2, "Canadian dollar"),
    row("CHF", 756, 2, "Swiss franc"),
    row("EUR", 978, 2, "Euro"),
    row("GBP", 826, 2, "Pound sterling"),
    row("JPY", 392, 0, "Yen"),
    row("KWD", 414, 3, "Kuwaiti dinar"),
    row("SEK", 752, 2, "Swedish krona"),
    row("USD", 840, 2, "US dollar"),
];

impl Currency {
    /// The US dollar: the currency of the wallet each user is given.
    pub const USD: Currency = Currency(&ROWS[9]);

    /// Each currency, in order of code.
    pub fn all() -> impl ExactSizeIterator<Item = Currency> {
        ROWS.iter().map(Currency)
    }

    /// Finds a currency by its ISO 4217 number.
    pub fn by_number(number: i16) -> Option<Currency> {
        Self::all().find(|currency| currency.number() == number)
    }

    /// The three letters, e.g. `USD`.
    pub fn code(self) -> &'static str {
        self.0.code
    }

    /// The ISO 4217 number, e.g. 840.
    pub fn number(self) -> i16 {
        self.0.number
    }

    /// How many decimals the major unit has: 2 for USD, 0 for JPY, 3 for BHD.
    pub fn exponent(self) -> u8 {
        self.0.exponent
    }

    /// Its English name.
    pub fn name(self) -> &'static str {
        self.0.name
    }
}

/// We keep no accounts in this currency, or it is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no currency we know")]
pub struct UnknownCurrency;

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        Self::all()
            .find(|currency| currency.code() == code)
            .ok_or(UnknownCurrency)
    }
}

impl PartialEq for Currency {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for Currency {}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_lead_back_to_the_currency() {
        for currency in Currency::all() {
            assert_eq!(currency.code().parse(), Ok(currency));
            assert_eq!(Currency::by_number(currency.number()), Some(currency));
        }
        assert_eq!(Currency::USD.code(), "USD");
    }

    #[test]
    fn codes_are_in_order_and_numbers_are_single() {
        let codes: Vec<_> = Currency::all().map(Currency::code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b));
        let numbers: std::collections::BTreeSet<_> =
            Currency::all().map(Currency::number).collect();
        assert_eq!(numbers.len(), codes.len());
    }

    #[test]
    fn a_code_is_taken_as_written_only() {
        for code in ["usd", " USD", "USD ", "US", "USDT", "", "840"] {
            assert_eq!(code.parse::<Currency>(), Err(UnknownCurrency), "{code:?}");
        }
    }
}
