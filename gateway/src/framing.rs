//! The strict check of a head's framing, before anything else looks at the request.
//!
//! The transport below us lets pass what another server may read differently: lists and duplicates
//! of `Content-Length`, odd `Host` values, a coding before `chunked`. Whatever can be read in two
//! ways is refused with a 400 and the connection is closed, so that no second request hides in the
//! first one's body.

use http::{HeaderMap, HeaderName, Method, Version, header, request::Parts};

/// The longest request target, in bytes: longer is a 414.
pub const MAX_TARGET: usize = 8 * 1024;

/// What a head is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not one of the methods that we forward.
    #[error("this method is not forwarded")]
    Method,
    /// Missing, repeated, malformed, or not the same as the target's or the pseudo-header's.
    #[error("Host must be there once and name one host")]
    Host,
    /// Repeated, a list, signed or not a number.
    #[error("Content-Length must be one decimal number")]
    ContentLength,
    /// Beside a Content-Length, on HTTP/1.0 or anything other than `chunked`.
    #[error("Transfer-Encoding must be `chunked` and stand alone")]
    TransferEncoding,
    /// Something other than `websocket`, or where the route has none.
    #[error("this protocol upgrade is not offered")]
    Upgrade,
    /// Nominates a header that decides what the request means.
    #[error("Connection names a header that can't be per connection")]
    Connection,
    /// A control byte in a value, or a line that ends in a bare LF.
    #[error("a header holds a control byte")]
    ControlByte,
    /// The target is longer than [`MAX_TARGET`].
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head is longer than the listener allows.
    #[error("the request's head is too long")]
    HeadTooLong,
    /// A header that must come once came twice.
    #[error("this header must not be repeated")]
    Repeated,
}

/// Headers that a `Connection` header must not take away: they decide who asks for what.
const DECISIVE: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::CONTENT_TYPE,
    header::ORIGIN,
];

/// Headers that would mean two things if they came twice.
const SINGLE: [HeaderName; 3] = [header::AUTHORIZATION, header::CONTENT_TYPE, header::ORIGIN];

/// Checks a head. `raw` is the head as it came over HTTP/1; `max_head` its bound in bytes.
pub fn check(head: &Parts, raw: Option<&[u8]>, max_head: usize) -> Result<(), Fault> {
    size(head, raw, max_head)?;
    method(&head.method)?;
    host(head)?;
    length(head, raw)?;
    connection(&head.headers)?;
    values(&head.headers, raw)
}

/// Checks that a protocol upgrade is one that the route has. HTTP/2 knows none.
pub fn check_upgrade(headers: &HeaderMap, websocket: bool) -> Result<(), Fault> {
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    match (protocols.next(), protocols.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if websocket && one.as_bytes().eq_ignore_ascii_case(b"websocket") => {
            Ok(())
        }
        _ => Err(Fault::Upgrade),
    }
}

/// The one host that a request names: the target's, the pseudo-header's or `Host`'s.
pub fn authority(head: &Parts) -> Option<&str> {
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => head.headers.get(header::HOST)?.to_str().ok(),
    }
}

fn size(head: &Parts, raw: Option<&[u8]>, max_head: usize) -> Result<(), Fault> {
    let target = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    if target > MAX_TARGET {
        return Err(Fault::TargetTooLong);
    }
    let length = raw.map_or_else(
        || {
            let fields = head.headers.iter();
            // As HTTP/2 counts it (RFC 9113 §6.5.2).
            target
                + fields
                    .map(|(name, value)| name.as_str().len() + value.len() + 32)
                    .sum::<usize>()
        },
        <[u8]>::len,
    );
    if length > max_head {
        Err(Fault::HeadTooLong)
    } else {
        Ok(())
    }
}

fn method(method: &Method) -> Result<(), Fault> {
    match method.as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => Ok(()),
        _ => Err(Fault::Method),
    }
}

fn host(head: &Parts) -> Result<(), Fault> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(one), None) => Some(one.to_str().map_err(|_| Fault::Host)?),
        (None, _) => None,
        _ => return Err(Fault::Host),
    };
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    let named = match (target, host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            return Err(Fault::Host);
        }
        // HTTP/1.1 demands a Host beside an absolute target; HTTP/2 has its pseudo-header.
        (Some(_), None) if head.version < Version::HTTP_2 => return Err(Fault::Host),
        (target, host) => target.or(host),
    };
    match named {
        Some(named) if is_authority(named) => Ok(()),
        _ => Err(Fault::Host),
    }
}

/// `name`, `name:port`, `192.0.2.1:80` or `[2001:db8::1]:443`; no user, no path, nothing odd.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let host_is_fine = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 255
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
                && !host.starts_with(['.', '-'])
        }
    };
    port_is_fine && host_is_fine
}

fn length(head: &Parts, raw: Option<&[u8]>) -> Result<(), Fault> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(one) = lengths.next() {
        let digits = one.as_bytes();
        let number =
            !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit);
        if !number || lengths.next().is_some() {
            return Err(Fault::ContentLength);
        }
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    let alone = codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    // The transport has taken a Content-Length beside it away by now: only the raw head tells.
    let length_beside = head.headers.contains_key(header::CONTENT_LENGTH)
        || raw.is_some_and(|raw| names_header(raw, b"content-length"));
    if alone && !length_beside && head.version == Version::HTTP_11 {
        Ok(())
    } else {
        Err(Fault::TransferEncoding)
    }
}

fn names_header(raw: &[u8], name: &[u8]) -> bool {
    raw.split(|b| *b == b'\n').any(|line| {
        line.len() > name.len()
            && line[name.len()] == b':'
            && line[..name.len()].eq_ignore_ascii_case(name)
    })
}

fn connection(headers: &HeaderMap) -> Result<(), Fault> {
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|b| *b == b',') {
            let token = token.trim_ascii();
            if DECISIVE
                .iter()
                .any(|name| token.eq_ignore_ascii_case(name.as_str().as_bytes()))
            {
                return Err(Fault::Connection);
            }
        }
    }
    for name in &SINGLE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Fault::Repeated);
        }
    }
    Ok(())
}

fn values(headers: &HeaderMap, raw: Option<&[u8]>) -> Result<(), Fault> {
    let control = |b: &u8| (*b < 0x20 && *b != b'\t') || *b == 0x7f;
    if headers
        .values()
        .any(|value| value.as_bytes().iter().any(control))
    {
        return Err(Fault::ControlByte);
    }
    let bare_lf = |raw: &[u8]| {
        raw.iter()
            .enumerate()
            .any(|(at, b)| *b == b'\n' && (at == 0 || raw[at - 1] != b'\r'))
    };
    match raw {
        Some(raw) if bare_lf(raw) => Err(Fault::ControlByte),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// Reads a head the way the transport does, less what it would refuse itself.
    fn judge(raw: &str) -> Result<(), Fault> {
        let mut lines = raw.split("\r\n");
        let mut first = lines.next().expect("a request line").split(' ');
        let mut request = Request::builder()
            .method(first.next().expect("a method"))
            .uri(first.next().expect("a target"))
            .version(match first.next() {
                Some("HTTP/1.0") => Version::HTTP_10,
                Some("HTTP/2.0") => Version::HTTP_2,
                _ => Version::HTTP_11,
            });
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').expect("a field");
            request = request.header(name, value.trim());
        }
        let (mut parts, ()) = request.body(()).expect("a head").into_parts();
        if parts.headers.contains_key(header::TRANSFER_ENCODING) {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let h1 = parts.version < Version::HTTP_2;
        check(&parts, h1.then_some(raw.as_bytes()), 1_000)
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let long_target = format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "x".repeat(MAX_TARGET)
        );
        let long_head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(1_000)
        );
        for (raw, fault) in [
            ("GET / HTTP/1.1\r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: \r\n\r\n", Fault::Host),
            ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Fault::Host),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Host),
            ("GET http://b/ HTTP/1.1\r\n\r\n", Fault::Host),
            ("GET https://b/ HTTP/2.0\r\nHost: a\r\n\r\n", Fault::Host),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
                Fault::ContentLength,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
                Fault::ContentLength,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
                Fault::ContentLength,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n",
                Fault::ContentLength,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
                Fault::ContentLength,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                Fault::TransferEncoding,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                Fault::TransferEncoding,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Fault::TransferEncoding,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Fault::TransferEncoding,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
                Fault::TransferEncoding,
            ),
            (
                "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                Fault::TransferEncoding,
            ),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, host\r\n\r\n",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Authorization\r\n\r\n",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
                Fault::Repeated,
            ),
            (&long_target, Fault::TargetTooLong),
            (&long_head, Fault::HeadTooLong),
        ] {
            assert_eq!(judge(raw), Err(fault), "{raw}");
        }
    }

    #[test]
    fn what_has_one_meaning_passes() {
        for raw in [
            "GET / HTTP/1.1\r\nHost: localhost:8443\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n",
            "GET http://A.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "GET https://a.example/ HTTP/2.0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nX-Content-Length: 3\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-identity\r\n\r\n",
        ] {
            assert_eq!(judge(raw), Ok(()), "{raw}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_no_line_end() {
        let (parts, ()) = Request::builder()
            .header("host", "a")
            .body(())
            .expect("a head")
            .into_parts();
        assert_eq!(
            check(&parts, Some(b"GET / HTTP/1.1\r\nHost: a\n\r\n"), 1_000),
            Err(Fault::ControlByte)
        );
    }

    #[test]
    fn only_websocket_and_only_where_the_route_has_it() {
        let mut headers = HeaderMap::new();
        assert_eq!(check_upgrade(&headers, false), Ok(()));
        headers.append(header::UPGRADE, http::HeaderValue::from_static("WebSocket"));
        assert_eq!(check_upgrade(&headers, true), Ok(()));
        assert_eq!(check_upgrade(&headers, false), Err(Fault::Upgrade));
        headers.append(header::UPGRADE, http::HeaderValue::from_static("h2c"));
        assert_eq!(check_upgrade(&headers, true), Err(Fault::Upgrade));
    }
}
