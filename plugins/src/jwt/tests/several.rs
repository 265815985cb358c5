//! Several issuers on one route, and issuers that write their tokens in ways of their own.

use super::*;

/// A way that believes another issuer, by a file of its keys.
fn way(name: &'static str, issuer: &Issuer, changes: Value) -> Link {
    let lent = TestEnv::default();
    let set = KeySet::parse(issuer.jwks().to_string().into(), &[Alg::EdDSA]).expect("keys");
    let config = changed(config(URL), changes);
    Link::new(name, Arc::new(issuer.trusted_by(config, &lent.env, set)))
}

/// Who is known, whether something came that nobody took, and the refusal.
fn outcome(chain: &Chain, token: &str) -> (Option<String>, bool, Option<&'static str>) {
    let mut request = asked(&[&format!("Bearer {token}")]);
    let code = at_once(request.run(chain)).map(|reply| reply.code());
    let facts = request.facts;
    (
        facts.principal.map(|who| who.sub.clone()),
        facts.unclaimed,
        code,
    )
}

const OTHER: &str = "https://other.test";

#[test]
fn each_way_judges_its_own_issuers_tokens() {
    let (ours, theirs) = (Issuer::new("ours", 1), Issuer::new("theirs", 2));
    let prefix = json!({ "issuer": OTHER, "claims": { "sub_prefix": "other:" } });
    for turned in [false, true] {
        let mut links = vec![
            way("ours", &ours, json!({})),
            way("theirs", &theirs, prefix.clone()),
        ];
        if turned {
            links.reverse();
        }
        let chain = Chain::new(links);
        let of_other = json!({ "iss": OTHER });
        let (known, _, refused) = outcome(&chain, &ours.token(json!({})));
        assert_eq!((known.as_deref(), refused), (Some("u1"), None));
        // The same name with another issuer is somebody else.
        let (known, _, refused) = outcome(&chain, &theirs.token(of_other.clone()));
        assert_eq!((known.as_deref(), refused), (Some("other:u1"), None));
        // Whoever's name a token bears judges it: by that issuer's keys and no other's.
        for forged in [ours.token(of_other.clone()), theirs.token(json!({}))] {
            assert_eq!(outcome(&chain, &forged).2, Some("invalid_token"));
        }
        // A third issuer's is nobody's to judge, and the route refuses it.
        let third = ours.token(json!({ "iss": "https://third.test" }));
        assert_eq!(outcome(&chain, &third), (None, true, None));
    }
}

#[test]
fn what_cannot_be_read_is_taken_by_nobody() {
    let issuer = Issuer::new("k", 1);
    let chain = Chain::new(vec![way("user", &issuer, json!({}))]);
    let twice = issuer.claims(json!({})).to_string();
    let twice = twice.replacen('{', &format!("{{\"iss\":\"{ISSUER}\","), 1);
    for token in [
        "x",
        "a.b.c",
        "8xLOxBtZp8",
        &issuer.sign(&issuer.header().to_string(), &twice),
        &issuer.token(json!({ "iss": null })),
        &issuer.token(json!({ "iss": [ISSUER] })),
    ] {
        assert_eq!(outcome(&chain, token), (None, true, None), "{token}");
    }
}

#[test]
fn a_foreign_token_needs_none_of_our_keys() {
    let issuer = Issuer::new("k", 1);
    let lent = TestEnv::default();
    // Keys that were never fetched.
    let chain = Chain::new(vec![link(&lent.env, config(URL)).expect("builds")]);
    let token = issuer.token(json!({ "iss": OTHER }));
    assert_eq!(outcome(&chain, &token), (None, true, None));
}

/// What Keycloak, Auth0 and Entra put into their tokens.
#[test]
fn claims_are_found_where_the_table_says() {
    let issuer = Issuer::new("k", 1);
    let token = |claims: Value| {
        let header = changed(issuer.header(), json!({ "typ": "JWT" }));
        issuer.sign(&header.to_string(), &issuer.claims(claims).to_string())
    };
    let check = |changes: Value, claims: Value, roles: &[&str], scopes: &[&str]| {
        let changes = changed(changes, json!({ "typ": ["at+jwt", "JWT"] }));
        let chain = Chain::new(vec![way("user", &issuer, changes)]);
        let (reply, who) = ask(&chain, &[&format!("Bearer {}", token(claims))]);
        assert!(reply.is_none(), "{reply:?}");
        let who = who.expect("somebody");
        assert_eq!(
            (&who.roles[..], &who.scopes[..]),
            (&own(roles)[..], &own(scopes)[..])
        );
    };
    let keycloak = json!({
        "typ": "Bearer", "azp": "web", "realm_access": { "roles": ["admin", "user"] },
        "resource_access": { "my.api": { "roles": ["writer"] } }, "scope": "openid profile",
    });
    let by = |roles: Value| json!({ "claims": { "roles": roles } });
    check(
        by(json!("realm_access.roles")),
        keycloak.clone(),
        &["admin", "user"],
        &["openid", "profile"],
    );
    check(
        by(json!(["resource_access", "my.api", "roles"])),
        keycloak.clone(),
        &["writer"],
        &["openid", "profile"],
    );
    check(
        by(json!("realm_access.roles.0")),
        keycloak.clone(),
        &[],
        &["openid", "profile"],
    );
    check(
        json!({ "clients": ["web"] }),
        keycloak,
        &[],
        &["openid", "profile"],
    );
    let auth0 = json!({ "https://example.com/roles": ["editor"], "permissions": ["a:read"] });
    let paths = json!({ "roles": "https://example.com/roles", "scopes": "permissions" });
    check(json!({ "claims": paths }), auth0, &["editor"], &["a:read"]);
    let entra = json!({ "scp": "user_impersonation", "roles": ["Task.Read"], "appid": "x" });
    check(json!({}), entra, &["Task.Read"], &["user_impersonation"]);
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Security case 24: what the same issuer signs with the same keys for other ends.
#[test]
fn gateway_24_no_other_token_of_the_issuers_will_do() {
    let issuer = Issuer::new("k", 1);
    let strict = Chain::new(vec![way("user", &issuer, json!({}))]);
    let lax = way(
        "user",
        &issuer,
        json!({ "typ": ["at+jwt", "JWT", "absent"] }),
    );
    let lax = Chain::new(vec![lax]);
    for (header, claims, allowed) in [
        (json!({ "typ": "JWT" }), json!({}), true),
        (json!({ "typ": null }), json!({}), true),
        (
            json!({ "typ": "JWT" }),
            json!({ "typ": "Bearer", "token_use": "access" }),
            true,
        ),
        (json!({ "typ": "JWT" }), json!({ "typ": "ID" }), false),
        (json!({ "typ": "JWT" }), json!({ "typ": "Refresh" }), false),
        (json!({ "typ": "JWT" }), json!({ "typ": "Offline" }), false),
        (json!({ "typ": "JWT" }), json!({ "typ": ["Bearer"] }), false),
        (json!({ "typ": "JWT" }), json!({ "token_use": "id" }), false),
        (json!({ "typ": "JWT" }), json!({ "at_hash": "x" }), false),
        (
            json!({ "typ": "JWT" }),
            json!({ "c_hash": "x", "nonce": "n" }),
            false,
        ),
        (json!({ "typ": "logout+jwt" }), json!({}), false),
        (json!({ "typ": "JWT" }), json!({ "events": {} }), false),
    ] {
        let header = changed(issuer.header(), header);
        let token = issuer.sign(
            &header.to_string(),
            &issuer.claims(claims.clone()).to_string(),
        );
        let code = outcome(&lax, &token).2;
        assert_eq!(code.is_none(), allowed, "{header} {claims}");
        assert_eq!(
            outcome(&strict, &token).2,
            Some("invalid_token"),
            "{header} {claims}"
        );
    }
}

#[test]
fn only_the_named_clients_tokens_are_taken() {
    let issuer = Issuer::new("k", 1);
    let chain = Chain::new(vec![way(
        "user",
        &issuer,
        json!({ "clients": ["web", "app"] }),
    )]);
    for (claims, good) in [
        (json!({ "client_id": "web" }), true),
        (json!({ "azp": "app" }), true),
        (json!({ "client_id": "web", "azp": "web" }), true),
        (json!({ "client_id": "web", "azp": "evil" }), false),
        (json!({ "client_id": "evil" }), false),
        (json!({ "client_id": ["web"] }), false),
        (json!({}), false),
    ] {
        let code = outcome(&chain, &issuer.token(claims.clone())).2;
        assert_eq!(code.is_none(), good, "{claims}");
    }
}

/// RFC 8705 §3: a token that is bound to a certificate is of no use without it.
#[test]
fn a_bound_token_needs_its_key() {
    let issuer = Issuer::new("k", 1);
    let chain = Chain::new(vec![way("user", &issuer, json!({}))]);
    let certificate = bytes::Bytes::from_static(b"a certificate");
    let thumbprint = "gazXYhQPppKhQoItL75NxvVLyqUB9oqzflru0Lr-TZk";
    let ask = |bound: Value, shown: Option<&bytes::Bytes>| {
        let mut request = asked(&[&format!("Bearer {}", issuer.token(json!({ "cnf": bound })))]);
        request.connection.certificate = shown.cloned();
        at_once(request.run(&chain)).is_none()
    };
    let bound = json!({ "x5t#S256": thumbprint });
    // The second time from memory: whoever else shows the token then is refused too.
    for _ in 0..2 {
        assert!(ask(bound.clone(), Some(&certificate)));
        assert!(!ask(bound.clone(), None));
        assert!(!ask(
            bound.clone(),
            Some(&bytes::Bytes::from_static(b"another"))
        ));
    }
    for unknown in [
        json!({ "jkt": "x" }),
        json!({ "x5t#S256": thumbprint, "jkt": "x" }),
        json!({}),
        json!("x"),
    ] {
        assert!(!ask(unknown.clone(), Some(&certificate)), "{unknown}");
    }
}
