//! What is said to people, and in which words. Nothing here comes from a request but the code, and
//! links lead to the configured place alone.

use std::net::IpAddr;

use events::Purpose;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset, macros::format_description};
use url::{Host, Url};

/// What is to be said. The database keeps it while it waits, so a variant may gain optional fields
/// and nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Content {
    /// A code that proves something.
    Code {
        code: String,
        purpose: Purpose,
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Somebody registered with an address that has an account.
    AddressKnown,
}

impl Content {
    /// What operators call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Code { .. } => "verify_email",
            Self::AddressKnown => "address_known",
        }
    }

    /// When it is not worth saying any more.
    pub(crate) fn expires_at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Code { expires_at, .. } => Some(*expires_at),
            Self::AddressKnown => None,
        }
    }
}

impl std::fmt::Debug for Content {
    /// The kind alone: a code is nobody's to read in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

/// A letter, ready for its envelope.
pub(crate) struct Letter {
    pub(crate) subject: &'static str,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// Puts contents into words.
#[derive(Debug)]
pub(crate) struct Words {
    base_url: String,
}

/// Why a base URL is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseUrlError {
    #[error("not a URL")]
    NoUrl(#[from] url::ParseError),
    #[error("links in mails must be https://")]
    Insecure,
}

impl Words {
    pub(crate) fn new(base_url: &str) -> Result<Self, BaseUrlError> {
        let url = Url::parse(base_url)?;
        if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
            Ok(Self {
                base_url: url.as_str().trim_end_matches('/').to_owned(),
            })
        } else {
            Err(BaseUrlError::Insecure)
        }
    }

    pub(crate) fn letter(&self, content: &Content) -> Letter {
        let base_url = &self.base_url;
        match content {
            Content::Code {
                code, expires_at, ..
            } => {
                let until = clock_time(*expires_at);
                Letter::of(
                    "Your verification code",
                    &[
                        &format!("Your verification code is {code}"),
                        &format!(
                            "It proves that this address is yours at {base_url} and is good until {until} UTC."
                        ),
                        "If you did not ask for it, somebody mistyped their address: there is nothing to do.",
                    ],
                )
            }
            Content::AddressKnown => Letter::of(
                "You already have an account",
                &[
                    &format!(
                        "Somebody, perhaps you, has just tried to register this address at {base_url}."
                    ),
                    "It has an account already, so no new one was made: sign in with the password you chose then.",
                    "If it was not you, there is nothing to do.",
                ],
            ),
        }
    }
}

impl Letter {
    /// The same paragraphs as text and as HTML.
    fn of(subject: &'static str, paragraphs: &[&str]) -> Self {
        let html: String = paragraphs
            .iter()
            .map(|paragraph| format!("<p>{}</p>\n", escaped(paragraph)))
            .collect();
        Self {
            subject,
            text: paragraphs.join("\n\n") + "\n",
            html: format!(
                "<!doctype html>\n<html lang=\"en\">\n<title>{subject}</title>\n{html}</html>\n"
            ),
        }
    }
}

/// Whether a URL's host is this very machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // A scheme the URL standard does not know leaves addresses unread.
        Some(Host::Domain(name)) => {
            name == "localhost"
                || name
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

fn clock_time(at: OffsetDateTime) -> String {
    let hour_and_minute = format_description!("[hour]:[minute]");
    at.to_offset(UtcOffset::UTC)
        .format(hour_and_minute)
        .expect("every time has an hour and a minute")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use time::macros::datetime;

    use super::*;

    fn words() -> Words {
        Words::new("https://vorota.example/").expect("a base URL")
    }

    #[test]
    fn a_code_is_told_with_its_end() {
        let letter = words().letter(&Content::Code {
            code: "123456".to_owned(),
            purpose: Purpose::VerifyEmail,
            expires_at: datetime!(2026-01-02 03:04:05 +02:00),
        });
        expect![[r#"
            Your verification code is 123456

            It proves that this address is yours at https://vorota.example and is good until 01:04 UTC.

            If you did not ask for it, somebody mistyped their address: there is nothing to do.
        "#]]
        .assert_eq(&letter.text);
    }

    #[test]
    fn a_code_cannot_write_the_html() {
        let letter = words().letter(&Content::Code {
            code: "<img src=x>&".to_owned(),
            purpose: Purpose::VerifyEmail,
            expires_at: datetime!(2026-01-02 03:04 UTC),
        });
        assert!(
            letter.html.contains("is &lt;img src=x&gt;&amp;</p>"),
            "{}",
            letter.html
        );
    }

    #[test]
    fn what_waits_in_the_database_keeps_its_shape() {
        let code = Content::Code {
            code: "1".to_owned(),
            purpose: Purpose::VerifyEmail,
            expires_at: datetime!(2026-01-02 03:04:05 UTC),
        };
        for (content, written) in [
            (
                code,
                r#"{"kind":"code","code":"1","purpose":"verify_email","expires_at":"2026-01-02T03:04:05Z"}"#,
            ),
            (Content::AddressKnown, r#"{"kind":"address_known"}"#),
        ] {
            assert_eq!(
                serde_json::to_string(&content).expect("plain data"),
                written
            );
            assert!(serde_json::from_str::<Content>(written).expect("what we wrote") == content);
        }
    }

    #[test]
    fn links_lead_to_secure_places() {
        for (url, good) in [
            ("https://vorota.example", true),
            ("http://localhost:8443", true),
            ("http://127.0.0.1:1", true),
            ("http://vorota.example", false),
            ("javascript:alert(1)", false),
            ("vorota.example", false),
        ] {
            assert_eq!(Words::new(url).is_ok(), good, "{url}");
        }
    }
}
