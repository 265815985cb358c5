use std::fmt;

use sha2::{Digest, Sha256};

/// The longest text that is looked at, in bytes.
const MAX_BYTES: usize = 256;

/// Digits of the secret: 62^43 is a little more than 2^256.
const SECRET_DIGITS: usize = 43;

/// Digits of the checksum: 62^6 is more than 2^32.
const CHECKSUM_DIGITS: usize = 6;

/// In the order of their values.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key as a client brings it: `<prefix><id>_<secret><checksum>`, such as
/// `gk_live_0195f0…_4Tz9…`.
///
/// The id names it in records and lists and is no secret. The secret is 256 random bits in 43
/// digits. The checksum (CRC-32 of all before it, 6 digits) costs nobody a look-up for a key that
/// was mistyped, cut short or made up, and lets scanners of source code know one when they see it.
#[derive(Clone, Copy)]
pub struct ApiKey<'a> {
    /// Names the key.
    pub id: &'a str,
    text: &'a str,
}

impl<'a> ApiKey<'a> {
    /// Takes a text apart that begins with `prefix`. `None` when it has not the form, or the
    /// checksum is not that of the rest. Whether there is such a key is for its store to say.
    pub fn parse(text: &'a str, prefix: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (id, digits) = text.strip_prefix(prefix)?.rsplit_once('_')?;
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // What stands between the prefix and the id, such as `live_`, belongs to the prefix.
        let id = id.rsplit_once('_').map_or(id, |(_, id)| id);
        let well_formed = !id.is_empty()
            && is_word(id)
            && digits.len() == SECRET_DIGITS + CHECKSUM_DIGITS
            && is_word(digits);
        if !well_formed {
            return None;
        }
        let (signed, checksum) = text.split_at_checked(text.len() - CHECKSUM_DIGITS)?;
        (checksum.as_bytes() == written::<CHECKSUM_DIGITS>(&crc32(signed).to_be_bytes()))
            .then_some(Self { id, text })
    }

    /// The key of these 256 random bits as a text. `id` is letters and digits.
    pub fn write(prefix: &str, id: &str, secret: &[u8; 32]) -> String {
        let mut text = format!("{prefix}{id}_");
        text.extend(written::<SECRET_DIGITS>(secret).map(char::from));
        let checksum = crc32(&text).to_be_bytes();
        text.extend(written::<CHECKSUM_DIGITS>(&checksum).map(char::from));
        text
    }

    /// What a store keeps and is asked by: SHA-256 of the whole text. With 256 random bits in it,
    /// no salt and no slow hash would add anything; and it fits no other id.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text).into()
    }
}

impl fmt::Debug for ApiKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A big-endian number in `N` digits of base 62.
fn written<const N: usize>(number: &[u8]) -> [u8; N] {
    let mut number = number.to_vec();
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).expect("the rest is less than 62");
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    digits
}

/// CRC-32 as in Ethernet and gzip (ISO 3309).
fn crc32(text: &str) -> u32 {
    let step = |crc: u32| crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    !text.bytes().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "gk_live_";

    #[test]
    fn what_is_written_is_read_and_has_one_length() {
        for secret in [[0; 32], [0xff; 32], [0x5a; 32]] {
            let text = ApiKey::write(PREFIX, "k1", &secret);
            assert_eq!(text.len(), "gk_live_k1_".len() + 49, "{text}");
            for prefix in [PREFIX, "gk_"] {
                let key = ApiKey::parse(&text, prefix).expect("a key");
                assert_eq!(key.id, "k1");
                assert_eq!(key.hash(), <[u8; 32]>::from(Sha256::digest(&text)));
            }
        }
    }

    #[test]
    fn digits_and_checksum_are_the_known_ones() {
        assert_eq!(crc32("123456789"), 0xCBF4_3926);
        assert_eq!(
            &written::<3>(&[0xff, 0xff]),
            b"H31",
            "65535 = 17·62² + 3·62 + 1"
        );
        let most = written::<SECRET_DIGITS>(&[0xff; 32]);
        assert_eq!(
            most[0], b'y',
            "2^256 - 1 is 60·62^42 and some: no bit falls off"
        );
    }

    #[test]
    fn gateway_28_a_changed_or_cut_key_is_known_without_asking() {
        let text = ApiKey::write(PREFIX, "k1", &[7; 32]);
        for at in 0..text.len() {
            for other in [b'A', b'_', b'z'] {
                let mut changed = text.clone().into_bytes();
                if changed[at] == other {
                    continue;
                }
                changed[at] = other;
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(ApiKey::parse(&changed, PREFIX).is_none(), "{changed}");
            }
            assert!(ApiKey::parse(&text[..at], PREFIX).is_none());
        }
        for odd in [
            "",
            "gk_",
            "gk_live_",
            "gk_live__",
            "gk_live_é_",
            &"gk_live_a_".repeat(40),
        ] {
            assert!(ApiKey::parse(odd, PREFIX).is_none(), "{odd}");
        }
        assert!(ApiKey::parse(&text, "sk_").is_none(), "another's prefix");
    }

    #[test]
    fn debug_shows_the_id_only() {
        let text = ApiKey::write(PREFIX, "k1", &[7; 32]);
        let key = ApiKey::parse(&text, PREFIX).expect("a key");
        assert_eq!(format!("{key:?}"), "ApiKey { id: \"k1\", .. }");
    }
}
