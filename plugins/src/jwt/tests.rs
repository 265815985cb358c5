use plugin_sdk::testing::{NoTasks, TestEnv, TestRequest, at_once};
use plugin_sdk::{Chain, Kind, Link};
use serde_json::{Value, json};

use super::*;

mod issuer;
mod refreshing;
mod vectors;

use issuer::{Issuer, NOW};

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
    let plugin = Kind::of::<Plugin>().build(config, env)?;
    Ok(Link::new("user", plugin))
}

/// A chain that believes this issuer, by a file of its keys.
fn chain(issuer: &Issuer) -> Chain {
    let folder = std::env::temp_dir().join(format!("jwt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{}.json", issuer.kid));
    std::fs::write(&file, issuer.jwks().to_string()).expect("a file");
    let env = TestEnv::new(&folder, Arc::new(NoTasks)).env;
    let config = config(&format!("$file:{}.json", issuer.kid));
    Chain::new(vec![link(&env, config).expect("builds")])
}

fn ask(chain: &Chain, authorization: &[&str]) -> (Option<Box<Reply>>, Option<Arc<Principal>>) {
    let mut request = TestRequest::new("GET", "/");
    for value in authorization {
        request = request.header("authorization", value);
    }
    let reply = at_once(request.run(chain));
    (reply, request.facts.principal)
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
    for token in ["x", "a.b.c", &stranger] {
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
    let plugin = issuer.trusted_by(lent.env.clone(), set);
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
        let (reply, who) = ask(&chain, &[&format!("Bearer {changed}")]);
        assert!(
            reply.is_some() && who.is_none(),
            "byte {at} changed and believed"
        );
    }
}

#[test]
fn a_configuration_that_can_do_no_good_is_refused() {
    for (change, at) in [
        (json!({ "algs": [] }), "algs"),
        (json!({ "algs": ["HS256"] }), "algs.0"),
        (json!({ "algs": ["none"] }), "algs.0"),
        (json!({ "issuer": "" }), "issuer"),
        (json!({ "audience": "" }), "audience"),
        (json!({ "jwks": "keys.json" }), "jwks"),
        (json!({ "jwks": "$file:not/there.json" }), "jwks"),
        (json!({ "leeway": "3m" }), "leeway"),
        (json!({ "refresh": "10ms" }), "refresh"),
        (json!({ "stale_keys": "1m" }), "stale_keys"),
    ] {
        let mut config = config(URL);
        for (key, value) in change.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let error = link(&TestEnv::default().env, config).err().expect(at);
        assert_eq!(error.at.join("."), at, "{error}");
    }
}
