use std::time::Duration;

use http::StatusCode;
use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
use plugin_sdk::{Principal, Proof};
use serde_json::{Value, json};

use super::*;

mod rights;

fn chain(config: Value) -> Result<plugin_sdk::Chain, BuildError> {
    testing::chain::<Plugin>(config, &TestEnv::default().env)
}

fn caller(roles: &[&str], scopes: &[&str]) -> Principal {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Principal {
        sub: "u1".into(),
        roles: owned(roles),
        scopes: owned(scopes),
        ..Principal::default()
    }
}

/// The status that a caller of these roles and scopes gets; 200 when let in.
fn check(config: &Value, roles: &[&str], scopes: &[&str]) -> u16 {
    let chain = chain(config.clone()).expect("builds");
    let mut request = TestRequest::new("GET", "/").who(caller(roles, scopes));
    at_once(request.run(&chain)).map_or(200, |reply| reply.status.as_u16())
}

#[test]
fn any_of_a_list_and_all_of_the_keys() {
    let roles = json!({ "roles": ["user", "support"] });
    let both = json!({ "roles": ["user"], "scopes": ["a", "b"] });
    for (config, held_roles, held_scopes, status) in [
        (&roles, &["support"][..], &[][..], 200),
        (&roles, &["admin", "user"], &[], 200),
        (&roles, &["admin"], &["user"], 403),
        (&roles, &["User"], &[], 403),
        (&roles, &[], &[], 403),
        (&both, &["user"], &["b"], 200),
        (&both, &["user"], &[], 403),
        (&both, &[], &["a", "b"], 403),
    ] {
        assert_eq!(
            check(config, held_roles, held_scopes),
            status,
            "{held_roles:?} {held_scopes:?}"
        );
    }
}

#[test]
fn an_unknown_caller_is_asked_who_they_are() {
    let chain = chain(json!({ "roles": ["user"] })).expect("builds");
    let reply = at_once(TestRequest::new("GET", "/").run(&chain)).expect("a refusal");
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.code(), "unauthenticated");
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
}

#[test]
fn a_refusal_does_not_say_what_would_have_sufficed() {
    let chain = chain(json!({ "roles": ["treasurer"] })).expect("builds");
    let mut request = TestRequest::new("GET", "/").who(caller(&[], &[]));
    let reply = at_once(request.run(&chain)).expect("a refusal");
    let (headers, body) = reply.render("r1");
    let said = format!("{headers:?} {body:?}");
    assert!(!said.contains("treasurer"), "{said}");
}

#[test]
fn an_empty_list_is_no_list() {
    for (config, at) in [
        (json!({ "roles": [] }), &["roles"][..]),
        (json!({ "roles": ["user"], "scopes": [] }), &["scopes"]),
        (json!({}), &[]),
    ] {
        let error = chain(config).err().expect("a refusal");
        assert_eq!(error.at, at);
        assert!(error.hint.is_some());
    }
}

fn run(config: &Value, request: TestRequest) -> (u16, &'static str) {
    let chain = chain(config.clone()).expect("builds");
    let mut request = request;
    match at_once(request.run(&chain)) {
        None => (200, ""),
        Some(reply) => (reply.status.as_u16(), reply.code()),
    }
}

/// 2026-01-01T00:00:00Z, where the stopped clock stands.
const NOW: i64 = 1_767_225_600;

fn proven(acr: Option<&str>, ago: Option<i64>) -> TestRequest {
    TestRequest::new("POST", "/v1/transfers").who(Principal {
        sub: "u1".into(),
        acr: acr.map(Into::into),
        auth_time: ago.map(|ago| NOW - ago),
        ..Principal::default()
    })
}

/// Security case 31.
#[test]
fn gateway_31_a_second_factor_must_be_there_and_fresh() {
    let config = json!({ "second_factor_within": "5m" });
    let step_up = (403, "second_factor_required");
    for (acr, ago, verdict) in [
        (Some("mfa"), Some(0), (200, "")),
        (Some("mfa"), Some(300), (200, "")),
        (Some("mfa"), Some(301), step_up),
        (Some("mfa"), Some(-1), step_up),
        (Some("mfa"), Some(i64::MAX), step_up),
        (Some("mfa"), None, step_up),
        (Some("pwd"), Some(0), step_up),
        (Some("MFA"), Some(0), step_up),
        (None, Some(0), step_up),
    ] {
        let request = match ago {
            // An absurd time must not wrap around into a good one.
            Some(i64::MAX) => TestRequest::new("POST", "/").who(Principal {
                acr: acr.map(Into::into),
                auth_time: Some(i64::MIN),
                ..Principal::default()
            }),
            ago => proven(acr, ago),
        };
        assert_eq!(run(&config, request), verdict, "{acr:?} {ago:?}");
    }
    let nobody = TestRequest::new("POST", "/v1/transfers");
    assert_eq!(run(&config, nobody), (401, "unauthenticated"));
}

#[test]
fn a_step_up_says_what_to_come_back_with() {
    let config = json!({ "acr": ["mfa", "hwk"], "second_factor_within": "5m" });
    let chain = chain(config).expect("builds");
    let reply = at_once(proven(Some("pwd"), Some(0)).run(&chain)).expect("a refusal");
    assert_eq!(
        reply.headers["www-authenticate"],
        "Bearer error=\"insufficient_user_authentication\", acr_values=\"mfa hwk\", max_age=\"300\""
    );
}

#[test]
fn an_owner_is_the_caller_named_by_the_path() {
    let config = json!({ "owner": "user_id" });
    for (sub, param, value, status) in [
        ("u1", "user_id", "u1", 200),
        ("u1", "user_id", "u2", 403),
        ("u1", "user_id", "U1", 403),
        ("u1", "other", "u1", 403),
        ("", "user_id", "u1", 403),
    ] {
        let mut request = TestRequest::new("GET", "/v1/users/x").who(Principal {
            sub: sub.into(),
            ..Principal::default()
        });
        request.facts.params = vec![(param.into(), value.into())];
        assert_eq!(run(&config, request).0, status, "{sub} {param} {value}");
    }
}

#[test]
fn claims_are_compared_whole_in_lists_and_in_depth() {
    let said = json!({
        "tenant": "acme",
        "groups": ["staff", "money"],
        "org": { "id": 7, "names": { "short": "a" } },
        "a.b": "dotted",
        "verified": true,
        "nothing": null,
    });
    for (claims, status) in [
        (json!({ "tenant": "acme" }), 200),
        (json!({ "tenant": ["other", "acme"] }), 200),
        (json!({ "tenant": "acm" }), 403),
        (json!({ "groups": "money" }), 200),
        (json!({ "groups": "mone" }), 403),
        (json!({ "org.id": "7" }), 200),
        (json!({ "org.names.short": "a" }), 200),
        (json!({ "org.names": "a" }), 403),
        (json!({ "a.b": "dotted" }), 200),
        (json!({ "verified": "true" }), 200),
        (json!({ "nothing": "null" }), 403),
        (json!({ "missing": "x" }), 403),
        (json!({ "tenant": "acme", "groups": "nobody" }), 403),
    ] {
        let proof = Proof {
            claims: said.as_object().cloned().expect("an object"),
            ..testing::proof()
        };
        let request = TestRequest::new("GET", "/")
            .who(Principal::default())
            .proof(proof);
        assert_eq!(
            run(&json!({ "claims": claims }), request).0,
            status,
            "{claims}"
        );
    }
}

#[test]
fn a_place_needs_nobody_and_a_wrong_one_nothing_else() {
    let place = json!({ "ips": ["10.0.0.0/8", "2001:db8::/32"] });
    let both = json!({ "ips": ["10.0.0.0/8"], "roles": ["admin"] });
    for (config, from, roles, status) in [
        (&place, "10.1.2.3", None, 200),
        (&place, "2001:db8::1", None, 200),
        (&place, "::ffff:10.1.2.3", None, 200),
        (&place, "11.0.0.1", None, 403),
        (&both, "10.1.2.3", Some("admin"), 200),
        (&both, "10.1.2.3", Some("user"), 403),
        (&both, "10.1.2.3", None, 401),
        (&both, "11.0.0.1", Some("admin"), 403),
        (&both, "11.0.0.1", None, 403),
    ] {
        let mut request = TestRequest::new("GET", "/").from(from);
        if let Some(role) = roles {
            request = request.who(caller(&[role], &[]));
        }
        assert_eq!(run(config, request).0, status, "{from} {roles:?}");
    }
}

#[test]
fn one_of_several_demands_is_enough_and_the_nearest_miss_is_told() {
    let config = json!({ "any": [
        { "owner": "id" },
        { "roles": ["support"], "second_factor_within": "5m" },
    ]});
    let asked = |roles: &[&str], sub: &str| {
        let mut request = TestRequest::new("GET", "/").who(Principal {
            sub: sub.into(),
            ..caller(roles, &[])
        });
        request.facts.params = vec![("id".into(), "u1".into())];
        run(&config, request)
    };
    assert_eq!(asked(&[], "u1"), (200, ""));
    assert_eq!(asked(&[], "u2"), (403, "forbidden"));
    assert_eq!(asked(&["support"], "u2"), (403, "second_factor_required"));
    let nobody = TestRequest::new("GET", "/");
    assert_eq!(run(&config, nobody), (401, "unauthenticated"));
    // What stands beside `any` must hold as well.
    let config = json!({ "scopes": ["a"], "any": [{ "roles": ["x"] }, { "roles": ["y"] }] });
    for (roles, scopes, status) in [
        (&["y"][..], &["a"][..], 200),
        (&["y"], &[], 403),
        (&["z"], &["a"], 403),
    ] {
        let request = TestRequest::new("GET", "/").who(caller(roles, scopes));
        assert_eq!(run(&config, request).0, status, "{roles:?} {scopes:?}");
    }
}

#[test]
fn what_can_not_be_meant_is_refused() {
    for (config, at) in [
        (json!({ "claims": { "tenant": [] } }), "claims.tenant"),
        (
            json!({ "second_factor_within": "0s" }),
            "second_factor_within",
        ),
        (json!({ "ips": ["10.0.0.1/8"] }), "ips.0"),
        (json!({ "ips": [] }), "ips"),
        (json!({ "acr": ["a b"] }), "acr"),
        (json!({ "any": [] }), "any"),
        (json!({ "any": [{ "owner": "id" }, {}] }), "any.1"),
        (json!({ "any": [{ "ips": ["x"] }] }), "any.0.ips.0"),
    ] {
        let error = chain(config.clone()).err().expect("a refusal");
        assert_eq!(error.at.join("."), at, "{config}");
        assert!(error.hint.is_some(), "{config}");
    }
}

#[test]
fn a_second_factor_grows_old() {
    let lent = TestEnv::default();
    let config = json!({ "second_factor_within": "5m" });
    let chain = testing::chain::<Plugin>(config, &lent.env).expect("builds");
    let mut request = proven(Some("mfa"), Some(0));
    assert!(at_once(request.run(&chain)).is_none());
    lent.clock.advance(Duration::from_secs(301));
    assert!(at_once(request.run(&chain)).is_some());
}
