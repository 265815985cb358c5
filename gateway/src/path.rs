//! The one canonical path. The same string is matched, judged, cached, logged and forwarded, so
//! that no two parts of the system can read a path differently.
//!
//! A path that has no single meaning is refused, never repaired: what a client meant by `..%2f` is
//! not for us to guess. What remains has exactly one spelling: bytes that may stand raw in a path
//! stand raw, all others as upper-case triplets.

use std::borrow::Cow;

/// The longest path that is looked at, in bytes: more is 414.
pub const MAX_BYTES: usize = 8 * 1024;

/// Why a path was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than [`MAX_BYTES`].
    #[error("the path is too long")]
    TooLong,
    /// Does not begin with `/`.
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// `//`, or a slash at the end.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, however written.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `%2f`, `%5c` or `%25` before two hex digits: another reader could see another path.
    #[error("the path has an encoded separator")]
    EncodedSeparator,
    /// A byte that may not stand in a path, or a parameter (`;`), which some servers cut off.
    #[error("the path has a byte that may not stand there")]
    ForbiddenByte,
    /// `%` without two hex digits.
    #[error("the path has a broken percent triplet")]
    BrokenTriplet,
    /// A control character, however written.
    #[error("the path has a control character")]
    Control,
    /// Bytes that are not UTF-8, or not in its shortest form.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

/// Gives the canonical form of a path; it borrows when the path is in that form already.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if raw.len() > MAX_BYTES {
        return Err(PathError::TooLong);
    }
    let Some(rest) = raw.strip_prefix('/') else {
        return Err(PathError::NotAbsolute);
    };
    if rest.is_empty() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut rewritten = String::new();
    let mut changed = false;
    for (index, segment) in rest.split('/').enumerate() {
        let canonical = canonical_segment(segment)?;
        if !changed && matches!(canonical, Cow::Owned(_)) {
            changed = true;
            let before: usize = rest.split('/').take(index).map(|part| part.len() + 1).sum();
            rewritten.push_str(&raw[..before]);
        }
        if changed {
            rewritten.push('/');
            rewritten.push_str(&canonical);
        }
    }
    Ok(if changed {
        Cow::Owned(rewritten)
    } else {
        Cow::Borrowed(raw)
    })
}

fn canonical_segment(segment: &str) -> Result<Cow<'_, str>, PathError> {
    if segment.is_empty() {
        return Err(PathError::EmptySegment);
    }
    if segment.bytes().all(may_stand_raw) {
        not_dots(segment)?;
        return Ok(Cow::Borrowed(segment));
    }
    let decoded = decode(segment.as_bytes())?;
    let text = std::str::from_utf8(&decoded).map_err(|_| PathError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    not_dots(text)?;
    let written = encode(&decoded);
    Ok(if written == segment {
        Cow::Borrowed(segment)
    } else {
        Cow::Owned(written)
    })
}

fn not_dots(segment: &str) -> Result<(), PathError> {
    match segment {
        "." | ".." => Err(PathError::DotSegment),
        _ => Ok(()),
    }
}

fn decode(segment: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let [first, after @ ..] = rest {
        rest = after;
        match *first {
            b'%' => {
                let byte = triplet(rest).ok_or(PathError::BrokenTriplet)?;
                rest = &rest[2..];
                match byte {
                    b'/' | b'\\' => return Err(PathError::EncodedSeparator),
                    b';' => return Err(PathError::ForbiddenByte),
                    _ => decoded.push(byte),
                }
            }
            byte if byte.is_ascii_control() => return Err(PathError::Control),
            byte if may_stand_raw(byte) => decoded.push(byte),
            _ => return Err(PathError::ForbiddenByte),
        }
    }
    // Asked of what came out: the digits behind a `%25` may have been triplets themselves.
    let twice = |at: &[u8]| at[0] == b'%' && triplet(&at[1..]).is_some();
    if decoded.windows(3).any(twice) {
        return Err(PathError::EncodedSeparator);
    }
    Ok(decoded)
}

/// The byte that two leading hex digits say.
fn triplet(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn encode(decoded: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut written = String::with_capacity(decoded.len());
    for &byte in decoded {
        if may_stand_raw(byte) {
            written.push(char::from(byte));
        } else {
            written.push('%');
            written.push(char::from(DIGITS[usize::from(byte >> 4)]));
            written.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    written
}

/// The `pchar` of RFC 3986 §3.3, less `;`.
fn may_stand_raw(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 15: either a refusal or one canonical path.
    #[test]
    fn gateway_15_path_normalisation() {
        use PathError::*;
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for (raw, expected) in [
            ("/", Ok("/")),
            ("/v1/me", Ok("/v1/me")),
            ("/%61dmin", Ok("/admin")),
            ("/a/%7euser/b", Ok("/a/~user/b")),
            ("/users/%40me", Ok("/users/@me")),
            ("/caf%c3%a9", Ok("/caf%C3%A9")),
            ("/caf%C3%A9", Ok("/caf%C3%A9")),
            ("/100%25", Ok("/100%25")),
            ("/a%20b", Ok("/a%20b")),
            ("/...", Ok("/...")),
            ("/Admin", Ok("/Admin")),
            ("/public/../admin", Err(DotSegment)),
            ("/./a", Err(DotSegment)),
            ("/a/.", Err(DotSegment)),
            ("/%2e%2e/admin", Err(DotSegment)),
            ("/.%2E/admin", Err(DotSegment)),
            ("/a/..%2fadmin", Err(EncodedSeparator)),
            ("/a%2Fb", Err(EncodedSeparator)),
            ("/a%5cb", Err(EncodedSeparator)),
            ("/%252e%252e/admin", Err(EncodedSeparator)),
            ("/%25%32%65%25%32%65/admin", Err(EncodedSeparator)),
            ("/%252%65", Err(EncodedSeparator)),
            ("/%25%32e", Err(EncodedSeparator)),
            ("/a\\b", Err(ForbiddenByte)),
            ("/admin;x", Err(ForbiddenByte)),
            ("/admin%3bx", Err(ForbiddenByte)),
            ("/a b", Err(ForbiddenByte)),
            ("/a#b", Err(ForbiddenByte)),
            ("/é", Err(ForbiddenByte)),
            ("//admin", Err(EmptySegment)),
            ("/a//b", Err(EmptySegment)),
            ("/admin/", Err(EmptySegment)),
            ("/a%00", Err(Control)),
            ("/a%0d%0ab", Err(Control)),
            ("/a\tb", Err(Control)),
            ("/a%7f", Err(Control)),
            ("/a%c2%85", Err(Control)),
            ("/a%", Err(BrokenTriplet)),
            ("/a%2", Err(BrokenTriplet)),
            ("/a%zz", Err(BrokenTriplet)),
            ("/%c0%af", Err(NotUtf8)),
            ("/%e0%80%af", Err(NotUtf8)),
            ("/%ff", Err(NotUtf8)),
            ("", Err(NotAbsolute)),
            ("*", Err(NotAbsolute)),
            ("v1/me", Err(NotAbsolute)),
            (&long, Err(TooLong)),
        ] {
            let got = canonical(raw);
            assert_eq!(got.as_deref(), expected.as_ref().map(|path| *path), "{raw}");
        }
    }

    /// Security case 18: a hundred thousand segments are refused by length, and what is just short
    /// enough takes one pass.
    #[test]
    fn gateway_18_a_path_of_many_segments() {
        assert_eq!(canonical(&"/a".repeat(100_000)), Err(PathError::TooLong));
        let most = "/%61".repeat(MAX_BYTES / 4);
        assert_eq!(
            canonical(&most).as_deref(),
            Ok("/a".repeat(MAX_BYTES / 4).as_str())
        );
    }

    proptest::proptest! {
        /// No reader that decodes once sees another path than the one that was judged.
        #[test]
        fn a_canonical_path_has_one_reading(raw in "/([a-c./%;\\\\é]|%[0-9a-fA-F]{2}){0,12}") {
            if let Ok(path) = canonical(&raw) {
                proptest::prop_assert_eq!(canonical(&path), Ok(Cow::Borrowed(&*path)));
                for segment in path.split('/').skip(1).filter(|_| path.len() > 1) {
                    let decoded = decode(segment.as_bytes()).expect("triplets are whole");
                    let text = std::str::from_utf8(&decoded).expect("UTF-8");
                    proptest::prop_assert!(!matches!(text, "" | "." | ".."));
                    proptest::prop_assert!(!text.contains(['/', '\\', ';', '\0']));
                    proptest::prop_assert_eq!(encode(&decoded), segment);
                }
            }
        }
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        for raw in ["/%61dmin", "/caf%c3%a9/%7e", "/a%20b/%40", "/v1/100%25"] {
            let once = canonical(raw).expect("a path");
            assert_eq!(canonical(&once).as_ref(), Ok(&once));
        }
    }
}
