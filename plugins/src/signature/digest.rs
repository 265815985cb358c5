//! `Content-Digest` (RFC 9530).

use sfv::{BareItem, ListEntry, Parser, SerializeValue};
use sha2::{Digest, Sha256, Sha512};

/// The header.
pub(super) const NAME: &str = "content-digest";

/// Whether the field is that of these bytes: in canonical form, with a digest that we know, and
/// every one that we know is right.
pub(super) fn fits(field: &str, body: &[u8]) -> bool {
    let Ok(digests) = Parser::parse_dictionary(field.as_bytes()) else {
        return false;
    };
    if digests.serialize_value().as_deref() != Ok(field) {
        return false;
    }
    let mut judged = digests.iter().filter_map(|(name, value)| {
        let right = match name.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sha-512" => Sha512::digest(body).to_vec(),
            // Those that RFC 9530 calls insecure prove nothing, right or wrong.
            _ => return None,
        };
        let said = match value {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::ByteSeq(bytes) => Some(bytes),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        };
        Some(said == Some(&right))
    });
    // At least one, and none that is wrong.
    judged.next() == Some(true) && judged.all(|right| right)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530 appendix A and RFC 9421 appendix B.2.
    const BODY: &[u8] = br#"{"hello": "world"}"#;
    const SHA256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const SHA512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    #[test]
    fn a_digest_is_that_of_the_very_bytes() {
        for good in [
            SHA256.to_owned(),
            SHA512.to_owned(),
            format!("{SHA256}, {SHA512}"),
            format!("md5=:AAAA:, {SHA256}"),
        ] {
            assert!(fits(&good, BODY), "{good}");
            assert!(!fits(&good, br#"{"hello":  "world"}"#), "{good}");
            assert!(!fits(&good, b""), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_unknown_or_said_twice_fits_nothing() {
        let wrong = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
        for bad in [
            String::new(),
            "md5=:AAAA:".to_owned(),
            "sha-256".to_owned(),
            format!("{SHA512}, {wrong}"),
            format!("{wrong}, {SHA256}"),
            format!("{SHA256} "),
            SHA256.replace(':', "\""),
            SHA256.replace("sha-256", "SHA-256"),
        ] {
            assert!(!fits(&bad, BODY), "{bad}");
        }
    }
}
