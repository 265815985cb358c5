//! The one canonical path.

use gateway::path::canonical;

/// A path is refused, or has one spelling that nobody can read as another.
pub fn run(bytes: &[u8]) {
    let Ok(raw) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(path) = canonical(raw) else {
        return;
    };
    assert_eq!(
        canonical(&path).as_deref(),
        Ok(&*path),
        "it has a second form"
    );
    assert!(path.starts_with('/') && path.is_ascii(), "{path}");
    assert!(!path.contains(['?', '#']), "{path} ends before its end");
    let decoded = decode(&path);
    assert_eq!(
        decode(&decoded),
        decoded,
        "{raw:?} reads otherwise when it is decoded twice"
    );
    for reading in [&path[..], &decoded] {
        assert!(
            !reading.contains("//")
                && !reading.contains(['\\', ';', '\0', '\r', '\n'])
                && !reading.split('/').any(|part| part == "." || part == ".."),
            "{raw:?} became {path:?}, which reads {reading:?}"
        );
    }
    assert_eq!(
        path.matches('/').count(),
        decoded.matches('/').count(),
        "{path}"
    );
    // What a kinder reader makes of the raw path is the same place.
    assert_eq!(decode(raw), decoded, "{raw:?} became {path:?}");
}

/// As a server does that decodes once and asks no questions.
fn decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        // Digits alone: `from_str_radix` takes a sign for one.
        let digit = |at: usize| {
            after
                .get(at)
                .and_then(|byte| char::from(*byte).to_digit(16))
        };
        let value = digit(0).zip(digit(1));
        let value = value.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        match value {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
