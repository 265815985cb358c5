//! The strict check of a head's framing, before anything else looks at the request.
//!
//! The transport below us lets pass what another server may read differently: lists and duplicates
//! of `Content-Length`, odd `Host` values, a coding before `chunked`. Whatever can be read in two
//! ways is refused with a 400 and the connection is closed, so that no second request hides in the
//! first one's body.

pub mod chunks;
pub mod raw;

use http::{HeaderMap, HeaderName, Version, header, request::Parts};

/// The longest request target, in bytes: longer is a 414.
pub const MAX_TARGET: usize = 8 * 1024;

/// What a head is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not one of the methods that we forward.
    #[error("this method is not forwarded")]
    Method,
    /// Not a method, a target and a version with a space between each.
    #[error("the request line must be method, target and version")]
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// Neither a path nor an `http` URL, or with a byte that no URI holds.
    #[error("the request target must be a path or a URL")]
    Target,
    /// No name and colon at the beginning of its line.
    #[error("a header must begin with its name and a colon")]
    FieldName,
    /// Missing, repeated, malformed, or not the same as the target's or the pseudo-header's.
    #[error("Host must be there once and name one host")]
    Host,
    /// Repeated, a list, signed or not a number.
    #[error("Content-Length must be one decimal number")]
    ContentLength,
    /// Beside a Content-Length, on HTTP/1.0 or anything other than `chunked`.
    #[error("Transfer-Encoding must be `chunked` and stand alone")]
    TransferEncoding,
    /// A chunk's size, its line or its end is not what RFC 9112 §7.1 says.
    #[error("the body's chunks are malformed")]
    Chunk,
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

/// Checks a head as it was read, `max_head` being its bound in bytes. Of HTTP/1 it has passed
/// [`raw`] before; here it is the same for HTTP/2, and what both can do wrong.
pub fn check(head: &Parts, max_head: usize) -> Result<(), Fault> {
    size(head, max_head)?;
    if !is_forwarded(head.method.as_str().as_bytes()) {
        return Err(Fault::Method);
    }
    host(head)?;
    length(head)?;
    connection(&head.headers)?;
    values(&head.headers)
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

fn size(head: &Parts, max_head: usize) -> Result<(), Fault> {
    let target = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    if target > MAX_TARGET {
        return Err(Fault::TargetTooLong);
    }
    // The bytes of an HTTP/1 head were counted as they came.
    if head.version < Version::HTTP_2 {
        return Ok(());
    }
    let fields = head.headers.iter();
    // As HTTP/2 counts it (RFC 9113 §6.5.2).
    let length = fields.map(|(name, value)| name.as_str().len() + value.len() + 32);
    if target + length.sum::<usize>() > max_head {
        Err(Fault::HeadTooLong)
    } else {
        Ok(())
    }
}

fn is_forwarded(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS"
    )
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

fn is_length(value: &[u8]) -> bool {
    !value.is_empty() && value.len() <= 15 && value.iter().all(u8::is_ascii_digit)
}

fn is_chunked(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"chunked")
}

fn length(head: &Parts) -> Result<(), Fault> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(one) = lengths.next()
        && (!is_length(one.as_bytes()) || lengths.next().is_some())
    {
        return Err(Fault::ContentLength);
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    let alone = codings.next().is_none()
        && is_chunked(coding.as_bytes())
        && !head.headers.contains_key(header::CONTENT_LENGTH);
    if alone && head.version == Version::HTTP_11 {
        Ok(())
    } else {
        Err(Fault::TransferEncoding)
    }
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

fn values(headers: &HeaderMap) -> Result<(), Fault> {
    let mut values = headers.values();
    if values.any(|value| value.as_bytes().iter().any(raw::is_control)) {
        Err(Fault::ControlByte)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
