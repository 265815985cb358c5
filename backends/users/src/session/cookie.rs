//! A refresh token in a browser: in a cookie that no script can read, for pages of the same origin.
//!
//! `__Host-`: from this host alone, over TLS alone. `SameSite=Strict`: no other site's page can have
//! it sent, so a refresh by cookie needs no further token against forged requests.

use std::convert::Infallible;

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponseParts, ResponseParts},
};
use time::Duration;

use super::RefreshToken;

const NAME: &str = "__Host-refresh";

/// A `Set-Cookie` line.
pub(crate) struct InCookie(HeaderValue);

impl InCookie {
    /// Holds a token for as long as it is good.
    pub(super) fn holding(token: &RefreshToken, lifetime: Duration) -> Self {
        Self::of(token.reveal(), lifetime.whole_seconds())
    }

    /// Removes whatever is there.
    pub(super) fn gone() -> Self {
        Self::of("", 0)
    }

    fn of(value: &str, max_age: i64) -> Self {
        let line =
            format!("{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age}");
        let mut line = HeaderValue::try_from(line).expect("a token is base64url");
        line.set_sensitive(true);
        Self(line)
    }
}

impl IntoResponseParts for InCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut answer: ResponseParts) -> Result<ResponseParts, Infallible> {
        answer.headers_mut().append(header::SET_COOKIE, self.0);
        Ok(answer)
    }
}

/// The token that a browser sends. Two of them are none: one may be somebody else's.
pub(super) fn read(headers: &HeaderMap) -> Option<RefreshToken> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        let (name, value) = pair.trim().split_once('=')?;
        (name == NAME).then_some(value)
    });
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(RefreshToken::sent(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_of_the_name_is_read_and_two_are_none() {
        let read = |lines: &[&'static str]| {
            let lines = lines
                .iter()
                .map(|line| (header::COOKIE, HeaderValue::from_static(line)));
            read(&lines.collect::<HeaderMap>()).map(|token| token.reveal().to_owned())
        };
        let good = Some("rt_x".to_owned());
        assert_eq!(read(&["a=b; __Host-refresh=rt_x"]), good);
        assert_eq!(read(&["refresh=rt_x"]), None);
        assert_eq!(read(&["__Host-refresh="]), None);
        assert_eq!(read(&["__Host-refresh=rt_x; __Host-refresh=rt_y"]), None);
        assert_eq!(read(&[]), None);
    }
}
