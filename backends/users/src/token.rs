//! Access tokens: who somebody is, for five minutes, as a JWT of type `at+jwt` (RFC 9068) signed
//! with Ed25519.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey, pkcs8::DecodePrivateKey};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    account::Account,
    factor::{self, Factor},
};

/// How long an access token is good for: no longer than it may take until a demotion is felt
/// everywhere.
pub(crate) const LIFETIME: Duration = Duration::seconds(300);

/// Signs access tokens.
pub(crate) struct TokenSigner {
    key: SigningKey,
    /// The same for every token of this key, so it is encoded once.
    header: String,
    issuer: String,
    audience: String,
}

/// Whom a token is about.
pub(crate) struct Subject<'a> {
    pub(crate) account: &'a Account,
    pub(crate) session_id: Uuid,
    /// How they proved who they are.
    pub(crate) proven: &'a [Factor],
    /// When they last did.
    pub(crate) auth_time: OffsetDateTime,
}

/// Why the operator's keys can't be used.
#[derive(Debug, Error)]
pub(crate) enum TokenKeyError {
    #[error("there is no PEM block of type PRIVATE KEY")]
    NoKey,
    #[error("key number {number} is not an Ed25519 key in PKCS#8 PEM")]
    BadKey {
        /// Counted from one, in the order of the file.
        number: usize,
        #[source]
        source: ed25519_dalek::pkcs8::Error,
    },
}

/// Reads the keys of a PEM file. The first signs; the others are only published, so that a new key
/// is known before it signs and an old one until its last token is void.
pub(crate) fn read_keys(pem: &str) -> Result<Vec<SigningKey>, TokenKeyError> {
    const END: &str = "-----END PRIVATE KEY-----";
    let read = |(index, block): (usize, &str)| {
        SigningKey::from_pkcs8_pem(block.trim_start()).map_err(|source| TokenKeyError::BadKey {
            number: index + 1,
            source,
        })
    };
    let keys = pem
        .split_inclusive(END)
        .filter(|block| !block.trim().is_empty());
    let keys: Vec<SigningKey> = keys.enumerate().map(read).collect::<Result<_, _>>()?;
    if keys.is_empty() {
        Err(TokenKeyError::NoKey)
    } else {
        Ok(keys)
    }
}

/// A key's name: its thumbprint (RFC 7638), so that one key has the same name wherever it is used.
pub(crate) fn key_id(key: &SigningKey) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, public_x(key));
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// The public half of a key, as JWKs say it.
pub(crate) fn public_x(key: &SigningKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key())
}

impl TokenSigner {
    pub(crate) fn new(key: SigningKey, issuer: String, audience: String) -> Self {
        let header = encode(&json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": key_id(&key) }));
        Self {
            key,
            header,
            issuer,
            audience,
        }
    }

    /// Issues a token that is good from now on for [`LIFETIME`].
    pub(crate) fn issue(&self, subject: &Subject<'_>, now: OffsetDateTime) -> String {
        let Subject {
            account,
            session_id,
            proven,
            auth_time,
        } = subject;
        self.signed(
            &self.header,
            &json!({
                "iss": self.issuer,
                "aud": self.audience,
                "sub": account.id,
                "sid": session_id,
                "jti": Uuid::new_v4(),
                "iat": now.unix_timestamp(),
                "exp": (now + LIFETIME).unix_timestamp(),
                "auth_time": auth_time.unix_timestamp(),
                "amr": factor::amr(proven),
                "acr": factor::acr(proven),
                "roles": account.roles(now),
                "perm_ver": account.perm_ver,
            }),
        )
    }

    /// Signs something else than a token: a JWT of another type, as a compact JWS.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        let header = encode(&json!({ "typ": typ, "alg": "EdDSA", "kid": self.kid() }));
        self.signed(&header, claims)
    }

    /// The name of the key that signs.
    pub(crate) fn kid(&self) -> String {
        key_id(&self.key)
    }

    /// The public half of the key that signs.
    pub(crate) fn public_x(&self) -> String {
        public_x(&self.key)
    }

    /// Who issues: the `iss` claim.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    fn signed(&self, header: &str, claims: &impl Serialize) -> String {
        let signed = format!("{header}.{}", encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()).to_bytes());
        format!("{signed}.{signature}")
    }
}

fn encode(part: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("JSON values serialise"))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};

    use super::*;

    fn pem(seed: u8) -> String {
        let key = SigningKey::from_bytes(&[seed; 32]);
        key.to_pkcs8_pem(LineEnding::LF)
            .expect("a key is written")
            .to_string()
    }

    #[test]
    fn a_file_may_hold_several_keys_and_the_first_signs() {
        let keys = read_keys(&format!("{}\n\n{}", pem(1), pem(2))).expect("two keys");
        let seeds: Vec<u8> = keys.iter().map(|key| key.to_bytes()[0]).collect();
        assert_eq!(seeds, [1, 2]);
    }

    #[test]
    fn a_file_without_good_keys_is_refused() {
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";
        let check = |text: &str, message: &str| {
            let refused = read_keys(text).map(|keys| keys.len()).expect_err(text);
            assert_eq!(refused.to_string(), message);
        };
        check("\n", "there is no PEM block of type PRIVATE KEY");
        check(
            "not a key",
            "key number 1 is not an Ed25519 key in PKCS#8 PEM",
        );
        check(public, "key number 1 is not an Ed25519 key in PKCS#8 PEM");
        check(
            &format!("{}{}", pem(1), pem(2).replace("MFECAQ", "AAAAAA")),
            "key number 2 is not an Ed25519 key in PKCS#8 PEM",
        );
    }

    /// The example of RFC 8037, appendix A.
    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let seed = BASE64_URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .expect("base64url");
        let key = SigningKey::from_bytes(&seed.try_into().expect("32 bytes"));
        assert_eq!(
            public_x(&key),
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        assert_eq!(key_id(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
