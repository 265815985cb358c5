//! Where a person is reached: an address of mail or a phone number, as we keep and compare them.

use events::Channel;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use web::Problem;

use crate::email::Email;

/// A phone number in E.164 form: `+`, the country, the number.
// Only the shape is judged here: whose it is, is proven by the code that comes back from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^\\+[1-9][0-9]{6,14}$", example = "+14155550123")]
pub(crate) struct Phone(String);

/// Why a text is no phone number.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotAPhone {
    #[error("expected a phone number in E.164 form, such as +14155550123")]
    Shape,
    #[error(
        "expected a number of a country's own network: this one is a satellite's or costs extra"
    )]
    Network,
}

/// Satellite and premium-rate networks that belong to no country: texts to them are somebody's
/// income, and nobody's second factor.
const COSTLY: [&str; 8] = [
    "+870", "+878", "+881", "+882", "+883", "+888", "+979", "+991",
];

impl Phone {
    pub(crate) fn parse(text: &str) -> Result<Self, NotAPhone> {
        let digits = text.strip_prefix('+').ok_or(NotAPhone::Shape)?;
        let good = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if !good {
            return Err(NotAPhone::Shape);
        }
        if COSTLY.iter().any(|network| text.starts_with(network)) {
            return Err(NotAPhone::Network);
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Phone {
    type Error = NotAPhone;

    fn try_from(text: String) -> Result<Self, NotAPhone> {
        Self::parse(&text)
    }
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    Email(Email),
    Phone(Phone),
}

impl Contact {
    /// The one that was given; both or none is a mistake of the caller's.
    pub(crate) fn one_of(email: Option<Email>, phone: Option<Phone>) -> Result<Self, Problem> {
        match (email, phone) {
            (Some(email), None) => Ok(Self::Email(email)),
            (None, Some(phone)) => Ok(Self::Phone(phone)),
            _ => Err(Problem::bad_body("expected either `email` or `phone`")),
        }
    }

    /// What was kept by [`Contact::channel`] and [`Contact::as_str`].
    pub(crate) fn kept(channel: &str, text: &str) -> Option<Self> {
        match channel {
            "email" => Email::parse(text).ok().map(Self::Email),
            _ => Phone::parse(text).ok().map(Self::Phone),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::Phone(phone) => phone.as_str(),
        }
    }

    pub(crate) fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Sms,
        }
    }

    /// As the database calls the channel.
    pub(crate) fn channel_name(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "sms",
        }
    }

    /// Enough for its owner to know it again, and for nobody else to learn it.
    pub(crate) fn masked(&self) -> String {
        match self {
            Self::Email(email) => {
                let (local, domain) = email.as_str().split_once('@').unwrap_or_default();
                let first: String = local.chars().take(1).collect();
                format!("{first}***@{domain}")
            }
            Self::Phone(phone) => {
                let digits = phone.as_str();
                format!("+***{}", &digits[digits.len() - 2..])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_a_country_and_in_one_form() {
        for (text, good) in [
            ("+14155550123", Ok(())),
            ("+79161234567", Ok(())),
            ("+3725551234", Ok(())),
            ("14155550123", Err(NotAPhone::Shape)),
            ("+04155550123", Err(NotAPhone::Shape)),
            ("+1 415 555 0123", Err(NotAPhone::Shape)),
            ("+1415", Err(NotAPhone::Shape)),
            ("+1234567890123456", Err(NotAPhone::Shape)),
            ("+１4155550123", Err(NotAPhone::Shape)),
            ("", Err(NotAPhone::Shape)),
            ("+881612345678", Err(NotAPhone::Network)),
            ("+979123456789", Err(NotAPhone::Network)),
        ] {
            assert_eq!(Phone::parse(text).map(|_| ()), good, "{text:?}");
        }
    }

    #[test]
    fn a_masked_contact_is_known_to_its_owner_alone() {
        for (channel, text, masked) in [
            ("email", "ann.lee@example.com", "a***@example.com"),
            ("sms", "+14155550123", "+***23"),
        ] {
            let contact = Contact::kept(channel, text).expect("a contact");
            assert_eq!(contact.masked(), masked);
        }
    }
}
