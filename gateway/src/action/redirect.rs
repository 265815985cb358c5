use std::sync::Arc;

use http::uri::{Authority, Uri};
use http::{HeaderValue, StatusCode, header};
use plugin_sdk::Reply;

use super::Asked;
use crate::router::Pattern;

/// To another address. Scheme and host are the operator's; a client fills in the path and the query
/// only, and cannot leave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    text: Box<str>,
    pieces: Vec<Piece>,
    /// Whether it has a query of its own; otherwise the client's is kept.
    has_query: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    InPath(Arc<str>),
    InQuery(Arc<str>),
    Tail,
}

/// Why the address of a redirect was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither `https://host/…` nor `/…`.
    #[error("it is neither `https://host/…` nor `/…`")]
    NoAddress,
    /// The host is none, has a user before it, or hangs on the client.
    #[error("its host is none, or not only a host")]
    Host,
    /// It can't be an address, whatever is filled in.
    #[error("it is no address")]
    Malformed,
    /// A parameter that the route does not have.
    #[error("the route's path has no parameter `{0}`")]
    UnknownParam(String),
    /// `/**` without one in the route's path.
    #[error("the route's path has no `/**` whose part could stand there")]
    NoTail,
}

impl Redirect {
    /// Reads `https://new.example.com/{id}` or `/new/{id}` for a route of this pattern.
    pub fn parse(text: &str, status: StatusCode, pattern: &Pattern) -> Result<Self, TargetError> {
        // Of other characters it is not told how they were meant to be escaped.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TargetError::Malformed);
        }
        let (origin, rest) = split(text)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (path, tail) = match path.strip_suffix("/**") {
            Some(stem) => (stem, true),
            None => (path, false),
        };
        if tail && !pattern.has_tail() {
            return Err(TargetError::NoTail);
        }
        let mut pieces = vec![Piece::Text(origin.into())];
        cut(path, pattern, Piece::InPath, &mut pieces)?;
        pieces.extend(tail.then_some(Piece::Tail));
        if let Some(query) = query {
            pieces.push(Piece::Text("?".into()));
            cut(query, pattern, Piece::InQuery, &mut pieces)?;
        }
        let redirect = Self {
            status,
            text: text.into(),
            pieces,
            has_query: query.is_some(),
        };
        // Filled in with anything that may come it is an address, or never is.
        redirect
            .fill(|_| "x", "/x", None)
            .parse::<Uri>()
            .map_err(|_| TargetError::Malformed)?;
        Ok(redirect)
    }

    /// The address as the table says it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The address for a request.
    pub fn address(&self, asked: &Asked<'_>) -> String {
        self.fill(|name| asked.param(name), asked.tail(), asked.query)
    }

    /// The answer to a request.
    pub fn reply(&self, asked: &Asked<'_>) -> Reply {
        let location = HeaderValue::try_from(self.address(asked))
            .expect("a canonical path and an escaped query are visible ASCII");
        let mut reply = Reply::empty(self.status).header(header::LOCATION, location);
        reply.by = "redirect";
        reply
    }

    fn fill<'a>(&self, param: impl Fn(&str) -> &'a str, tail: &str, query: Option<&str>) -> String {
        let mut address = String::with_capacity(self.text.len() + 64);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => address.push_str(text),
                Piece::InPath(name) => address.push_str(param(name)),
                Piece::InQuery(name) => escape(param(name), b"&=+", &mut address),
                // An address without any path is relative to the one that was asked for.
                Piece::Tail if address.is_empty() && tail.is_empty() => address.push('/'),
                Piece::Tail => address.push_str(tail),
            }
        }
        if let (Some(query), false) = (query, self.has_query) {
            address.push('?');
            escape(query, b"", &mut address);
        }
        address
    }
}

/// The scheme and host, and the rest, which begins with a slash or a `?`, or is empty.
fn split(text: &str) -> Result<(&str, &str), TargetError> {
    if let Some(path) = text.strip_prefix('/') {
        // `//host` and, to browsers, `/\host` are other hosts.
        let local = !path.starts_with(['/', '\\']);
        return local.then_some(("", text)).ok_or(TargetError::NoAddress);
    }
    let schemes = ["https://", "http://"];
    let scheme = schemes.iter().find(|scheme| text.starts_with(**scheme));
    let start = scheme.ok_or(TargetError::NoAddress)?.len();
    let end = text[start..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |at| start + at);
    let authority: Authority = text[start..end].parse().map_err(|_| TargetError::Host)?;
    let end_of_host = authority.host().len();
    let port = authority.as_str()[end_of_host..].strip_prefix(':');
    let bad_port = port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..)));
    let odd = authority.as_str().contains(['@', '{', '}', '*']);
    if odd || bad_port || authority.host().is_empty() {
        return Err(TargetError::Host);
    }
    Ok((&text[..end], &text[end..]))
}

/// Cuts a text at its parameters.
fn cut(
    text: &str,
    pattern: &Pattern,
    piece: fn(Arc<str>) -> Piece,
    pieces: &mut Vec<Piece>,
) -> Result<(), TargetError> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(TargetError::Malformed)?;
        let mut known = pattern.params();
        let known = known.find(|known| ***known == *name);
        let name = known.ok_or_else(|| TargetError::UnknownParam(name.to_owned()))?;
        pieces.push(Piece::Text(before.into()));
        pieces.push(piece(name.clone()));
        rest = after;
    }
    if text.contains('#') || rest.contains(['}', '*', '\\']) {
        return Err(TargetError::Malformed);
    }
    pieces.push(Piece::Text(rest.into()));
    Ok(())
}

/// Writes text as it is, but for bytes that may not stand in an address and those of `more`.
fn escape(text: &str, more: &[u8], into: &mut String) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
        match plain && !more.contains(&byte) {
            true => into.push(char::from(byte)),
            false => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                into.push('%');
                into.push(char::from(HEX[usize::from(byte >> 4)]));
                into.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::canonical;

    fn address(to: &str, path: &str, query: Option<&str>) -> Result<String, TargetError> {
        let pattern = Pattern::parse("/old/{id}/**").expect("a pattern");
        let redirect = Redirect::parse(to, StatusCode::PERMANENT_REDIRECT, &pattern)?;
        let path = canonical(path).expect("a path");
        let id = path.split('/').nth(2).unwrap_or_default();
        let params = vec![("id".into(), id.to_owned())];
        let asked = Asked {
            pattern: &pattern,
            params: &params,
            path: &path,
            query,
        };
        let reply = redirect.reply(&asked);
        assert_eq!(
            reply.headers[header::LOCATION],
            redirect.address(&asked).as_str()
        );
        Ok(redirect.address(&asked))
    }

    #[test]
    fn a_client_fills_in_the_path_and_its_query_is_kept() {
        for (to, path, query, expected) in [
            (
                "https://new.test/{id}",
                "/old/7",
                None,
                "https://new.test/7",
            ),
            (
                "https://new.test:8443/a-{id}.html",
                "/old/7",
                None,
                "https://new.test:8443/a-7.html",
            ),
            (
                "https://new.test/{id}/**",
                "/old/7/a/b",
                Some("x=1"),
                "https://new.test/7/a/b?x=1",
            ),
            ("https://new.test/**", "/old/7", None, "https://new.test"),
            (
                "https://new.test",
                "/old/7",
                Some("x"),
                "https://new.test?x",
            ),
            ("/**", "/old/7", Some("x"), "/?x"),
            ("/new/{id}", "/old/7", Some("a=%0d%0a"), "/new/7?a=%0d%0a"),
            ("/new?id={id}", "/old/7", Some("x=1"), "/new?id=7"),
            (
                "/new?id={id}",
                "/old/a&b=c+d",
                None,
                "/new?id=a%26b%3Dc%2Bd",
            ),
        ] {
            assert_eq!(
                address(to, path, query).as_deref(),
                Ok(expected),
                "{to} {path}"
            );
        }
    }

    /// Whatever comes in the path stays in the path: the host is the operator's.
    #[test]
    fn no_redirect_is_open() {
        for id in [
            "evil.test",
            "@evil.test",
            "%20evil",
            "a%C3%A9",
            "http:evil.test",
            "%23x",
            "%3Fx=1",
        ] {
            let to = address("https://new.test/{id}", &format!("/old/{id}"), None).expect(id);
            let uri: Uri = to.parse().expect(&to);
            assert_eq!(uri.host(), Some("new.test"), "{to}");
            assert_eq!(uri.query(), None, "{to}");
            let to = address("/{id}", &format!("/old/{id}"), None).expect(id);
            assert!(!to.starts_with("//") && !to.starts_with("/\\"), "{to}");
        }
        for (to, error) in [
            ("https://{id}/", TargetError::Host),
            ("https://{id}.new.test/", TargetError::Host),
            ("https://me@new.test/", TargetError::Host),
            ("https:///x", TargetError::Host),
            ("//new.test/", TargetError::NoAddress),
            ("/\\new.test", TargetError::NoAddress),
            ("ftp://new.test/", TargetError::NoAddress),
            ("javascript:alert(1)", TargetError::NoAddress),
            ("new.test/x", TargetError::NoAddress),
            ("{id}", TargetError::NoAddress),
            ("/{name}", TargetError::UnknownParam("name".into())),
            ("/{id", TargetError::Malformed),
            ("/a b", TargetError::Malformed),
            ("/a\u{7f}", TargetError::Malformed),
            ("/größe", TargetError::Malformed),
            ("https://new.test:0/", TargetError::Host),
            ("https://new.test:99999/", TargetError::Host),
            ("https://new.test:/", TargetError::Host),
            ("/a#b", TargetError::Malformed),
        ] {
            assert_eq!(address(to, "/old/7", None), Err(error), "{to}");
        }
    }
}
