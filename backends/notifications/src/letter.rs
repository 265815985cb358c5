//! What is said to people, and in which words. Links lead to the configured place alone, and what
//! comes from outside (a code, a few words about the case) is text and nothing else.

mod code;
mod notice;
mod text;

use std::net::IpAddr;

use events::{Notice, Purpose};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset, macros::format_description};
use url::{Host, Url};

/// Tries before most messages are given up; with the pauses between them about half a day.
const TRIES: i32 = 20;
/// Tries before a mandatory message is given up: about four days.
const MANDATORY_TRIES: i32 = 100;

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
        /// Where a click does the same: a path. Mail alone tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// Somebody registered with an address that has an account.
    AddressKnown,
    /// Something has happened to an account.
    Notice {
        what: Notice,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// A few words from outside. Mail alone tells them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<String>,
        /// Where a click undoes it: a path. Mail alone tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<String>,
    },
}

impl Content {
    /// What operators call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Code { purpose, .. } => code::kind(*purpose),
            Self::AddressKnown => "address_known",
            Self::Notice { what, .. } => notice::kind(*what),
        }
    }

    /// When it is not worth saying any more.
    pub(crate) fn expires_at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Code { expires_at, .. } => Some(*expires_at),
            Self::AddressKnown | Self::Notice { .. } => None,
        }
    }

    /// Whether it must be said, however late.
    pub(crate) fn is_mandatory(&self) -> bool {
        matches!(self, Self::Notice { .. })
    }

    /// How often it is tried.
    pub(crate) fn max_attempts(&self) -> i32 {
        match self.is_mandatory() {
            true => MANDATORY_TRIES,
            false => TRIES,
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
    /// Who a text is from, with a space after it; nothing when texts cannot spell it.
    name: String,
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
    /// Links start at `base_url`; `name` is who writes.
    pub(crate) fn new(base_url: &str, name: Option<&str>) -> Result<Self, BaseUrlError> {
        let url = Url::parse(base_url)?;
        if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
            Ok(Self {
                base_url: url.as_str().trim_end_matches('/').to_owned(),
                name: text::name(name.unwrap_or_default()),
            })
        } else {
            Err(BaseUrlError::Insecure)
        }
    }

    /// The words of a mail.
    pub(crate) fn letter(&self, content: &Content) -> Letter {
        match content {
            Content::Code {
                code,
                purpose,
                expires_at,
                link,
            } => self.code_letter(code, *purpose, *expires_at, link.as_deref()),
            Content::AddressKnown => Letter::of(
                "You already have an account",
                &[
                    Paragraph::Says(format!(
                        "Somebody, perhaps you, has just tried to register this address at {}.",
                        self.base_url
                    )),
                    Paragraph::says(
                        "It has an account already, so no new one was made: sign in with the password you chose then.",
                    ),
                    Paragraph::says("If it was not you, there is nothing to do."),
                ],
            ),
            Content::Notice {
                what,
                at,
                about,
                undo,
            } => self.notice_letter(*what, *at, about.as_deref(), undo.as_deref()),
        }
    }

    /// The words of a text message: one segment, without a link.
    pub(crate) fn text(&self, content: &Content) -> String {
        match content {
            Content::Code {
                code,
                purpose,
                expires_at,
                ..
            } => self.code_text(code, *purpose, *expires_at),
            Content::AddressKnown => format!(
                "Somebody tried to register this number for a new {}account. It has one already: sign in. If it was not you, ignore this.",
                self.name
            ),
            Content::Notice { what, .. } => self.notice_text(*what),
        }
    }

    /// A link behind the configured place; nothing but a path goes there.
    fn link(&self, path: &str) -> Option<String> {
        let is_path = path.starts_with('/')
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
        is_path.then(|| format!("{}{path}", self.base_url))
    }
}

/// A piece of a letter.
enum Paragraph {
    Says(String),
    /// What a link is for, and where it leads.
    Link(&'static str, String),
}

impl Paragraph {
    fn says(text: &str) -> Self {
        Self::Says(text.to_owned())
    }
}

impl Letter {
    /// The same paragraphs as text and as HTML.
    fn of(subject: &'static str, paragraphs: &[Paragraph]) -> Self {
        let texts: Vec<String> = paragraphs
            .iter()
            .map(|paragraph| match paragraph {
                Paragraph::Says(text) => text.clone(),
                Paragraph::Link(what_for, url) => format!("{what_for}\n{url}"),
            })
            .collect();
        let html: String = paragraphs
            .iter()
            .map(|paragraph| match paragraph {
                Paragraph::Says(text) => format!("<p>{}</p>\n", escaped(text)),
                Paragraph::Link(what_for, url) => {
                    let url = escaped(url);
                    format!("<p>{what_for}<br>\n<a href=\"{url}\">{url}</a></p>\n")
                }
            })
            .collect();
        Self {
            subject,
            text: texts.join("\n\n") + "\n",
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
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    pub(super) fn words() -> Words {
        Words::new("https://vorota.example/", Some("Vorota")).expect("a base URL")
    }

    #[test]
    fn what_waits_in_the_database_keeps_its_shape() {
        let at = datetime!(2026-01-02 03:04:05 UTC);
        let code = |link: Option<&str>| Content::Code {
            code: "1".to_owned(),
            purpose: Purpose::VerifyEmail,
            expires_at: at,
            link: link.map(str::to_owned),
        };
        let notice = Content::Notice {
            what: Notice::NewDevice,
            at,
            about: Some("Firefox".to_owned()),
            undo: None,
        };
        for (content, written) in [
            (
                code(None),
                r#"{"kind":"code","code":"1","purpose":"verify_email","expires_at":"2026-01-02T03:04:05Z"}"#,
            ),
            (
                code(Some("/v?t=1")),
                r#"{"kind":"code","code":"1","purpose":"verify_email","expires_at":"2026-01-02T03:04:05Z","link":"/v?t=1"}"#,
            ),
            (Content::AddressKnown, r#"{"kind":"address_known"}"#),
            (
                notice,
                r#"{"kind":"notice","what":"new_device","at":"2026-01-02T03:04:05Z","about":"Firefox"}"#,
            ),
        ] {
            assert_eq!(
                serde_json::to_string(&content).expect("plain data"),
                written
            );
            assert!(serde_json::from_str::<Content>(written).expect("what we wrote") == content);
        }
    }

    #[test]
    fn users_12_links_lead_to_secure_places() {
        for (url, good) in [
            ("https://vorota.example", true),
            ("http://localhost:8443", true),
            ("http://127.0.0.1:1", true),
            ("http://vorota.example", false),
            ("javascript:alert(1)", false),
            ("vorota.example", false),
        ] {
            assert_eq!(Words::new(url, None).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn a_link_stays_behind_the_configured_place() {
        for (path, link) in [
            (
                "/verify?t=a_b-c",
                Some("https://vorota.example/verify?t=a_b-c"),
            ),
            (
                "//evil.example/",
                Some("https://vorota.example//evil.example/"),
            ),
            (".evil.example/", None),
            ("@evil.example/", None),
            ("https://evil.example/", None),
            ("/a\nb", None),
            ("/a b", None),
            ("/\"><script>", None),
            ("", None),
        ] {
            assert_eq!(words().link(path).as_deref(), link, "{path:?}");
        }
    }
}
