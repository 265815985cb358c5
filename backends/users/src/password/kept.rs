//! A kept hash, ours or one that another system made: how it is read, and what fits it.
//!
//! People who come with the hashes of the system before this one sign in with the password they
//! have. At that moment it is hashed as ours are, and the foreign hash is gone.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use base64::{
    Engine,
    alphabet::BCRYPT,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use ring::pbkdf2;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::hasher::{ALGORITHM, HASH_BYTES, SALT_BYTES, VERSION, params};

/// Memory that one hash may take: 128 MiB, in KiB. It is not pooled, so a machine needs room for it
/// once for each slot while such hashes are being replaced.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
/// What Argon2 may walk over: 512 MiB, about half a second.
const MAX_ARGON2_WORK_KIB: u64 = 512 * 1024;
const MAX_ARGON2_LANES: u32 = 16;
/// N × r × p: OWASP's dearest (N = 2^17, r = 8) and 128 MiB.
const MAX_SCRYPT_WORK: u64 = 1 << 20;
/// 2^14 rounds, about a second.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// Django's of today is 1,200,000.
const MAX_PBKDF2_ROUNDS: u32 = 2_000_000;
/// The longest that is well-formed is far shorter.
const MAX_TEXT: usize = 512;

/// A password's hash from another system, known to be readable and not too dear to check:
///
/// - bcrypt: `$2a$`, `$2b$` or `$2y$`, cost 4 to 14;
/// - scrypt: `$scrypt$ln=16,r=8,p=1$SALT$HASH`, N × r × p at most 2^20;
/// - PBKDF2: `$pbkdf2-sha256$i=600000,l=32$SALT$HASH` or `$pbkdf2-sha512$…`, also as passlib writes
///   it (`$pbkdf2-sha256$29000$SALT$HASH`), and Django's `pbkdf2_sha256$600000$SALT$HASH`; at most
///   2,000,000 rounds;
/// - Argon2: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`, at most 128 MiB, and memory × passes at most
///   512 MiB.
///
/// Read from JSON it is a text. What is wrong with one is told in words for the operator. Until the
/// first sign-in, a check takes as long as the foreign hash does: the clock may tell a stranger that
/// the account was brought from elsewhere.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Imported(String);

/// Why a text is not a hash that we take.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotTaken {
    #[error("this is no password hash of a kind that is known here")]
    Unknown,
    #[error("this {0} hash is not well-formed")]
    Malformed(&'static str),
    #[error("this {kind} hash is too dear to check: {limit}")]
    TooDear {
        kind: &'static str,
        limit: &'static str,
    },
}

impl Imported {
    pub(crate) fn parse(text: &str) -> Result<Self, NotTaken> {
        Kept::parse(text).map(|_| Self(text.to_owned()))
    }

    /// As it is to be kept with the account.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Imported {
    type Error = NotTaken;

    fn try_from(text: String) -> Result<Self, NotTaken> {
        Self::parse(&text)
    }
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Imported(***)")
    }
}

/// A hash, taken apart.
pub(super) enum Kept {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salted: Salted,
    },
    Bcrypt(String),
    Scrypt(scrypt::Params, Salted),
    Pbkdf2(pbkdf2::Algorithm, std::num::NonZeroU32, Salted),
}

pub(super) struct Salted {
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Kept {
    pub(super) fn parse(text: &str) -> Result<Self, NotTaken> {
        if text.len() > MAX_TEXT {
            return Err(NotTaken::Unknown);
        }
        let rooted = text.strip_prefix('$');
        let kind = rooted.unwrap_or(text).split('$').next().unwrap_or_default();
        match (rooted, kind) {
            (Some(_), "argon2id" | "argon2i" | "argon2d") => argon2(text),
            (Some(rest), "2a" | "2b" | "2y") => bcrypt(text, rest),
            (Some(_), "scrypt") => scrypt(text),
            (Some(rest), "pbkdf2-sha256") => pbkdf2_phc(pbkdf2::PBKDF2_HMAC_SHA256, rest),
            (Some(rest), "pbkdf2-sha512") => pbkdf2_phc(pbkdf2::PBKDF2_HMAC_SHA512, rest),
            (None, "pbkdf2_sha256") => django(text),
            _ => Err(NotTaken::Unknown),
        }
    }

    /// Whether it is made as we make them today.
    pub(super) fn is_todays(&self) -> bool {
        let Self::Argon2 {
            algorithm: ALGORITHM,
            version: VERSION,
            params: then,
            salted: Salted { salt, hash },
        } = self
        else {
            return false;
        };
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        cost(then) == cost(&params()) && (salt.len(), hash.len()) == (SALT_BYTES, HASH_BYTES)
    }

    /// Tells whether the password is the one, by the parameters that the hash was made with.
    pub(super) fn fits(&self, arena: &mut [Block], password: &[u8]) -> Result<bool, argon2::Error> {
        Ok(match self {
            Self::Argon2 {
                algorithm,
                version,
                params,
                salted: Salted { salt, hash },
            } => {
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                let mut made = vec![0; hash.len()];
                let blocks = argon2.params().block_count();
                if blocks <= arena.len() {
                    argon2.hash_password_into_with_memory(password, salt, &mut made, arena)?;
                } else {
                    let roomier = vec![Block::default(); blocks];
                    argon2.hash_password_into_with_memory(password, salt, &mut made, roomier)?;
                }
                made.ct_eq(hash).into()
            }
            // bcrypt reads no further than a NUL or 72 bytes, and so did whoever made the hash.
            // The whole password is what counts from the next hash on.
            Self::Bcrypt(kept) => {
                let end = password.iter().position(|byte| *byte == 0);
                let read = &password[..end.unwrap_or(password.len())];
                bcrypt::verify(read, kept).expect("what was read once is read again")
            }
            Self::Scrypt(params, Salted { salt, hash }) => {
                let mut made = vec![0; hash.len()];
                scrypt::scrypt(password, salt, params, &mut made)
                    .expect("the length is within scrypt's limits: checked in `salted`");
                made.ct_eq(hash).into()
            }
            Self::Pbkdf2(algorithm, rounds, Salted { salt, hash }) => {
                pbkdf2::verify(*algorithm, *rounds, salt, password, hash).is_ok()
            }
        })
    }
}

fn argon2(text: &str) -> Result<Kept, NotTaken> {
    const KIND: &str = "Argon2";
    let malformed = |_| NotTaken::Malformed(KIND);
    let parsed = PasswordHash::new(text).map_err(malformed)?;
    let (Some(salt), Some(hash)) = (parsed.salt, parsed.hash) else {
        return Err(NotTaken::Malformed(KIND));
    };
    let salt = BASE64_STANDARD_NO_PAD.decode(salt.as_str());
    let salted = salted(KIND, salt, Ok(hash.as_bytes().to_vec()))?;
    let params = Params::try_from(&parsed).map_err(malformed)?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > MAX_MEMORY_KIB
        || u64::from(memory) * u64::from(passes) > MAX_ARGON2_WORK_KIB
        || lanes > MAX_ARGON2_LANES
    {
        return Err(NotTaken::TooDear {
            kind: KIND,
            limit: "at most 128 MiB, memory times passes 512 MiB, 16 lanes",
        });
    }
    let algorithm = Algorithm::try_from(parsed.algorithm).map_err(|_| NotTaken::Unknown)?;
    let version = parsed.version.map_or(Ok(Version::V0x13), Version::try_from);
    let version = version.map_err(|_| NotTaken::Malformed(KIND))?;
    Ok(Kept::Argon2 {
        algorithm,
        version,
        params,
        salted,
    })
}

fn bcrypt(text: &str, rest: &str) -> Result<Kept, NotTaken> {
    const KIND: &str = "bcrypt";
    let [_, cost, tail] = fields(KIND, rest)?;
    let cost: u32 = match cost.parse() {
        Ok(number) if cost.len() == 2 => number,
        _ => return Err(NotTaken::Malformed(KIND)),
    };
    // bcrypt writes the last letter's idle bits as they come.
    let lenient = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
    let decoded = |text: Option<&str>| text.and_then(|text| lenient.decode(text).ok());
    let salt = decoded(tail.get(..22)).filter(|salt| salt.len() == 16);
    let hash = decoded(tail.get(22..)).filter(|hash| hash.len() == 23);
    if salt.is_none() || hash.is_none() || cost < *BCRYPT_COSTS.start() {
        return Err(NotTaken::Malformed(KIND));
    }
    if cost > *BCRYPT_COSTS.end() {
        return Err(NotTaken::TooDear {
            kind: KIND,
            limit: "its cost is at most 14",
        });
    }
    Ok(Kept::Bcrypt(text.to_owned()))
}

fn scrypt(text: &str) -> Result<Kept, NotTaken> {
    const KIND: &str = "scrypt";
    let malformed = NotTaken::Malformed(KIND);
    let rest = text.strip_prefix('$').unwrap_or(text);
    let [_, params, salt, hash] = fields(KIND, rest)?;
    let number = |name| parameter(params, name);
    let (Some(ln), Some(r), Some(p)) = (number("ln"), number("r"), number("p")) else {
        return Err(malformed);
    };
    let salted = salted(
        KIND,
        BASE64_STANDARD_NO_PAD.decode(salt),
        BASE64_STANDARD_NO_PAD.decode(hash),
    )?;
    let work = 1_u64
        .checked_shl(ln)
        .and_then(|n| n.checked_mul(r.into()))
        .and_then(|n| n.checked_mul(p.into()));
    if work.is_none_or(|work| work > MAX_SCRYPT_WORK) {
        return Err(NotTaken::TooDear {
            kind: KIND,
            limit: "N × r × p is at most 2^20",
        });
    }
    let ln = u8::try_from(ln).map_err(|_| NotTaken::Malformed(KIND))?;
    let params = scrypt::Params::new(ln, r, p, salted.hash.len()).map_err(|_| malformed)?;
    Ok(Kept::Scrypt(params, salted))
}

fn pbkdf2_phc(algorithm: pbkdf2::Algorithm, rest: &str) -> Result<Kept, NotTaken> {
    let [_, params, salt, hash] = fields(PBKDF2, rest)?;
    // passlib writes the rounds alone, and base64 with a dot for the plus.
    let rounds = params.parse().ok().or_else(|| parameter(params, "i"));
    let decode = |text: &str| BASE64_STANDARD_NO_PAD.decode(text.replace('.', "+"));
    pbkdf2(
        algorithm,
        rounds,
        salted(PBKDF2, decode(salt), decode(hash))?,
    )
}

fn django(text: &str) -> Result<Kept, NotTaken> {
    let [_, rounds, salt, hash] = fields(PBKDF2, text)?;
    // The salt is a text there, not bytes.
    let salted = salted(PBKDF2, Ok(salt.into()), BASE64_STANDARD.decode(hash))?;
    pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, rounds.parse().ok(), salted)
}

const PBKDF2: &str = "PBKDF2";

fn pbkdf2(
    algorithm: pbkdf2::Algorithm,
    rounds: Option<u32>,
    salted: Salted,
) -> Result<Kept, NotTaken> {
    let rounds = rounds.and_then(std::num::NonZeroU32::new);
    let rounds = rounds.ok_or(NotTaken::Malformed(PBKDF2))?;
    if rounds.get() > MAX_PBKDF2_ROUNDS {
        return Err(NotTaken::TooDear {
            kind: PBKDF2,
            limit: "at most 2,000,000 rounds",
        });
    }
    Ok(Kept::Pbkdf2(algorithm, rounds, salted))
}

/// The parts between the dollars, if there are as many as there should be.
fn fields<'a, const N: usize>(kind: &'static str, text: &'a str) -> Result<[&'a str; N], NotTaken> {
    let parts: Vec<&str> = text.split('$').collect();
    parts.try_into().map_err(|_| NotTaken::Malformed(kind))
}

/// The number called `name` in `a=1,b=2`.
fn parameter(params: &str, name: &str) -> Option<u32> {
    let mut pairs = params.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// Shorter hashes fit by chance, an empty one fits everything.
fn salted(
    kind: &'static str,
    salt: Result<Vec<u8>, base64::DecodeError>,
    hash: Result<Vec<u8>, base64::DecodeError>,
) -> Result<Salted, NotTaken> {
    match (salt, hash) {
        (Ok(salt), Ok(hash))
            if (1..=64).contains(&salt.len()) && (16..=64).contains(&hash.len()) =>
        {
            Ok(Salted { salt, hash })
        }
        _ => Err(NotTaken::Malformed(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_that_would_stall_the_queue_are_refused() {
        let end = "c2l4dGVlbiBieXRlIHNhbA$YLxwtZTyajzXVfC/M84LAbZcd133GcmpwHnZkrWBmAo";
        let bcrypt = "abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K";
        for (taken, text) in [
            (true, format!("$2b$14${bcrypt}")),
            (false, format!("$2b$15${bcrypt}")),
            (false, format!("$2b$31${bcrypt}")),
            (true, format!("$scrypt$ln=17,r=8,p=1${end}")),
            (true, format!("$scrypt$ln=13,r=8,p=10${end}")),
            (false, format!("$scrypt$ln=18,r=8,p=1${end}")),
            (false, format!("$scrypt$ln=17,r=8,p=2${end}")),
            (false, format!("$scrypt$ln=63,r=8,p=1${end}")),
            (
                false,
                format!("$scrypt$ln=64,r=4294967295,p=4294967295${end}"),
            ),
            (true, format!("$pbkdf2-sha256$i=2000000${end}")),
            (false, format!("$pbkdf2-sha512$i=2000001${end}")),
            (false, format!("$pbkdf2-sha256$4294967295${end}")),
            (true, format!("$argon2id$v=19$m=131072,t=4,p=8${end}")),
            (false, format!("$argon2id$v=19$m=131073,t=1,p=1${end}")),
            (false, format!("$argon2id$v=19$m=131072,t=5,p=1${end}")),
            (
                false,
                format!("$argon2d$v=19$m=1024,t=4294967295,p=1${end}"),
            ),
        ] {
            match Kept::parse(&text) {
                Ok(_) => assert!(taken, "{text}"),
                Err(error) => {
                    assert!(!taken, "{text}: {error}");
                    assert!(matches!(error, NotTaken::TooDear { .. }), "{text}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let end = "c2l4dGVlbiBieXRlIHNhbA$YLxwtZTyajzXVfC/M84LAbZcd133GcmpwHnZkrWBmAo";
        for text in [
            String::new(),
            "$".to_owned(),
            "correct horse battery staple".to_owned(),
            "5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
            "$1$salt$qJH7.N4xYta3aEG/dfqo/0".to_owned(),
            // The hash of a bcrypt that was mistaken about 8-bit letters.
            "$2x$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K".to_owned(),
            "$2b$6$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K".to_owned(),
            "$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5".to_owned(),
            "$2b$06$abcdefghijklmnopqrstué10cNU3mXRamSUZYs8I8M/Szu..qXq5K".to_owned(),
            "$2b$03$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K".to_owned(),
            format!("$scrypt$ln=16,r=8${end}"),
            format!("$scrypt$ln=16,r=0,p=1${end}"),
            "$scrypt$ln=16,r=8,p=1$c2l4dGVlbiBieXRlIHNhbA$".to_owned(),
            format!("$pbkdf2-sha256$i=0${end}"),
            format!("$pbkdf2-sha1$i=1000${end}"),
            "$pbkdf2-sha256$i=1000$c2l4dGVlbiBieXRlIHNhbA$YLxw".to_owned(),
            "pbkdf2_sha256$1000$$VNzPFE8wmAfZPF7ZBaPWZTpsgmcRgo3yR/SsvmOqXuY=".to_owned(),
            "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlIHNhbA".to_owned(),
            format!("$argon2id$v=18$m=19456,t=2,p=1${end}"),
            "$2b$".repeat(200),
        ] {
            assert!(Imported::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_imported_hash_is_read_from_json_and_never_shows_itself() {
        let text = r#""$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K""#;
        let imported: Imported = serde_json::from_str(text).expect("taken");
        assert_eq!(format!("{imported:?}"), "Imported(***)");
        let refused = serde_json::from_str::<Imported>(
            r#""$2b$31$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K""#,
        );
        let words = refused.expect_err("too dear").to_string();
        assert!(words.contains("its cost is at most 14"), "{words}");
    }
}
