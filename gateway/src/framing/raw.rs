//! The same for the bytes of an HTTP/1 head, before the transport reads them.
//!
//! What the transport refuses by itself it refuses with a bare 400 of which nobody writes a record,
//! and what it mends on the way (`GET /a b`, a bare line feed) arrives otherwise than it was sent.
//! So a head is held until it is whole, and has to be what RFC 9112 says it is, to the byte.

use super::{Fault, MAX_TARGET, is_authority, is_chunked, is_forwarded, is_length};

/// More fields than this are no head, but an attack on whoever keeps them.
const MAX_FIELDS: usize = 200;

/// A head that is whole and reads in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Where it ends, in bytes: what follows is the body's.
    pub length: usize,
    /// Whether its body comes in chunks.
    pub chunked: bool,
}

/// Reads a head line by line, as it comes.
#[derive(Debug, Default)]
pub struct Reader {
    /// Where the line begins that is being read.
    line: usize,
    /// Looked at up to here.
    seen: usize,
    /// Whether it is HTTP/1.1; unset before the first line was read.
    modern: Option<bool>,
    /// The authority of an absolute target: from, to.
    authority: Option<(usize, usize)>,
    fields: usize,
    hosts: u8,
    lengths: u8,
    codings: u8,
}

impl Reader {
    /// Reads on. `bytes` are all that came of the head so far, and perhaps of what follows it;
    /// `max` is how long a head may be. `None`: more must come.
    pub fn read(&mut self, bytes: &[u8], max: usize) -> Result<Option<Whole>, Fault> {
        while let Some(at) = bytes[self.seen..].iter().position(|byte| *byte == b'\n') {
            let end = self.seen + at;
            if end >= max {
                return Err(self.too_long(bytes));
            }
            let line = bytes[self.line..end]
                .strip_suffix(b"\r")
                .ok_or(Fault::ControlByte)?;
            let start = self.line;
            (self.line, self.seen) = (end + 1, end + 1);
            if self.modern.is_none() {
                // One empty line before it is old clients' habit (RFC 9112 §2.2).
                if !line.is_empty() || start > 0 {
                    self.request(line, start)?;
                }
            } else if line.is_empty() {
                return self.end().map(Some);
            } else {
                self.field(line, bytes)?;
            }
        }
        if bytes.len() > max {
            return Err(self.too_long(bytes));
        }
        // What speaks another protocol, TLS say, has no line that ends: it is told at once.
        let mut rest = bytes[self.seen..].iter();
        if rest.any(|byte| is_control(byte) && *byte != b'\r') {
            return Err(Fault::ControlByte);
        }
        self.seen = bytes.len();
        Ok(None)
    }

    /// A target that is too long is told apart from a head that is: a 414 says more than a 431.
    fn too_long(&self, bytes: &[u8]) -> Fault {
        let first = bytes.iter().take_while(|byte| **byte != b'\n').count();
        if first > MAX_TARGET {
            Fault::TargetTooLong
        } else {
            Fault::HeadTooLong
        }
    }

    fn request(&mut self, line: &[u8], start: usize) -> Result<(), Fault> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Fault::RequestLine);
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return Err(Fault::RequestLine);
        }
        self.modern = Some(match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(Fault::Version);
            }
            _ => return Err(Fault::RequestLine),
        });
        if !is_forwarded(method) {
            return Err(Fault::Method);
        }
        if target.len() > MAX_TARGET {
            return Err(Fault::TargetTooLong);
        }
        if !target.iter().all(|byte| may_stand_in_target(*byte)) {
            return Err(Fault::Target);
        }
        let schemes: [&[u8]; 2] = [b"http://", b"https://"];
        let scheme = schemes.iter().find(|scheme| {
            let named = target.get(..scheme.len());
            named.is_some_and(|named| named.eq_ignore_ascii_case(scheme))
        });
        if let Some(scheme) = scheme {
            let rest = &target[scheme.len()..];
            let length = rest.iter().take_while(|byte| !b"/?".contains(byte)).count();
            let from = start + method.len() + 1 + scheme.len();
            self.authority = Some((from, from + length));
        } else if !target.starts_with(b"/") {
            return Err(Fault::Target);
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], bytes: &[u8]) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Fault::HeadTooLong);
        }
        // A line that begins with a space goes on with the one before, for those who know it.
        let colon = line.iter().take_while(|byte| is_token(**byte)).count();
        let (name, rest) = line.split_at(colon);
        let Some((b':', value)) = rest.split_first() else {
            return Err(Fault::FieldName);
        };
        if name.is_empty() {
            return Err(Fault::FieldName);
        }
        if value.iter().any(is_control) {
            return Err(Fault::ControlByte);
        }
        // Not `trim_ascii`: a form feed is no white space here.
        let value = trim(value);
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts = self.hosts.saturating_add(1);
            let text = std::str::from_utf8(value).map_err(|_| Fault::Host)?;
            let same = self.authority.is_none_or(|(from, to)| {
                let named = bytes.get(from..to);
                named.is_some_and(|named| named.eq_ignore_ascii_case(value))
            });
            if self.hosts > 1 || !is_authority(text) || !same {
                return Err(Fault::Host);
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths = self.lengths.saturating_add(1);
            if self.lengths > 1 || !is_length(value) {
                return Err(Fault::ContentLength);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings = self.codings.saturating_add(1);
            if self.codings > 1 || !is_chunked(value) || self.modern != Some(true) {
                return Err(Fault::TransferEncoding);
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<Whole, Fault> {
        if self.hosts == 0 {
            return Err(Fault::Host);
        }
        if self.codings > 0 && self.lengths > 0 {
            return Err(Fault::TransferEncoding);
        }
        Ok(Whole {
            length: self.line,
            chunked: self.codings > 0,
        })
    }
}

/// `tchar` of RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Visible ASCII, less what no URI holds and no browser sends, and less `#`, which some take for
/// the target's end.
fn may_stand_in_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>".contains(&byte)
}

pub(super) fn is_control(byte: &u8) -> bool {
    (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
