//! What roles grant, and the rules of APIs.

use plugin_sdk::{Rights, Snapshot};

use super::*;

fn known() -> Rights {
    let text = json!({
        "version": 1,
        "roles": { "support": ["users.read"], "admin": ["users.read", "users.edit"] },
        "acl": { "wallets": { "rules": [
            { "methods": ["GET"], "any": [{ "owner": true }, { "permission": "users.edit" }] },
        ]}},
    });
    let snapshot = Snapshot::read(text.to_string().as_bytes()).expect("a snapshot");
    Rights::Known(Arc::new(snapshot))
}

fn supposed(permissions: &[&str]) -> Rights {
    let said = permissions.iter().map(ToString::to_string);
    Rights::Supposed(Some(said.collect()))
}

fn asking(rights: Rights, roles: &[&str]) -> TestRequest {
    let mut request = TestRequest::new("GET", "/v1/wallets/u1").who(caller(roles, &[]));
    request.facts.rights = rights;
    request.facts.params = vec![("user_id".into(), "u1".into())];
    request
}

const AWAY: (u16, &str) = (503, "rights_unavailable");
const NO: (u16, &str) = (403, "forbidden");
const YES: (u16, &str) = (200, "");

#[test]
fn a_permission_is_what_a_role_grants() {
    let config = json!({ "permissions": ["users.edit", "audit.read"] });
    for (rights, roles, verdict) in [
        (known(), &["admin"][..], YES),
        (known(), &["support", "admin"], YES),
        (known(), &["support"], NO),
        // Nobody's role is called like that, and no role is a permission.
        (known(), &["users.edit"], NO),
        (known(), &[], NO),
        (Rights::Unknown, &["admin"], AWAY),
        (supposed(&["audit.read"]), &[], YES),
        (supposed(&["users.read"]), &["admin"], NO),
        (supposed(&[]), &["admin"], NO),
    ] {
        let request = asking(rights.clone(), roles);
        assert_eq!(run(&config, request), verdict, "{rights:?} {roles:?}");
    }
    let mut nobody = TestRequest::new("GET", "/v1/users");
    nobody.facts.rights = known();
    assert_eq!(run(&config, nobody), (401, "unauthenticated"));
}

#[test]
fn whoever_is_refused_anyhow_is_not_told_to_come_again() {
    let both = json!({ "roles": ["admin"], "permissions": ["users.read"] });
    let either = json!({ "any": [{ "owner": "user_id" }, { "permissions": ["users.read"] }] });
    let stranger = |rights| {
        let mut request = asking(rights, &["support"]);
        request.facts.params = vec![("user_id".into(), "u2".into())];
        request
    };
    for (config, request, verdict) in [
        (&both, asking(Rights::Unknown, &["support"]), NO),
        (&both, asking(Rights::Unknown, &["admin"]), AWAY),
        // Who needs no permission is let in while nobody tells who has one.
        (&either, asking(Rights::Unknown, &[]), YES),
        (&either, stranger(Rights::Unknown), AWAY),
        (&either, stranger(known()), YES),
        (&either, stranger(supposed(&[])), NO),
    ] {
        assert_eq!(run(config, request), verdict, "{config}");
    }
}

#[test]
fn an_apis_rules_narrow_what_the_table_lets_in_and_never_widen_it() {
    let alone = json!({ "acl": "wallets", "owner_param": "user_id" });
    let ownerless = json!({ "acl": "wallets" });
    let narrowed = json!({ "acl": "wallets", "owner_param": "user_id", "roles": ["user"] });
    let other = json!({ "acl": "transfers", "owner_param": "user_id", "roles": ["admin"] });
    for (config, rights, roles, verdict) in [
        (&alone, known(), &["user"][..], YES),
        (&ownerless, known(), &["user"], NO),
        (&ownerless, known(), &["admin"], YES),
        (&narrowed, known(), &["user"], YES),
        (&narrowed, known(), &["admin"], NO),
        (&other, known(), &["admin"], NO),
        (&alone, Rights::Unknown, &["user"], AWAY),
        (&narrowed, Rights::Unknown, &["admin"], NO),
    ] {
        let request = asking(rights, roles);
        assert_eq!(run(config, request), verdict, "{config} {roles:?}");
    }
    let mut post = TestRequest::new("POST", "/v1/wallets/u1").who(caller(&["admin"], &[]));
    post.facts.rights = known();
    assert_eq!(run(&ownerless, post), NO);
    let mut nobody = TestRequest::new("GET", "/v1/wallets/u1");
    nobody.facts.rights = known();
    assert_eq!(run(&alone, nobody), (401, "unauthenticated"));
}

/// Whoever only thinks of a request is told what could not be judged.
#[test]
fn what_can_not_be_known_is_taken_down_and_only_that() {
    let config = json!({ "acl": "wallets", "any": [
        { "permissions": ["users.read"] },
        { "roles": ["admin"] },
    ]});
    let permissions = json!({ "permissions": ["users.read"] });
    for (config, rights, roles, verdict, unjudged) in [
        (&permissions, Rights::Supposed(None), &[][..], YES, true),
        (&permissions, supposed(&["users.read"]), &[], YES, false),
        (&permissions, supposed(&[]), &[], NO, false),
        (&config, supposed(&["users.read"]), &[], YES, true),
        (&config, supposed(&[]), &[], NO, false),
        (&config, Rights::Supposed(None), &["admin"], YES, true),
    ] {
        let chain = chain(config.clone()).expect("builds");
        let mut request = asking(rights, roles);
        let reply = at_once(request.run(&chain));
        let found = reply.map_or(YES, |reply| (reply.status.as_u16(), reply.code()));
        assert_eq!(
            (found, request.facts.unjudged),
            (verdict, unjudged),
            "{config}"
        );
    }
}

#[test]
fn what_asks_for_rights_must_make_sense() {
    for (config, at) in [
        (json!({ "permissions": [] }), "permissions"),
        (
            json!({ "any": [{ "permissions": [] }] }),
            "any.0.permissions",
        ),
        (json!({ "acl": "" }), "acl"),
        (json!({ "acl": "a b" }), "acl"),
        (
            json!({ "owner_param": "user_id", "roles": ["a"] }),
            "owner_param",
        ),
    ] {
        let error = chain(config.clone()).err().expect("a refusal");
        assert_eq!(error.at.join("."), at, "{config}");
        assert!(error.hint.is_some(), "{config}");
    }
    // Only what stands beside everything else can narrow it.
    assert!(chain(json!({ "any": [{ "acl": "wallets" }] })).is_err());
}
