//! The public half of a client's own key.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest `kid`, in bytes.
const MAX_KID: usize = 128;

/// A public key (RFC 7517): `OKP` on `Ed25519`, or `EC` on `P-256`. A private one is refused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Written", deny_unknown_fields)]
pub(crate) struct PublicJwk {
    #[schema(pattern = "^(OKP|EC)$")]
    kty: String,
    #[schema(pattern = "^(Ed25519|P-256)$")]
    crv: String,
    #[schema(max_length = 64)]
    x: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64)]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 128)]
    kid: Option<String>,
    #[serde(rename = "alg", default, skip_serializing)]
    #[schema(nullable = false, pattern = "^(EdDSA|Ed25519|ES256)$")]
    _alg: Option<String>,
    #[serde(rename = "use", default, skip_serializing)]
    #[schema(nullable = false, pattern = "^sig$")]
    _usage: Option<String>,
}

/// As it comes. The private `d` is no field of it, so whoever sends one learns that at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kty: String,
    crv: String,
    x: String,
    y: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl TryFrom<Written> for PublicJwk {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written {
            kty,
            crv,
            x,
            y,
            kid,
            alg,
            usage,
        } = written;
        let algs: &[&str] = match (kty.as_str(), crv.as_str(), &y) {
            ("OKP", "Ed25519", None) => &["EdDSA", "Ed25519"],
            ("EC", "P-256", Some(_)) => &["ES256"],
            _ => return Err("expected a public key on Ed25519 or P-256"),
        };
        if alg.is_some_and(|alg| !algs.contains(&alg.as_str()))
            || usage.is_some_and(|usage| usage != "sig")
        {
            return Err("the key is for something else than signatures of its curve");
        }
        if kid
            .as_ref()
            .is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID)
        {
            return Err("a kid has 1 to 128 bytes");
        }
        let key = Self {
            kty,
            crv,
            x,
            y,
            kid,
            _alg: None,
            _usage: None,
        };
        // Both curves have coordinates of this length, and what checks signatures takes it for
        // granted.
        let whole = |part: &String| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
            bytes.is_ok_and(|bytes| bytes.len() == 32)
        };
        if !whole(&key.x) || !key.y.as_ref().is_none_or(whole) {
            return Err("a coordinate is 32 bytes in base64url");
        }
        // Finds out now whether the point is on the curve, with a signature of nothing.
        let sound = key.decoding().is_some_and(|decoding| {
            jsonwebtoken::crypto::verify("", b"", &decoding, key.algorithm()).is_ok()
        });
        sound
            .then_some(key)
            .ok_or("the key is no point of its curve")
    }
}

impl PublicJwk {
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm that goes with its curve.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.crv.as_str() {
            "P-256" => Algorithm::ES256,
            _ => Algorithm::EdDSA,
        }
    }

    /// The key as signatures are checked with it.
    pub(crate) fn decoding(&self) -> Option<DecodingKey> {
        match &self.y {
            Some(y) => DecodingKey::from_ec_components(&self.x, y).ok(),
            None => DecodingKey::from_ed_components(&self.x).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_public_key_of_a_known_curve_is_taken_and_no_private_one() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let ec = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        let with = |key: &serde_json::Value, name: &str, value: &str| {
            let mut key = key.clone();
            key[name] = value.into();
            key
        };
        for (key, good) in [
            (ed.clone(), true),
            (ec.clone(), true),
            (with(&ed, "alg", "EdDSA"), true),
            (with(&ed, "use", "sig"), true),
            (with(&ed, "kid", "one"), true),
            (
                with(&ed, "d", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"),
                false,
            ),
            (with(&ed, "alg", "ES256"), false),
            (with(&ed, "use", "enc"), false),
            (with(&ed, "kid", ""), false),
            (with(&ed, "x", "AA"), false),
            (with(&ec, "y", x), false),
            (json!({"kty": "oct", "k": "c2VjcmV0"}), false),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), false),
        ] {
            let read = serde_json::from_value::<PublicJwk>(key.clone());
            assert_eq!(read.is_ok(), good, "{key}");
            if let Ok(read) = read {
                // What is kept is read again.
                let kept = serde_json::to_value(read).expect("plain data");
                serde_json::from_value::<PublicJwk>(kept).expect("what is written is read");
            }
        }
    }
}
