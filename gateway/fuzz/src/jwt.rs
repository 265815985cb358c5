//! Access tokens.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use plugin_sdk::Chain;
use plugin_sdk::testing::{NoTasks, TestEnv, TestRequest, at_once, chain};
use serde_json::json;

/// Part of the corpus is a token that is good: here it is, for whoever makes seeds.
pub static GOOD: LazyLock<String> = LazyLock::new(|| sign(HEADER, CLAIMS));

const HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#;
/// The clock stands still at the first second of 2026.
const CLAIMS: &str = r#"{"iss":"https://id.test","aud":"api","sub":"u1","iat":1767225600,"exp":1767225900,"roles":["user"]}"#;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static CHAIN: LazyLock<Chain> = LazyLock::new(build);

fn build() -> Chain {
    let x = URL_SAFE_NO_PAD.encode(KEY.verifying_key().as_bytes());
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k1", "x": x });
    let folder = super::folder();
    let document = json!({ "keys": [key] }).to_string();
    std::fs::write(folder.join("jwks.json"), document).expect("a file");
    let config = json!({
        "issuer": "https://id.test", "audience": "api", "jwks": "$file:jwks.json",
        "algs": ["EdDSA", "ES256", "RS256"],
    });
    let env = TestEnv::new(folder, Arc::new(NoTasks)).env;
    chain::<plugins::jwt::Plugin>(config, &env).expect("a plugin")
}

/// Nobody is known by a token that was not signed; and by one that was, only who it is about.
///
/// The first byte says what the rest is: a whole token, or header and claims (parted by a zero)
/// that our own key signs, so that what stands behind the signature is tried too.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    if kind % 2 == 0 {
        let known = judge(text);
        assert!(known.is_none() || text == *GOOD, "{text} was believed");
    } else {
        let (header, claims) = text.split_once('\0').unwrap_or((HEADER, text));
        let Some(sub) = judge(&sign(header, claims)) else {
            return;
        };
        let claims: serde_json::Value = serde_json::from_str(claims).expect("believed claims");
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("https://id.test"), &json!(sub))
        );
        assert!(
            claims["exp"]
                .as_i64()
                .is_some_and(|exp| exp > 1_767_225_600 - 31),
            "{claims}"
        );
        let header: serde_json::Value = serde_json::from_str(header).expect("a believed header");
        assert_eq!(header["alg"], "EdDSA");
        assert!(header.get("crit").is_none() && header.get("b64").is_none());
    }
}

fn judge(token: &str) -> Option<String> {
    let value = format!("Bearer {token}");
    if value
        .bytes()
        .any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f)
    {
        return None;
    }
    let mut request = TestRequest::new("GET", "/").header("authorization", &value);
    let refused = at_once(request.run(&CHAIN));
    let known = request.facts.principal.as_ref().map(|who| who.sub.clone());
    assert!(refused.is_none() || known.is_none(), "refused and known");
    known
}

fn sign(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let signature = KEY.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
