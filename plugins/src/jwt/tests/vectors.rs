//! Tokens that somebody may try, and what is wrong with each.

use super::issuer::encode;
use super::*;

/// It is no token that names this issuer: another way's to judge, or nobody's.
const FOREIGN: Option<Fault> = Some(Fault::Opaque);

/// Why a token is refused; `None` when it is believed.
fn check(token: &str) -> Option<Fault> {
    let issuer = Issuer::new("k1", 1);
    let algs = [Alg::EdDSA, Alg::ES256, Alg::RS256];
    let keys = || KeySet::parse(issuer.jwks().to_string().into(), &algs).expect("keys");
    let config = changed(config(URL), json!({ "algs": ["EdDSA", "ES256", "RS256"] }));
    let plugin = issuer.trusted_by(config, &TestEnv::default().env, keys());
    match plugin.verify(token, Some(&keys()), NOW) {
        Ok(_) => None,
        Err(Verdict::Refused(fault)) => Some(fault),
        Err(Verdict::Foreign) => FOREIGN,
        Err(_) => panic!("there are keys"),
    }
}

/// Security case 24.
#[test]
fn gateway_24_claims_are_what_is_asked_for() {
    let issuer = Issuer::new("k1", 1);
    for (changes, fault) in [
        (json!({}), None),
        (json!({ "aud": ["other", "api"] }), None),
        (json!({ "exp": NOW - 29 }), None),
        (json!({ "nbf": NOW + 30 }), None),
        (json!({ "iat": null, "jti": null }), None),
        (json!({ "scope": ["a", "b"], "roles": [] }), None),
        (json!({ "iss": "https://id.test/" }), FOREIGN),
        (json!({ "iss": [ISSUER] }), FOREIGN),
        (json!({ "aud": "API" }), Some(Fault::Claim("aud"))),
        (json!({ "aud": [] }), Some(Fault::Claim("aud"))),
        (json!({ "aud": [["api"]] }), Some(Fault::Claim("aud"))),
        (json!({ "aud": null }), Some(Fault::Claim("aud"))),
        (json!({ "exp": null }), Some(Fault::Claim("exp"))),
        (
            json!({ "exp": (NOW + 300).to_string() }),
            Some(Fault::Claim("exp")),
        ),
        (json!({ "exp": 1.9e9 }), Some(Fault::Claim("exp"))),
        (
            json!({ "exp": 9_223_372_036_854_775_808_u64 }),
            Some(Fault::Claim("exp")),
        ),
        (json!({ "exp": NOW - 30 }), Some(Fault::Expired)),
        (json!({ "exp": NOW - 61 }), Some(Fault::Expired)),
        (json!({ "exp": i64::MIN }), Some(Fault::Expired)),
        (json!({ "nbf": NOW + 31 }), Some(Fault::Early)),
        (json!({ "iat": NOW + 61 }), Some(Fault::Early)),
        (json!({ "nbf": "soon" }), Some(Fault::Claim("nbf"))),
        (json!({ "sub": "" }), Some(Fault::Claim("sub"))),
        (json!({ "sub": null }), Some(Fault::Claim("sub"))),
        (json!({ "sub": 7 }), Some(Fault::Claim("sub"))),
        (
            json!({ "sub": "u1\r\nx-admin: 1" }),
            Some(Fault::Claim("sub")),
        ),
        (
            json!({ "roles": { "admin": true } }),
            Some(Fault::Claim("roles")),
        ),
        (json!({ "roles": [1] }), Some(Fault::Claim("roles"))),
        (json!({ "sid": 7 }), Some(Fault::Claim("sid"))),
        (
            json!({ "auth_time": "now" }),
            Some(Fault::Claim("auth_time")),
        ),
    ] {
        assert_eq!(check(&issuer.token(changes.clone())), fault, "{changes}");
    }
}

/// Security case 22. Nothing is fetched here: the test's environment would fail every fetch.
#[test]
fn gateway_22_headers_are_ours_to_judge() {
    let issuer = Issuer::new("k1", 1);
    let own_key = Issuer::new("mine", 9);
    for (changes, fault) in [
        (json!({ "typ": "application/AT+JWT" }), None),
        (json!({ "kid": null }), None),
        // What it offers as a key is not looked at.
        (
            json!({ "jwk": own_key.jwk(), "jku": "https://evil.test/", "x5u": "x", "x5c": ["x"] }),
            None,
        ),
        (json!({ "typ": "JWT" }), Some(Fault::Type)),
        (json!({ "typ": "rt+jwt" }), Some(Fault::Type)),
        (json!({ "typ": null }), Some(Fault::Type)),
        (json!({ "alg": "none" }), Some(Fault::Algorithm)),
        (json!({ "alg": "None" }), Some(Fault::Algorithm)),
        (json!({ "alg": "nOnE" }), Some(Fault::Algorithm)),
        (json!({ "alg": "" }), Some(Fault::Algorithm)),
        (json!({ "alg": null }), Some(Fault::Algorithm)),
        (json!({ "alg": "HS256" }), Some(Fault::Algorithm)),
        (json!({ "alg": "eddsa" }), Some(Fault::Algorithm)),
        (json!({ "alg": ["EdDSA"] }), Some(Fault::Header)),
        // Named in the table, and not what this key is for.
        (json!({ "alg": "ES256" }), Some(Fault::UnknownKey)),
        (json!({ "alg": "RS256" }), Some(Fault::UnknownKey)),
        (json!({ "alg": "PS256" }), Some(Fault::Algorithm)),
        (json!({ "kid": "k2" }), Some(Fault::UnknownKey)),
        (json!({ "kid": "K1" }), Some(Fault::UnknownKey)),
        (
            json!({ "kid": "../../etc/passwd" }),
            Some(Fault::UnknownKey),
        ),
        (json!({ "kid": "' or 1=1 --" }), Some(Fault::UnknownKey)),
        (json!({ "kid": 1 }), Some(Fault::Header)),
        (json!({ "crit": ["exp"] }), Some(Fault::Extension)),
        (json!({ "crit": [] }), Some(Fault::Extension)),
        (
            json!({ "b64": false, "crit": ["b64"] }),
            Some(Fault::Extension),
        ),
        (json!({ "b64": false }), Some(Fault::Extension)),
    ] {
        assert_eq!(
            check(&issuer.token_headed(changes.clone())),
            fault,
            "{changes}"
        );
    }
    let stranger = Issuer::new("k1", 9).token_headed(json!({ "jwk": own_key.jwk() }));
    assert_eq!(check(&stranger), Some(Fault::Signature));
}

/// Security case 23.
#[test]
fn gateway_23_a_token_has_one_form() {
    let issuer = Issuer::new("k1", 1);
    let (header, claims) = (
        issuer.header().to_string(),
        issuer.claims(json!({})).to_string(),
    );
    let good = issuer.sign(&header, &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let [head, payload, signature] = parts[..] else {
        panic!("three parts")
    };
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    for (token, fault) in [
        (good.clone(), None),
        (format!("{head}.{payload}."), Some(Fault::Signature)),
        (format!("{head}.{payload}"), FOREIGN),
        (format!("{head}..{signature}"), FOREIGN),
        (format!("{good}="), Some(Fault::Signature)),
        (format!("{good}.x"), FOREIGN),
        (format!("{good} "), Some(Fault::Signature)),
        (format!("{head}.{payload}.x.{signature}.y"), FOREIGN),
        (format!("{head}=.{payload}.{signature}"), FOREIGN),
        (String::new(), FOREIGN),
        ("..".to_owned(), FOREIGN),
        ("x".repeat(1_000_000), Some(Fault::TooLong)),
        (
            json!({ "payload": payload, "signatures": [] }).to_string(),
            FOREIGN,
        ),
        (
            issuer.sign(&header, &claims.replacen('{', "{\"sub\":\"admin\",", 1)),
            FOREIGN,
        ),
        (
            issuer.sign(&header.replacen('{', "{\"kid\":\"k1\",", 1), &claims),
            FOREIGN,
        ),
        (issuer.sign(&header, "[]"), FOREIGN),
        (issuer.sign(&header, &deep[..4_000]), FOREIGN),
        (issuer.sign(&format!("\u{feff}{header}"), &claims), FOREIGN),
    ] {
        assert_eq!(check(&token), fault, "{}", &token[..token.len().min(80)]);
    }
    let unsigned = encode(
        json!({ "alg": "none", "typ": "at+jwt" })
            .to_string()
            .as_bytes(),
    );
    assert_eq!(
        check(&format!("{unsigned}.{payload}.")),
        Some(Fault::Algorithm)
    );
}

#[test]
fn keys_are_taken_for_what_they_say_they_are_for() {
    let jwk = Issuer::new("k1", 1).jwk();
    let short = encode(&[1; 31]);
    let long = encode(&[1; 33]);
    let off_curve = json!({
        "kty": "EC", "crv": "P-256", "x": encode(&[1; 32]), "y": encode(&[1; 32]),
    });
    let weak = json!({ "kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB" });
    let padded = [[0; 128], [0xff; 128]].concat();
    let padded = json!({ "kty": "RSA", "n": encode(&padded), "e": "AQAB" });
    for (change, usable) in [
        (json!({}), true),
        (json!({ "use": "sig", "key_ops": ["verify"] }), true),
        (json!({ "use": "enc" }), false),
        (json!({ "key_ops": ["sign"] }), false),
        (json!({ "alg": "ES256" }), false),
        (json!({ "alg": "HS256" }), false),
        (json!({ "crv": "X25519" }), false),
        (json!({ "crv": "Ed448" }), false),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }), false),
        (json!({ "kty": "EC" }), false),
        (json!({ "x": short }), false),
        (json!({ "x": long }), false),
        (json!({ "x": "" }), false),
        (json!({ "x": "not base64!" }), false),
        (off_curve, false),
        (weak, false),
        (padded, false),
    ] {
        let mut key = jwk.clone();
        for (name, value) in change.as_object().expect("an object") {
            key[name] = value.clone();
        }
        if key["kty"] != "OKP" {
            key.as_object_mut().expect("an object").remove("alg");
        }
        let document = json!({ "keys": [key] }).to_string();
        let set = KeySet::parse(document.into(), &[Alg::EdDSA, Alg::ES256, Alg::RS256]);
        assert_eq!(set.is_ok(), usable, "{change}");
    }
}

#[test]
fn one_key_is_chosen_or_none() {
    let keys = [
        Issuer::new("k1", 1).jwk(),
        Issuer::new("k2", 2).jwk(),
        Issuer::new("k2", 3).jwk(),
    ];
    let document = json!({ "keys": keys }).to_string();
    let set = KeySet::parse(document.into(), &[Alg::EdDSA]).expect("keys");
    assert_eq!(set.find(Some("k1"), Alg::EdDSA).len(), 1);
    let none = |kid, alg| set.find(kid, alg).is_empty();
    assert!(none(Some("k2"), Alg::EdDSA), "two keys of one id");
    assert!(none(None, Alg::EdDSA), "no id, three keys");
    assert!(none(Some("k1"), Alg::ES256));
}

/// RFC 7515, appendices A.2 and A.3: other people's signatures, so that a token of ours that is
/// wrong in the same way as our check doesn't prove anything.
#[test]
fn the_signatures_of_rfc_7515_hold() {
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
    });
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let set = json!({ "keys": [rsa, ec] }).to_string();
    let set = KeySet::parse(set.into(), &[Alg::RS256, Alg::ES256]).expect("keys");
    for (alg, header, signature) in [
        (
            Alg::RS256,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            Alg::ES256,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let key = set.find(None, alg)[0];
        let text = format!("{header}.{claims}");
        assert!(
            jsonwebtoken::crypto::verify(signature, text.as_bytes(), key, alg.algorithm())
                .expect("a key")
        );
        let other = format!("{header}x.{claims}");
        assert!(
            !jsonwebtoken::crypto::verify(signature, other.as_bytes(), key, alg.algorithm())
                .expect("a key")
        );
        // CVE-2022-21449: a signature of zeros that fits every key.
        let zeros = encode(&vec![0; if alg == Alg::ES256 { 64 } else { 256 }]);
        let holds = jsonwebtoken::crypto::verify(&zeros, text.as_bytes(), key, alg.algorithm());
        assert!(!holds.expect("a key"));
        // RFC 7515's tokens are no access tokens.
        let token = format!("{text}.{signature}");
        let token = Token::read(&token).expect("a signed token");
        let fault = token.signed_with(&[alg], &[Typ::AccessToken]).err();
        assert_eq!(fault, Some(Fault::Type));
    }
}
