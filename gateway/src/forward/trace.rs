use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A request's place in a trace (W3C Trace Context): the caller's when it sent a valid one, else a
/// new one; the span is this hop's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// Whether the caller asked for it to be recorded.
    sampled: bool,
    /// Whether the trace began before us: only then the caller's `tracestate` means something.
    continued: bool,
}

impl Trace {
    /// Continues the caller's trace, or begins one. `fresh` are random bytes.
    pub fn of(headers: &HeaderMap, fresh: [u8; 16]) -> Self {
        let digits = hex(&fresh);
        // The version digits of a random UUID lie in the first half of what the span takes: any
        // half of it is unique enough for a span.
        let span_id = digits[16..].to_owned();
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(one), None) => one.to_str().ok().and_then(parse),
            _ => None,
        };
        match parent {
            Some((trace_id, sampled)) => Self {
                trace_id: trace_id.to_owned(),
                span_id,
                sampled,
                continued: true,
            },
            None => Self {
                trace_id: digits,
                span_id,
                sampled: true,
                continued: false,
            },
        }
    }

    /// Writes it for the next hop.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let flags = if self.sampled { "01" } else { "00" };
        let text = format!("00-{}-{}-{flags}", self.trace_id, self.span_id);
        headers.insert(
            TRACEPARENT,
            HeaderValue::from_str(&text).expect("hex digits and dashes"),
        );
        if !self.continued {
            headers.remove(TRACESTATE);
        }
    }
}

/// The trace id and whether it is sampled; `None` when it is not as the standard has it (§3.2).
fn parse(text: &str) -> Option<(&str, bool)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|b| b != b'0');
    // A later version may have more parts; this one has not.
    let whole = version != "00" || parts.next().is_none();
    let valid = whole
        && is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(span, 16)
        && is_hex(flags, 2);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    valid.then_some((trace, flags & 1 == 1))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_parent_is_continued_and_anything_else_begins_anew() {
        let fresh = [0xab; 16];
        for (parent, continued) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            ("nonsense", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(parent));
            headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
            let trace = Trace::of(&headers, fresh);
            let ours = "abababababababababababababababab";
            assert_eq!(trace.trace_id != ours, continued, "{parent}");
            trace.write(&mut headers);
            assert_eq!(headers.contains_key(TRACESTATE), continued, "{parent}");
            let sent = headers[TRACEPARENT].to_str().expect("text");
            assert!(sent.contains("-abababababababab-"), "{sent}");
        }
    }
}
