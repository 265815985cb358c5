//! The rules of APIs, and decisions by them.

use futures::join;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::Stage;

const PATH: &str = "/v1/acl/wallets";

fn rules() -> Value {
    json!({"rules": [
        {"methods": ["GET"], "any": [{"role": "support"}, {"permission": "wallets.read"}, {"owner": true}]},
        {"methods": ["POST"], "any": [{"owner": true}]},
    ]})
}

#[tokio::test]
async fn rules_are_changed_by_those_who_have_seen_them() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let none = stage.get_as(&admin.who, PATH).await;
    assert_eq!(none.status, 404);
    let blind = stage.ask(&admin, "PUT", PATH, rules()).await;
    assert_eq!((blind.status, blind.code()), (428, "precondition_required"));
    let new = Some(("if-none-match", "*"));
    let made = stage.call_seen(&admin.who, "PUT", PATH, new, rules()).await;
    assert_eq!((made.status, &made.body), (200, &rules()));
    let twice = stage.call_seen(&admin.who, "PUT", PATH, new, rules()).await;
    assert_eq!(twice.status, 412);
    let (seen, etag) = stage.seen(&admin, PATH).await;
    assert_eq!(seen.body, rules());
    assert_eq!(made.header("etag"), etag);

    for (wrong, code) in [
        (
            json!({"rules": [{"methods": ["GET"], "any": [{"role": "nobody"}]}]}),
            "unknown_role",
        ),
        (
            json!({"rules": [{"methods": [], "any": [{"owner": true}]}]}),
            "bad_rules",
        ),
        (
            json!({"rules": [{"methods": ["GET"], "any": []}]}),
            "bad_rules",
        ),
        (
            json!({"rules": [{"methods": ["GET"], "any": [{"owner": false}]}]}),
            "bad_rules",
        ),
    ] {
        let answer = stage.change(&admin, ("PUT", PATH), &etag, wrong).await;
        assert_eq!((answer.status, answer.code()), (422, code));
    }
    for wrong in [
        json!({"rules": [{"methods": ["GET"], "any": [{"moon": "full"}]}]}),
        json!({"rules": [{"methods": ["LOOK"], "any": [{"owner": true}]}]}),
        json!({"rules": [{"methods": ["GET"], "any": [{"permission": "wallets.rule"}]}]}),
    ] {
        let answer = stage.change(&admin, ("PUT", PATH), &etag, wrong).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_body"));
    }
    let known = stage.get_by_gateway("/internal/v1/authz").await;
    assert_eq!(known.body["acl"], json!({"wallets": rules()}));
}

#[tokio::test]
async fn nobody_opens_or_shuts_a_door_that_they_cannot_pass() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let made = stage.role(&admin, "clerk", &["acl.manage"]).await;
    assert_eq!(made.status, 201, "{made:?}");
    let clerk = stage.person("clerk", &["clerk", "support"]).await;
    stage.rights_changed().await;
    let new = Some(("if-none-match", "*"));
    let begun = stage.call_seen(&clerk.who, "PUT", PATH, new, rules()).await;
    assert_eq!((begun.status, begun.code()), (403, "forbidden"));
    let made = stage.call_seen(&admin.who, "PUT", PATH, new, rules()).await;
    assert_eq!(made.status, 200);
    let (_, etag) = stage.seen(&clerk, PATH).await;
    let for_all = json!([{"role": "support"}, {"permission": "wallets.read"}, {"owner": true}, {"role": "user"}]);
    let theirs = json!({"rules": [
        {"methods": ["GET"], "any": for_all},
        {"methods": ["POST"], "any": [{"owner": true}]},
    ]});
    // They may post to what is theirs alone.
    let widened = json!({"rules": [{"methods": ["GET", "POST"], "any": for_all}]});
    let narrowed = json!({"rules": [{"methods": ["GET"], "any": for_all}]});
    for wish in [widened, narrowed] {
        let answer = stage.change(&clerk, ("PUT", PATH), &etag, wish).await;
        assert_eq!((answer.status, answer.code()), (403, "above_own_rights"));
    }
    let answer = stage.change(&clerk, ("PUT", PATH), &etag, theirs).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn questions_are_decided_one_by_one() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let new = Some(("if-none-match", "*"));
    stage.call_seen(&admin.who, "PUT", PATH, new, rules()).await;
    let support = stage.person("support", &["support"]).await;
    let ann = stage.person("ann", &["user"]).await;
    let bob = stage.person("bob", &["user"]).await;
    assert_eq!(stage.moderate(&admin, bob.id, "freeze").await.status, 200);
    let wallets = |user: Uuid, method: &str, owner: Uuid| json!({"user_id": user, "api": "wallets", "method": method, "owner_id": owner});
    let checks = json!({"checks": [
        {"user_id": admin.id, "permission": "users.delete"},
        {"user_id": support.id, "permission": "users.delete"},
        wallets(support.id, "GET", ann.id),
        wallets(support.id, "POST", ann.id),
        wallets(admin.id, "GET", ann.id),
        wallets(ann.id, "POST", ann.id),
        wallets(ann.id, "GET", bob.id),
        wallets(bob.id, "GET", bob.id),
        wallets(bob.id, "POST", bob.id),
        wallets(Uuid::nil(), "GET", Uuid::nil()),
    ]});
    let answer = stage
        .ask(&admin, "POST", "/v1/authz/check", checks.clone())
        .await;
    let why: Vec<&str> = answer.body["results"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|result| result["why"].as_str().expect("a word"))
        .collect();
    assert_eq!(
        why,
        [
            "permission:users.delete",
            "not_allowed",
            "role:support",
            "not_allowed",
            "permission:wallets.read",
            "owner",
            "not_allowed",
            "owner",
            "not_allowed",
            "no_such_user"
        ]
    );
    for result in answer.body["results"].as_array().expect("a list") {
        let allowed =
            !["not_allowed", "no_such_user"].contains(&result["why"].as_str().expect("a word"));
        assert_eq!(result["allowed"], allowed);
    }
    let by_gateway = stage
        .ask_by_gateway("/v1/authz/check", checks.clone())
        .await;
    assert_eq!(by_gateway.body, answer.body);

    // About oneself anybody may ask, about others not.
    let own = json!({"checks": [{"permission": "users.read"}, wallets(ann.id, "GET", ann.id)]});
    let own = stage.ask(&ann, "POST", "/v1/authz/check", own).await;
    assert_eq!(own.body["results"][0]["allowed"], false);
    assert_eq!(own.body["results"][1]["allowed"], true);
    let others = stage.ask(&ann, "POST", "/v1/authz/check", checks).await;
    assert_eq!((others.status, others.code()), (403, "forbidden"));
    let many: Vec<Value> = (0..101)
        .map(|_| json!({"permission": "users.read"}))
        .collect();
    for odd in [
        json!({"checks": []}),
        json!({"checks": many}),
        json!({"checks": [{}]}),
        json!({"checks": [{"api": "wallets"}]}),
        json!({"checks": [{"permission": "users.read", "api": "wallets", "method": "GET"}]}),
    ] {
        let answer = stage.ask(&ann, "POST", "/v1/authz/check", odd).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_request"));
    }
}

#[tokio::test]
async fn a_service_reads_all_that_is_decided_by_and_waits_for_news() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let path = "/v1/authz/snapshot";
    let (first, etag) = stage.seen(&admin, path).await;
    assert_eq!(first.body["roles"]["user"], json!([]));
    let known = Some(("if-none-match", etag.as_str()));
    let same = stage
        .call_seen(&admin.who, "GET", path, known, Value::Null)
        .await;
    assert_eq!((same.status, same.header("etag")), (304, etag.as_str()));
    let waiting = format!("{path}?wait=4");
    let (news, made) = join!(
        stage.call_seen(&admin.who, "GET", &waiting, known, Value::Null),
        stage.role(&admin, "reader", &["users.read"])
    );
    assert_eq!(made.status, 201);
    assert_eq!(news.body["roles"]["reader"], json!(["users.read"]));
    let ann = stage.person("ann", &["user"]).await;
    let refused = stage.get_as(&ann.who, path).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
}
