//! The key of a passkey, as COSE writes it (RFC 9053), and the signatures it makes.

use minicbor::{Decoder, data::Type};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

use super::Flaw;

/// What we ask authenticators for, best first (§5.4, pubKeyCredParams). RS256 is there for Windows
/// Hello on machines whose TPM knows nothing else.
pub(super) const ALGORITHMS: [i64; 3] = [EDDSA, ES256, RS256];

const EDDSA: i64 = -8;
const ES256: i64 = -7;
const RS256: i64 = -257;

// The labels of a COSE key, RFC 9052 §7.1 and RFC 9053 §7; -1 to -3 mean what the key's type says.
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
const P256: i64 = 1;
const ED25519: i64 = 6;

/// A key that a signature can be checked with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    Ed25519(&'a [u8; 32]),
    /// A point, uncompressed.
    P256([u8; 65]),
    Rsa {
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
}

/// The fields of a COSE key that concern us.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<i64>,
    algorithm: Option<i64>,
    /// Label -1 where it is a number.
    curve: Option<i64>,
    /// Labels -1, -2 and -3 where they are bytes.
    parts: [Option<&'a [u8]>; 3],
}

impl<'a> PublicKey<'a> {
    /// How long the key is that `bytes` begin with.
    pub(super) fn len(bytes: &[u8]) -> Option<usize> {
        let mut cbor = Decoder::new(bytes);
        cbor.skip().ok()?;
        Some(cbor.position())
    }

    pub(super) fn parse(cose: &'a [u8]) -> Result<Self, Flaw> {
        let fields = Fields::read(cose).ok_or(Flaw::Malformed("public key"))?;
        let malformed = || Flaw::Malformed("public key");
        match (fields.kind, fields.algorithm, fields.curve, fields.parts) {
            (Some(OKP), Some(EDDSA), Some(ED25519), [None, Some(x), None]) => {
                x.try_into().map(Self::Ed25519).map_err(|_| malformed())
            }
            (Some(EC2), Some(ES256), Some(P256), [None, Some(x), Some(y)]) => {
                // 0x04: both coordinates follow (SEC 1, §2.3.3).
                let point = [&[4], x, y].concat();
                let whole = x.len() == 32;
                let point = point.try_into().ok().filter(|_| whole);
                point.map(Self::P256).ok_or_else(malformed)
            }
            (Some(RSA), Some(RS256), None, [Some(modulus), Some(exponent), None]) => {
                // 2,048 bits at least: ring takes no shorter ones when it checks.
                let good = (256..=1024).contains(&modulus.len()) && exponent.len() <= 8;
                let key = Self::Rsa { modulus, exponent };
                good.then_some(key).ok_or_else(malformed)
            }
            _ => Err(Flaw::Algorithm),
        }
    }

    /// Whether the owner of this key has signed `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Flaw> {
        match self {
            Self::Ed25519(key) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature)
            }
            Self::P256(point) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point)
                .verify(message, signature),
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            }
            .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
        }
        .map_err(|_| Flaw::Signature)
    }
}

impl<'a> Fields<'a> {
    fn read(cose: &'a [u8]) -> Option<Self> {
        let mut cbor = Decoder::new(cose);
        let mut fields = Self::default();
        for _ in 0..cbor.map().ok()?? {
            let label = cbor.i64().ok()?;
            let is_bytes = cbor.datatype().ok()? == Type::Bytes;
            match label {
                KEY_TYPE => set(&mut fields.kind, cbor.i64().ok()?)?,
                ALGORITHM => set(&mut fields.algorithm, cbor.i64().ok()?)?,
                -1 if !is_bytes => set(&mut fields.curve, cbor.i64().ok()?)?,
                -3..=-1 => {
                    let part = &mut fields.parts[usize::try_from(-label - 1).ok()?];
                    set(part, cbor.bytes().ok()?)?;
                }
                _ => cbor.skip().ok()?,
            }
        }
        (cbor.position() == cose.len()).then_some(fields)
    }
}

/// Nothing is said twice.
fn set<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
    };

    use super::*;

    fn bytes(value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).expect("short");
        [&[0x59][..], &length.to_be_bytes(), value].concat()
    }

    fn es256(x: &[u8], y: &[u8]) -> Vec<u8> {
        [
            &[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21][..],
            &bytes(x),
            &[0x22],
            &bytes(y),
        ]
        .concat()
    }

    fn eddsa(x: &[u8]) -> Vec<u8> {
        [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21][..], &bytes(x)].concat()
    }

    #[test]
    fn a_signature_counts_for_its_own_key_and_message() {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        let pkcs8 = pkcs8.expect("a key");
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
                .expect("a key");
        let point = key.public_key().as_ref();
        let p256 = es256(&point[1..33], &point[33..]);
        let signature = key.sign(&random, b"message").expect("a signature");
        let p256 = PublicKey::parse(&p256).expect("a key");
        assert_eq!(p256.verify(b"message", signature.as_ref()), Ok(()));
        assert_eq!(
            p256.verify(b"another", signature.as_ref()),
            Err(Flaw::Signature)
        );
        assert_eq!(p256.verify(b"message", &[]), Err(Flaw::Signature));

        let key = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).expect("a key");
        let ed25519 = eddsa(key.public_key().as_ref());
        let ed25519 = PublicKey::parse(&ed25519).expect("a key");
        let signature = key.sign(b"message");
        assert_eq!(ed25519.verify(b"message", signature.as_ref()), Ok(()));
        assert_eq!(
            p256.verify(b"message", signature.as_ref()),
            Err(Flaw::Signature)
        );
    }

    #[test]
    fn keys_are_of_the_kinds_we_asked_for_and_whole() {
        let rsa = |modulus: &[u8]| {
            [
                &[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20][..],
                &bytes(modulus),
                &[0x21, 0x43, 1, 0, 1],
            ]
            .concat()
        };
        let malformed = Flaw::Malformed("public key");
        for (cose, flaw) in [
            (eddsa(&[1; 32]), None),
            (es256(&[1; 32], &[2; 32]), None),
            (rsa(&[1; 256]), None),
            (rsa(&[1; 128]), Some(malformed)),
            (eddsa(&[1; 31]), Some(malformed)),
            (es256(&[1; 31], &[2; 33]), Some(malformed)),
            (
                [es256(&[1; 32], &[2; 32]), vec![0]].concat(),
                Some(malformed),
            ),
            // Ed25519's curve under the name of ECDSA.
            (
                [&[0xa4, 1, 1, 3, 0x26, 0x20, 6, 0x21][..], &bytes(&[1; 32])].concat(),
                Some(Flaw::Algorithm),
            ),
            // ES384.
            (
                [
                    &[0xa5, 1, 2, 3, 0x38, 34, 0x20, 2, 0x21][..],
                    &bytes(&[1; 48]),
                    &[0x22],
                    &bytes(&[2; 48]),
                ]
                .concat(),
                Some(Flaw::Algorithm),
            ),
            // A type said twice.
            (vec![0xa2, 1, 2, 1, 2], Some(malformed)),
            (vec![0xa0], Some(Flaw::Algorithm)),
            (vec![], Some(malformed)),
        ] {
            assert_eq!(PublicKey::parse(&cose).err(), flaw, "{cose:x?}");
        }
    }
}
