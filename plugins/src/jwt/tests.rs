use plugin_sdk::testing::{NoTasks, TestEnv, TestRequest, at_once};
use plugin_sdk::{Chain, Kind, Link, Principal};
use serde_json::{Value, json};

use super::*;

mod configuration;
mod issuer;
mod refreshing;
mod several;
mod vectors;
mod wycheproof;

use issuer::{Issuer, NOW, merge};

const ISSUER: &str = "https://id.test";
const URL: &str = "https://id.test/jwks.json";

fn config(jwks: &str) -> Value {
    json!({
        "issuer": ISSUER,
        "audience": "api",
        "jwks": jwks,
        "algs": ["EdDSA"],
        "stale_keys": "1h",
        "leeway": "30s",
    })
}

fn link(env: &Env, config: Value) -> Result<Link, BuildError> {
    let plugin = Kind::of::<Plugin>().build(config, &env.named("auth.user.jwt"))?;
    Ok(Link::new("user", plugin))
}

/// The same with some of it changed; `null` takes a key away.
fn changed(mut config: Value, changes: Value) -> Value {
    merge(&mut config, changes);
    config
}

/// A chain that believes this issuer, by a file of its keys.
fn chain(issuer: &Issuer) -> Chain {
    let folder = std::env::temp_dir().join(format!("jwt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{}.json", issuer.kid));
    std::fs::write(&file, issuer.jwks().to_string()).expect("a file");
    let env = TestEnv::new(&folder, Arc::new(NoTasks)).env;
    let config = changed(
        config(&format!("$file:{}.json", issuer.kid)),
        json!({ "stale_keys": null }),
    );
    Chain::new(vec![link(&env, config).expect("builds")])
}

fn ask(chain: &Chain, authorization: &[&str]) -> (Option<Box<Reply>>, Option<Arc<Principal>>) {
    let mut request = asked(authorization);
    let reply = at_once(request.run(chain));
    (reply, request.facts.principal)
}

fn asked(authorization: &[&str]) -> TestRequest {
    let mut request = TestRequest::new("GET", "/");
    for value in authorization {
        request = request.header("authorization", value);
    }
    request
}

#[test]
fn a_good_token_says_who_is_calling() {
    let issuer = Issuer::new("good", 1);
    let chain = chain(&issuer);
    let token = issuer.token(json!({
        "roles": ["user", "support"],
        "scope": "a:read  a:write",
        "sid": "s1",
        "acr": "mfa",
        "auth_time": NOW - 5,
    }));
    for scheme in ["Bearer", "bearer", "BEARER "] {
        // The second time from memory: the same answer.
        for _ in 0..2 {
            let (reply, who) = ask(&chain, &[&format!("{scheme} {token}")]);
            assert!(reply.is_none(), "{reply:?}");
            let expected = Principal {
                sub: "u1".into(),
                roles: vec!["user".into(), "support".into()],
                scopes: vec!["a:read".into(), "a:write".into()],
                sid: Some("s1".into()),
                acr: Some("mfa".into()),
                auth_time: Some(NOW - 5),
            };
            assert_eq!(who.as_deref(), Some(&expected));
        }
    }
}

#[test]
fn the_proof_says_how_it_is_known() {
    let issuer = Issuer::new("proof", 1);
    let chain = chain(&issuer);
    let token = issuer.token(json!({ "sid": "s1", "tier": "gold" }));
    // The second time from memory.
    for _ in 0..2 {
        let mut request = asked(&[&format!("Bearer {token}")]);
        assert!(at_once(request.run(&chain)).is_none());
        let proof = request.facts.proof.expect("a proof");
        assert_eq!((&*proof.way, proof.form), ("user", Form::Bearer));
        assert_eq!(proof.key.as_deref(), Some("s1"));
        assert_eq!((proof.issued_at, proof.expires_at), (NOW, Some(NOW + 300)));
        assert_eq!(proof.claims["tier"], "gold");
    }
    // What was revoked of somebody takes a token along that does not say when it was issued.
    let token = issuer.token(json!({ "iat": null }));
    let mut request = asked(&[&format!("Bearer {token}")]);
    assert!(at_once(request.run(&chain)).is_none());
    assert_eq!(request.facts.proof.expect("a proof").issued_at, 0);
}

#[test]
fn no_token_is_nobody_and_not_our_refusal() {
    let issuer = Issuer::new("nobody", 1);
    let chain = chain(&issuer);
    for authorization in [&[][..], &["Basic dTpw"], &["Bearer"], &[""]] {
        let (reply, who) = ask(&chain, authorization);
        assert!(reply.is_none() && who.is_none(), "{authorization:?}");
    }
}

#[test]
fn of_two_tokens_none_is_chosen() {
    let issuer = Issuer::new("two", 1);
    let token = format!("Bearer {}", issuer.token(json!({})));
    let (reply, who) = ask(&chain(&issuer), &[&token, &token]);
    let reply = reply.expect("a refusal");
    assert_eq!(
        (reply.status, reply.code()),
        (StatusCode::BAD_REQUEST, "bad_request")
    );
    assert!(who.is_none());
}

#[test]
fn a_bad_token_is_a_401_that_says_so() {
    let issuer = Issuer::new("bad", 1);
    let chain = chain(&issuer);
    let stranger = Issuer::new("bad", 2).token(json!({}));
    let unsigned = issuer.token_headed(json!({ "alg": "none" }));
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    for token in [&stranger, &unsigned, &long] {
        let (reply, who) = ask(&chain, &[&format!("Bearer {token}")]);
        let reply = reply.expect("a refusal");
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (401, "invalid_token")
        );
        assert_eq!(
            reply.headers["www-authenticate"],
            "Bearer error=\"invalid_token\""
        );
        assert!(reply.as_problem().expect("a problem").detail.is_none());
        assert!(who.is_none());
    }
    let expired = issuer.token(json!({ "exp": NOW - 60 }));
    let (reply, _) = ask(&chain, &[&format!("Bearer {expired}")]);
    let reply = reply.expect("a refusal");
    let detail = reply
        .as_problem()
        .and_then(|problem| problem.detail.as_deref());
    assert_eq!(detail, Some("the token has expired"));
}

#[test]
fn a_remembered_token_expires_too() {
    let issuer = Issuer::new("expires", 1);
    let lent = TestEnv::new(std::env::temp_dir(), Arc::new(NoTasks));
    let set = KeySet::parse(issuer.jwks().to_string().into(), &[Alg::EdDSA]).expect("keys");
    let plugin = issuer.trusted_by(config(URL), &lent.env, set);
    let chain = Chain::new(vec![Link::new("user", Arc::new(plugin))]);
    let token = format!("Bearer {}", issuer.token(json!({ "exp": NOW + 300 })));
    for (seconds, good) in [
        (0, true),
        (300, true),
        (29, true),
        (1, false),
        (1_000, false),
    ] {
        lent.clock.advance(Duration::from_secs(seconds));
        assert_eq!(
            ask(&chain, &[&token]).0.is_none(),
            good,
            "after {seconds} more"
        );
    }
}

#[test]
fn memory_compares_the_whole_token() {
    let issuer = Issuer::new("whole", 1);
    let chain = chain(&issuer);
    let token = issuer.token(json!({}));
    assert!(ask(&chain, &[&format!("Bearer {token}")]).0.is_none());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'Q' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        // Refused, or, where the issuer's name has changed, taken by nobody.
        let (_, who) = ask(&chain, &[&format!("Bearer {changed}")]);
        assert!(who.is_none(), "byte {at} changed and believed");
    }
}
