//! From where somebody comes in: what a way in knows of the program at the other end.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use sha2::{Digest, Sha256};
use web::Problem;

use crate::key::Tag;

/// The longest description of a program that is kept, in characters.
const MAX_USER_AGENT: usize = 256;
/// The longest device token that is looked at, in bytes.
const MAX_DEVICE_TOKEN: usize = 128;
/// Where a device shows that it is known. See `device.rs`.
const DEVICE_HEADER: &str = "x-device-token";
/// How a client asks for its refresh token in a cookie that no script can read.
const TRANSPORT_HEADER: &str = "x-refresh-transport";

/// The program that asks, as far as it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// Its address, as the gateway sealed it.
    pub(crate) ip: Option<IpAddr>,
    /// What it calls itself: its own words, one line of at most 256 characters.
    pub(crate) user_agent: Option<String>,
    /// Hash of the device token that it shows, be it one of ours or not.
    pub(crate) device: Option<Tag>,
    /// Whether its refresh token is to travel in a cookie.
    pub(crate) cookie: bool,
}

impl Client {
    fn of(headers: &HeaderMap, ip: Option<IpAddr>) -> Result<Self, Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let cookie = match text(TRANSPORT_HEADER) {
            None | Some("body") => false,
            Some("cookie") => true,
            Some(_) => {
                let words = "x-refresh-transport is `body`, which is the default, or `cookie`";
                return Err(Problem::bad_request(words));
            }
        };
        let device = text(DEVICE_HEADER).filter(|token| token.len() <= MAX_DEVICE_TOKEN);
        Ok(Self {
            ip,
            user_agent: text(header::USER_AGENT.as_str()).and_then(one_line),
            device: device.map(|token| Sha256::digest(token).into()),
            cookie,
        })
    }
}

/// What is shown to people later: without control characters, and not too long.
fn one_line(text: &str) -> Option<String> {
    let line = text.chars().filter(|letter| !letter.is_control());
    let line: String = line.take(MAX_USER_AGENT).collect();
    Some(line).filter(|line| !line.trim().is_empty())
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers, web::client_address(parts))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(name: &'static str, value: &str) -> Result<Client, Problem> {
        let value = HeaderValue::from_str(value).expect("a value");
        let headers = HeaderMap::from_iter([(header::HeaderName::from_static(name), value)]);
        Client::of(&headers, None)
    }

    #[test]
    fn what_a_program_says_of_itself_is_cut_to_a_line() {
        let said = client("user-agent", &"x".repeat(300)).expect("a client");
        assert_eq!(said.user_agent.map(|it| it.len()), Some(256));
        assert_eq!(
            client("user-agent", "  ").expect("a client").user_agent,
            None
        );
    }

    #[test]
    fn a_transport_is_one_of_two() {
        assert!(
            client("x-refresh-transport", "cookie")
                .expect("good")
                .cookie
        );
        assert!(!client("x-refresh-transport", "body").expect("good").cookie);
        assert!(client("x-refresh-transport", "carrier pigeon").is_err());
    }

    #[test]
    fn a_huge_device_token_is_none() {
        let shown = |length| {
            client("x-device-token", &"d".repeat(length))
                .expect("a client")
                .device
        };
        assert!(shown(MAX_DEVICE_TOKEN).is_some());
        assert!(shown(MAX_DEVICE_TOKEN + 1).is_none());
    }
}
