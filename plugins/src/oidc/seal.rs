use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};

/// More keys than this are not being rotated but collected.
const MAX_KEYS: usize = 4;
const SALT_BYTES: usize = 32;
/// A key of 256 bits and a nonce.
const DERIVED_BYTES: usize = 32 + NONCE_LEN;
const VERSION: u8 = 1;

/// Hides what a browser keeps for us, and tells when it was changed: AES-256-GCM, with a key and a
/// nonce that HKDF-SHA256 derives anew for each text from 32 random bytes. So no number of texts
/// brings a nonce back, which GCM would not survive.
///
/// A text opens only under the name that it was sealed for: a login can't be passed off as a
/// session, nor one provider's for another's.
pub(super) struct Seal {
    keys: Vec<[u8; 32]>,
    bound_to: Vec<u8>,
    random: SystemRandom,
}

/// Why a key file was refused. Its text never gets into the message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("no key in it: expected one key a line, 64 hex digits each")]
    Empty,
    #[error("line {0}: expected 64 hex digits")]
    Malformed(usize),
    #[error("line {0}: this key is no random one")]
    Weak(usize),
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

impl Seal {
    /// Reads the keys, one a line, 64 hex digits each: the first seals, all of them open. What is
    /// sealed is bound to `bound_to` as well.
    pub(super) fn new(text: &str, bound_to: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let key = unhex(line).ok_or(KeyError::Malformed(index + 1))?;
            if is_weak(&key) {
                return Err(KeyError::Weak(index + 1));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeyError::Empty),
            1..=MAX_KEYS => Ok(Self {
                keys,
                bound_to: bound_to.as_bytes().to_vec(),
                random: SystemRandom::new(),
            }),
            _ => Err(KeyError::TooMany),
        }
    }

    /// Seals with the first key.
    pub(super) fn close(&self, name: &str, plain: &[u8]) -> String {
        let mut sealed = vec![VERSION; 1 + SALT_BYTES];
        self.fill(&mut sealed[1..]);
        let (key, nonce) = derive(&self.keys[0], &sealed[1..], name);
        let mut text = plain.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(&self.bound_to), &mut text)
            .expect("a cookie is far shorter than what GCM can seal");
        sealed.extend_from_slice(&text);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// What was sealed under that name with one of the keys.
    pub(super) fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (head, text) = sealed.split_at_checked(1 + SALT_BYTES)?;
        if head[0] != VERSION {
            return None;
        }
        self.keys.iter().find_map(|key| {
            let (key, nonce) = derive(key, &head[1..], name);
            let mut text = text.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(&self.bound_to), &mut text);
            plain.ok().map(|plain| plain.to_vec())
        })
    }

    /// 32 random bytes as text that may stand in URLs and cookies: 43 characters.
    pub(super) fn random(&self) -> String {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.random
            .fill(bytes)
            .expect("the system gives randomness once it has begun to");
    }
}

struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        DERIVED_BYTES
    }
}

fn derive(key: &[u8; 32], salt: &[u8], name: &str) -> (LessSafeKey, Nonce) {
    let mut bytes = [0; DERIVED_BYTES];
    Salt::new(HKDF_SHA256, salt)
        .extract(key)
        .expand(&[b"vorota oidc ", name.as_bytes()], Derived)
        .and_then(|derived| derived.fill(&mut bytes))
        .expect("HKDF gives up to 8160 bytes");
    let (key, nonce) = bytes.split_at(32);
    let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes");
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("the nonce has its length");
    (LessSafeKey::new(key), nonce)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// 32 random bytes have fewer than 16 different ones less than once in 10²⁰ times.
fn is_weak(key: &[u8; 32]) -> bool {
    let mut bytes = key.to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() < 16
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

    fn seal(keys: &str, bound_to: &str) -> Seal {
        Seal::new(keys, bound_to)
            .map_err(|e| e.to_string())
            .expect("keys")
    }

    #[test]
    fn what_is_sealed_opens_under_its_name_and_nowhere_else() {
        let one = seal(ONE, "staff");
        let sealed = one.close("a", b"secret");
        assert_eq!(one.open("a", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(one.open("b", &sealed), None);
        assert_eq!(seal(ONE, "other").open("a", &sealed), None);
        assert_eq!(seal(TWO, "staff").open("a", &sealed), None);
        assert_ne!(
            one.close("a", b"secret"),
            sealed,
            "each text has a salt of its own"
        );
    }

    #[test]
    fn no_bit_may_change() {
        let seal = seal(ONE, "staff");
        let sealed = URL_SAFE_NO_PAD
            .decode(seal.close("a", b"secret"))
            .expect("base64");
        for index in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[index] ^= 1;
            assert_eq!(
                seal.open("a", &URL_SAFE_NO_PAD.encode(bent)),
                None,
                "{index}"
            );
        }
        for end in 0..sealed.len() {
            let cut = URL_SAFE_NO_PAD.encode(&sealed[..end]);
            assert_eq!(seal.open("a", &cut), None, "{end}");
        }
        assert_eq!(seal.open("a", "no base64!"), None);
    }

    #[test]
    fn a_key_is_rotated_by_putting_the_new_one_first() {
        let old = seal(ONE, "staff");
        let both = seal(&format!("{TWO}\n\n{ONE}\n"), "staff");
        let new = seal(TWO, "staff");
        assert!(both.open("a", &old.close("a", b"x")).is_some());
        assert!(new.open("a", &both.close("a", b"x")).is_some());
        assert!(old.open("a", &both.close("a", b"x")).is_none());
    }

    #[test]
    fn a_bad_key_file_is_refused_and_not_shown() {
        let refusal = |text: &str| Seal::new(text, "").map(|_| ()).expect_err("a refusal");
        assert_eq!(refusal("\n"), KeyError::Empty);
        assert_eq!(refusal(&format!("{ONE}\nsecret")), KeyError::Malformed(2));
        assert_eq!(refusal(&"00".repeat(32)), KeyError::Weak(1));
        assert_eq!(refusal(&format!("{ONE}\n").repeat(5)), KeyError::TooMany);
    }
}
