//! The two halves of a sign-in that is at a provider: `state` travels with the browser's addresses,
//! the other half stays in its cookie. Who has one alone has nothing: a link that somebody prepared
//! finds no cookie, and a state that leaked finds the wrong one.
//!
//! Nonce and PKCE verifier are made of both halves and a key of ours, so no database holds them.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::key::{Key, Tag};

/// No other site, and no neighbour under the same domain, can set a cookie of this prefix.
const COOKIE: &str = "__Host-social";

/// 256 random bits that are shown once and kept as their hash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

/// Both halves.
pub(super) struct Halves {
    pub(super) state: Token,
    pub(super) browser: Token,
}

impl Halves {
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self {
            state: Token::random()?,
            browser: Token::random()?,
        })
    }

    /// What the ID token must repeat.
    pub(super) fn nonce(&self, key: &Key) -> String {
        self.made(key, b"nonce   ")
    }

    /// What proves at the token endpoint that the code was asked for by us (RFC 7636).
    pub(super) fn verifier(&self, key: &Key) -> String {
        self.made(key, b"verifier")
    }

    /// The verifier's S256.
    pub(super) fn challenge(&self, key: &Key) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(s256(&self.verifier(key)))
    }

    fn made(&self, key: &Key, what: &[u8; 8]) -> String {
        let tag: Tag = key.tag(&[what, &self.state.0, &self.browser.0]);
        BASE64_URL_SAFE_NO_PAD.encode(tag)
    }
}

/// SHA-256 of a text, as RFC 7636 has it.
pub(super) fn s256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Which requests from elsewhere the cookie comes along with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// The provider sends the browser here by a link, and `Lax` cookies come along.
    Link,
    /// The provider's page posts a form to us (Apple): only `None` comes along then. Nothing is lost
    /// by that, since the cookie proves nothing without the state.
    Form,
}

/// The cookie that keeps the browser's half for `seconds`.
pub(super) fn cookie(browser: &Token, how: Return, seconds: i64) -> HeaderValue {
    written(&browser.text(), how, seconds)
}

/// Takes the cookie back.
pub(super) fn no_cookie(how: Return) -> HeaderValue {
    written("", how, 0)
}

fn written(value: &str, how: Return, seconds: i64) -> HeaderValue {
    let site = match how {
        Return::Link => "Lax",
        Return::Form => "None",
    };
    let text =
        format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite={site}");
    HeaderValue::try_from(text).expect("base64url and digits are visible ASCII")
}

/// The browser's half. A second cookie of the name is somebody's trick, so then there is none.
pub(super) fn read(headers: &HeaderMap) -> Option<Token> {
    let texts = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut ours = texts.flat_map(|text| text.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    });
    match (ours.next(), ours.next()) {
        (Some(value), None) => Token::parse(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_changes_what_is_made_of_both() {
        let key = Key::from_bytes(&[1; 32]);
        let halves = |state: u8, browser: u8| Halves {
            state: Token([state; 32]),
            browser: Token([browser; 32]),
        };
        let one = halves(1, 2);
        assert_eq!(one.nonce(&key), halves(1, 2).nonce(&key));
        for other in [halves(2, 1), halves(1, 1), halves(2, 2)] {
            assert_ne!(one.nonce(&key), other.nonce(&key));
            assert_ne!(one.verifier(&key), other.verifier(&key));
        }
        assert_ne!(one.nonce(&key), one.verifier(&key));
        // RFC 7636 §4.1 wants 43 characters at least, and VK ID 32 in a state.
        assert_eq!(one.verifier(&key).len(), 43);
        assert_eq!(one.state.text().len(), 43);
    }

    #[test]
    fn one_cookie_is_read_and_two_are_none() {
        let browser = Token([7; 32]);
        let pair = format!("{COOKIE}={}", browser.text());
        let read = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::COOKIE, cookie.parse().expect("a value"));
            }
            read(&headers).is_some_and(|token| token == browser)
        };
        assert!(read(&[&pair]));
        assert!(read(&["a=b", &format!("c=d; {pair}; e=f")]));
        assert!(!read(&[]));
        assert!(!read(&["__Host-social=short"]));
        assert!(!read(&[&pair, &pair]));
        assert!(!read(&[&format!("{pair}; __Host-social=x")]));
    }

    #[test]
    fn the_cookie_goes_no_further_than_it_must() {
        let browser = Token([0; 32]);
        let text = |how| {
            let value = cookie(&browser, how, 600);
            value.to_str().expect("ASCII").to_owned()
        };
        let value = "A".repeat(43);
        assert_eq!(
            text(Return::Link),
            format!("__Host-social={value}; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax")
        );
        assert!(text(Return::Form).ends_with("; Secure; HttpOnly; SameSite=None"));
    }
}
