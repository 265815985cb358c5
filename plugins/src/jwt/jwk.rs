use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// An RSA key of fewer bits is no key.
const MIN_RSA_BYTES: usize = 256;

/// A public key as RFC 7517, 7518 and 8037 write it, as far as we look.
#[derive(Debug, Deserialize)]
pub(super) struct Jwk {
    pub(super) kty: String,
    pub(super) kid: Option<String>,
    pub(super) alg: Option<String>,
    #[serde(rename = "use")]
    pub(super) usage: Option<String>,
    pub(super) key_ops: Option<Vec<String>>,
    pub(super) crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    /// The private part: it does not belong where public keys are read.
    pub(super) d: Option<String>,
}

/// Why a PEM file gives no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemError {
    #[error("it holds a private key, and a public one is enough")]
    Private,
    #[error("it is neither a public key (PEM, JWK) nor a certificate")]
    Malformed,
    #[error("its key is of a kind that no algorithm here is for")]
    Kind,
}

impl Jwk {
    /// Reads a public key, or a certificate's, as PEM.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, PemError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(text).map_err(|_| PemError::Malformed)?;
        match pem.label.as_str() {
            label if label.ends_with("PRIVATE KEY") => Err(PemError::Private),
            "PUBLIC KEY" => {
                let (_, key) = SubjectPublicKeyInfo::from_der(&pem.contents)
                    .map_err(|_| PemError::Malformed)?;
                Self::from_info(&key)
            }
            "CERTIFICATE" => {
                let (_, certificate) =
                    X509Certificate::from_der(&pem.contents).map_err(|_| PemError::Malformed)?;
                Self::from_info(certificate.public_key())
            }
            _ => Err(PemError::Malformed),
        }
    }

    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, PemError> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = Self {
            kty: String::new(),
            kid: None,
            alg: None,
            usage: None,
            key_ops: None,
            crv: None,
            x: String::new(),
            y: String::new(),
            n: String::new(),
            e: String::new(),
            d: None,
        };
        let kind = &info.algorithm.algorithm;
        if *kind == OID_PKCS1_RSAENCRYPTION {
            let Ok(PublicKey::RSA(rsa)) = info.parsed() else {
                return Err(PemError::Malformed);
            };
            key.kty = "RSA".into();
            key.n = encode(unsigned(rsa.modulus));
            key.e = encode(unsigned(rsa.exponent));
        } else if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = info.algorithm.parameters.as_ref();
            let curve = curve.and_then(|curve| curve.as_oid().ok());
            let (name, size) = match curve {
                Some(oid) if oid == OID_EC_P256 => ("P-256", 32),
                Some(oid) if oid == OID_NIST_EC_P384 => ("P-384", 48),
                _ => return Err(PemError::Kind),
            };
            // Uncompressed (SEC 1 §2.3.3): 4, then both coordinates.
            let point = info.subject_public_key.data.as_ref();
            let Some((4, point)) = point.split_first().map(|(first, rest)| (*first, rest)) else {
                return Err(PemError::Malformed);
            };
            let (x, y) = point.split_at_checked(size).ok_or(PemError::Malformed)?;
            key.kty = "EC".into();
            key.crv = Some(name.into());
            key.x = encode(x);
            key.y = encode(y);
        } else if *kind == OID_SIG_ED25519 {
            key.kty = "OKP".into();
            key.crv = Some("Ed25519".into());
            key.x = encode(info.subject_public_key.data.as_ref());
        } else {
            return Err(PemError::Kind);
        }
        Ok(key)
    }

    /// Lengths are checked here: the crate that verifies cuts a long Ed25519 key and panics at a
    /// short one.
    pub(super) fn key(&self) -> Option<DecodingKey> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if bytes(&self.x)? == 32 => {
                DecodingKey::from_ed_components(&self.x).ok()
            }
            ("EC", Some(crv @ ("P-256" | "P-384"))) => {
                let size = if crv == "P-256" { 32 } else { 48 };
                let fits = bytes(&self.x)? == size && bytes(&self.y)? == size;
                fits.then(|| DecodingKey::from_ec_components(&self.x, &self.y).ok())?
            }
            ("RSA", _) => {
                let modulus = URL_SAFE_NO_PAD.decode(&self.n).ok()?;
                // Zeros in front make no key longer.
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                (modulus.len() - zeros >= MIN_RSA_BYTES && !is_guessable(&modulus))
                    .then(|| DecodingKey::from_rsa_components(&self.n, &self.e).ok())?
            }
            _ => None,
        }
    }
}

/// Whether a modulus has the mark of the chips whose keys can be factored (ROCA, CVE-2017-15361):
/// modulo each small prime it is a power of 65537. Of other keys one in some hundred million is.
fn is_guessable(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let rest = modulus
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * 65_537 % prime));
        powers.take(*prime as usize).any(|power| power == rest)
    })
}

/// A number of ASN.1 without the zero that says that it is not negative.
fn unsigned(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] => rest,
        number => number,
    }
}

/// The length of what a base64url text holds.
fn bytes(text: &str) -> Option<usize> {
    URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len())
}
