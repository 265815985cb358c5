//! What the route table may say, and what it may not.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plugin_sdk::testing::NoTasks;

use super::*;

/// A folder with files in it, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
        let path = std::env::temp_dir().join(format!("jwt-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        for (name, bytes) in files {
            std::fs::write(path.join(name), bytes).expect("a file");
        }
        Self(path)
    }

    fn env(&self) -> Env {
        TestEnv::new(&self.0, Arc::new(NoTasks)).env
    }

    fn link(&self, changes: Value) -> Result<Link, BuildError> {
        link(&self.env(), changed(config(URL), changes))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// SPKI of an Ed25519 key (RFC 8410 §4): a fixed head, then the key.
fn pem(label: &str, issuer: &Issuer) -> String {
    let mut der = vec![
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    der.extend(issuer.public());
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

/// Keys that are named have no document to go stale with.
const NAMED: fn(Value) -> Value = |keys| json!({ "jwks": null, "stale_keys": null, "keys": keys });

#[test]
fn keys_may_be_named_one_by_one() {
    let (a, b) = (Issuer::new("a", 1), Issuer::new("b", 2));
    let folder = Folder::new(
        "named",
        &[
            ("a.pem", pem("PUBLIC KEY", &a).as_bytes()),
            ("b.pem", pem("PUBLIC KEY", &b).as_bytes()),
            ("b.jwk", b.jwk().to_string().as_bytes()),
        ],
    );
    let ask = |keys: Value, issuer: &Issuer| {
        let chain = Chain::new(vec![folder.link(NAMED(keys)).expect("builds")]);
        ask(&chain, &[&format!("Bearer {}", issuer.token(json!({})))])
            .0
            .map(|reply| reply.code())
    };
    // PEM has no id: whatever the token says of its key, the few that are named are tried.
    assert_eq!(ask(json!("$file:a.pem"), &a), None);
    assert_eq!(ask(json!("$file:a.pem"), &b), Some("invalid_token"));
    for issuer in [&a, &b] {
        assert_eq!(ask(json!(["$file:a.pem", "$file:b.pem"]), issuer), None);
    }
    assert_eq!(ask(json!("$file:b.jwk"), &b), None);
    assert_eq!(ask(json!(["$file:b.jwk", "$file:a.pem"]), &a), None);
}

#[test]
fn a_certificate_will_do_for_a_key() {
    let ec = include_str!("ec-p256.pem");
    let folder = Folder::new("certificate", &[("id.pem", ec.as_bytes())]);
    let mut changes = NAMED(json!("$file:id.pem"));
    changes["algs"] = json!(["ES256"]);
    assert!(folder.link(changes.clone()).is_ok());
    changes["algs"] = json!(["ES384"]);
    let error = folder.link(changes).err().expect("a refusal");
    assert_eq!(
        error.message,
        "`id.pem`: none of its keys goes with the algorithms named"
    );
}

/// Security case 22: a shared secret is one, and a public key is never taken for it.
#[test]
fn gateway_22_a_secret_stands_alone_and_is_long() {
    let folder = Folder::new(
        "secret",
        &[
            (
                "long",
                b"0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff0\n",
            ),
            ("short", b"0f1e2d3c4b5a69788796a5b4c3d2e1f\n"),
            ("typed", &[b'a'; 64]),
        ],
    );
    let secret = |file: &str, algs: Value| {
        folder.link(json!({
            "jwks": null, "stale_keys": null, "secret": format!("$file:{file}"), "algs": algs,
        }))
    };
    let chain = Chain::new(vec![
        secret("long", json!(["HS256", "HS512"])).expect("builds"),
    ]);
    let shared = b"0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff0";
    let issuer = Issuer::new("shared", 1);
    for (alg, key, good) in [
        ("HS256", &shared[..], true),
        ("HS512", &shared[..], true),
        ("HS384", &shared[..], false),
        ("HS256", &shared[..63], false),
    ] {
        let token = issuer.token_shared(alg, key);
        let (reply, who) = ask(&chain, &[&format!("Bearer {token}")]);
        assert_eq!((reply.is_none(), who.is_some()), (good, good), "{alg}");
    }
    for (file, algs, at) in [
        ("short", json!(["HS256"]), "secret"),
        ("typed", json!(["HS256"]), "secret"),
        ("long", json!(["HS256", "EdDSA"]), "algs.1"),
        ("missing", json!(["HS256"]), "secret"),
    ] {
        let error = secret(file, algs).err().expect(file);
        assert_eq!(error.at.join("."), at, "{error}");
        assert!(!error.to_string().contains("0f1e2d"), "{error}");
    }
    // Beside public keys there is no HS256, so none can be made with one of them.
    let both = folder.link(json!({ "secret": "$file:long" }));
    assert_eq!(both.err().expect("a refusal").at, ["secret"]);
    let mixed = folder.link(json!({ "algs": ["EdDSA", "HS256"] }));
    assert_eq!(mixed.err().expect("a refusal").at, ["algs", "1"]);
}

#[test]
fn a_configuration_that_can_do_no_good_is_refused() {
    let private = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let mut own = Issuer::new("own", 1).jwk();
    own["d"] = "AAAA".into();
    let own = own.to_string();
    let files: [(&str, &[u8]); 4] = [
        ("private.pem", private.as_bytes()),
        ("private.jwk", own.as_bytes()),
        ("text", b"keys"),
        ("long", &vec![b' '; 100_000]),
    ];
    let folder = Folder::new("refused", &files);
    for (changes, at, message) in [
        (
            json!({ "algs": [] }),
            "algs",
            "the list is empty: no token would do",
        ),
        (
            json!({ "algs": ["HS256"] }),
            "algs.0",
            "`HS256` is signed with a shared secret, and the keys are public",
        ),
        (
            json!({ "algs": ["none"] }),
            "algs.0",
            "unknown variant `none`",
        ),
        (json!({ "issuer": "" }), "issuer", "must not be empty"),
        (json!({ "audience": "" }), "audience", "must not be empty"),
        (json!({ "audience": [] }), "audience", "must not be empty"),
        (json!({ "clients": [""] }), "clients", "must not be empty"),
        (
            json!({ "typ": [] }),
            "typ",
            "the list is empty: no token would do",
        ),
        (
            json!({ "typ": ["id+jwt"] }),
            "typ.0",
            "unknown variant `id+jwt`",
        ),
        (
            json!({ "jwks": "keys.json" }),
            "jwks",
            "is neither a URL nor a file",
        ),
        (
            json!({ "jwks": "https://" }),
            "jwks",
            "is neither a URL nor a file",
        ),
        (
            json!({ "jwks": "$file:not/there.json", "stale_keys": null }),
            "jwks",
            "`not/there.json` can't be read: No such file or directory (os error 2)",
        ),
        (
            json!({ "jwks": "$file:text", "stale_keys": null }),
            "jwks",
            "`text`: it is no JSON Web Key Set (RFC 7517 §5)",
        ),
        (
            json!({ "jwks": null }),
            "",
            "says nothing about the issuer's keys",
        ),
        (
            json!({ "discovery": true }),
            "discovery",
            "stands beside `jwks`: keys come from one place",
        ),
        (
            json!({ "keys": "$file:text" }),
            "keys",
            "stands beside `jwks`: keys come from one place",
        ),
        (
            json!({ "jwks": null, "discovery": true, "issuer": "http://id.test" }),
            "issuer",
            "is not `https`, so anybody could answer for it",
        ),
        (NAMED(json!([])), "keys", "must name between 1 and 4 files"),
        (NAMED(json!("a.pem")), "keys", "is no file"),
        (
            NAMED(json!(["$file:private.pem"])),
            "keys",
            "`private.pem`: it holds a private key, and a public one is enough",
        ),
        (
            NAMED(json!("$file:private.jwk")),
            "keys",
            "`private.jwk`: it holds a private key, and a public one is enough",
        ),
        (
            NAMED(json!("$file:text")),
            "keys",
            "`text`: it is neither a public key (PEM, JWK) nor a certificate",
        ),
        (
            NAMED(json!("$file:long")),
            "keys",
            "`long` is longer than 64 KiB",
        ),
        (json!({ "leeway": "3m" }), "leeway", "more than `2m`"),
        (json!({ "refresh": "10ms" }), "refresh", "less than `1s`"),
        (
            json!({ "stale_keys": "1m" }),
            "stale_keys",
            "shorter than the time between two fetches, 5m",
        ),
        (
            json!({ "stale_keys": null }),
            "",
            "missing field `stale_keys`",
        ),
        (
            json!({ "jwks": null, "keys": "$file:a.pem" }),
            "stale_keys",
            "the keys are not fetched, so they never go stale",
        ),
        (
            json!({ "claims": { "roles": "realm_access..roles" } }),
            "claims.roles",
            "is no path of names",
        ),
        (
            json!({ "claims": { "sub": [] } }),
            "claims.sub",
            "is no path of names",
        ),
        (
            json!({ "claims": { "name": "sub" } }),
            "claims.name",
            "unknown field `name`",
        ),
    ] {
        let error = folder.link(changes.clone()).err().expect(message);
        assert_eq!(error.at.join("."), at, "{changes}: {error}");
        assert!(error.message.starts_with(message), "{changes}: {error}");
    }
}
