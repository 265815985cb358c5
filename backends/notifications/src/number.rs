//! A phone number that a text may go to.

/// A number in E.164 form that is none of those that no person has in a pocket.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Number(String);

/// Why no text goes to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("no phone number")]
    NoNumber,
    #[error("a number of satellites, networks or premium services")]
    OffLimits,
}

/// Where a text costs much and whoever owns the number may earn by it. The whole world's ranges are
/// here, and of the countries' own those that are simple to tell; the budget bounds the others.
const OFF_LIMITS: [&str; 17] = [
    "+800", "+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979",
    "+991", // the world's
    "+1900", "+3389", "+4470", "+449", "+49900", "+7803", "+7809",
];

/// The calling codes of two digits; `1` and `7` are all that have one, and all others have three.
const OF_TWO_DIGITS: [&str; 44] = [
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47",
    "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65",
    "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];

impl Number {
    pub(crate) fn parse(text: &str) -> Result<Self, NumberError> {
        let digits = text.strip_prefix('+').ok_or(NumberError::NoNumber)?;
        let good = (8..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if !good {
            return Err(NumberError::NoNumber);
        }
        if OFF_LIMITS.iter().any(|range| text.starts_with(range)) {
            return Err(NumberError::OffLimits);
        }
        Ok(Self(text.to_owned()))
    }

    /// With its plus.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its plus.
    pub(crate) fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// The calling code of its country, with its plus.
    pub(crate) fn country(&self) -> &str {
        let digits = self.digits();
        let length = match &digits[..2] {
            two if two.starts_with(['1', '7']) => 1,
            two if OF_TWO_DIGITS.contains(&two) => 2,
            _ => 3,
        };
        &self.0[..=length]
    }
}

impl std::fmt::Debug for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Whether a text is the beginning of numbers: a plus and digits.
pub(crate) fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_parsed_or_refused() {
        for (text, expected) in [
            ("+79255070602", Ok("+7")),
            ("+12025550123", Ok("+1")),
            ("+447700900123", Ok("+44")),
            ("+380501234567", Ok("+380")),
            ("+35312345678", Ok("+353")),
            ("79255070602", Err(NumberError::NoNumber)),
            ("+7925", Err(NumberError::NoNumber)),
            ("+0123456789", Err(NumberError::NoNumber)),
            ("+1234567890123456", Err(NumberError::NoNumber)),
            ("+7925507060\r", Err(NumberError::NoNumber)),
            ("+٧٩٢٥٥٠٧٠٦٠٢", Err(NumberError::NoNumber)),
            ("ann@example.com", Err(NumberError::NoNumber)),
            ("", Err(NumberError::NoNumber)),
            ("+881612345678", Err(NumberError::OffLimits)),
            ("+19005550123", Err(NumberError::OffLimits)),
            ("+447012345678", Err(NumberError::OffLimits)),
            ("+78091234567", Err(NumberError::OffLimits)),
        ] {
            let country = Number::parse(text).map(|number| number.country().to_owned());
            assert_eq!(
                country.as_deref().map_err(|error| *error),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn nothing_prints_a_number() {
        let number = Number::parse("+79255070602").expect("a number");
        assert_eq!(format!("{number:?}"), "***");
    }
}
