//! Roles, and whom they are given to.

use futures::join;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    staff::Person,
    stage::{PASSWORD, Stage},
};

/// Status and code.
#[track_caller]
fn refused(answer: &crate::stage::Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted_by_those_who_have_seen_it() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let made = stage
        .role(&admin, "auditor", &["audit.read", "users.read"])
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let role = json!({"name": "auditor", "description": "For a test", "built_in": false,
        "permissions": ["audit.read", "users.read"]});
    assert_eq!(made.body, role);
    refused(
        &stage.role(&admin, "auditor", &[]).await,
        409,
        "role_exists",
    );
    refused(&stage.role(&admin, "frozen", &[]).await, 409, "role_exists");
    refused(&stage.role(&admin, "Auditor", &[]).await, 400, "bad_body");
    refused(
        &stage.role(&admin, "odd", &["users.rule"]).await,
        400,
        "bad_body",
    );

    let path = "/v1/roles/auditor";
    let (seen, etag) = stage.seen(&admin, path).await;
    assert_eq!(seen.body, role);
    let change = json!({"permissions": ["audit.read"]});
    let blind = stage.ask(&admin, "PATCH", path, change.clone()).await;
    refused(&blind, 428, "precondition_required");
    let changed = stage
        .change(&admin, ("PATCH", path), &etag, change.clone())
        .await;
    assert_eq!(changed.body["permissions"], json!(["audit.read"]));
    let stale = stage.change(&admin, ("PATCH", path), &etag, change).await;
    refused(&stale, 412, "precondition_failed");
    let null = stage
        .change(&admin, ("PATCH", path), &etag, json!({"description": null}))
        .await;
    refused(&null, 400, "bad_body");

    let ann = stage.person("ann", &["auditor", "user"]).await;
    let etag = changed.header("etag").to_owned();
    let held = stage
        .change(&admin, ("DELETE", path), &etag, Value::Null)
        .await;
    refused(&held, 409, "role_in_use");
    assert_eq!(stage.give(&admin, ann.id, &["user"]).await.status, 200);
    let acl = json!({"rules": [{"methods": ["GET"], "any": [{"role": "auditor"}]}]});
    let none = Some(("if-none-match", "*"));
    let ruled = stage
        .call_seen(&admin.who, "PUT", "/v1/acl/wallets", none, acl)
        .await;
    let named = stage
        .change(&admin, ("DELETE", path), &etag, Value::Null)
        .await;
    refused(&named, 409, "role_in_use");
    let etag_of_rules = ruled.header("etag").to_owned();
    let rules = ("PUT", "/v1/acl/wallets");
    stage
        .change(&admin, rules, &etag_of_rules, json!({"rules": []}))
        .await;
    let gone = stage
        .change(&admin, ("DELETE", path), &etag, Value::Null)
        .await;
    assert_eq!(gone.status, 204, "{gone:?}");
    refused(&stage.get_as(&admin.who, path).await, 404, "not_found");

    assert_eq!(
        stage.acts_of(admin.id).await[1..],
        [
            "role.created",
            "role.changed",
            "acl.changed",
            "acl.changed",
            "role.deleted"
        ]
    );
}

#[tokio::test]
async fn what_came_with_the_product_stays_and_admin_keeps_everything() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    for role in ["user", "support", "admin"] {
        let path = format!("/v1/roles/{role}");
        let (_, etag) = stage.seen(&admin, &path).await;
        let gone = stage
            .change(&admin, ("DELETE", &path), &etag, Value::Null)
            .await;
        refused(&gone, 409, "built_in_role");
    }
    let (_, etag) = stage.seen(&admin, "/v1/roles/admin").await;
    let weaker = json!({"permissions": ["users.read"]});
    let weaker = stage
        .change(&admin, ("PATCH", "/v1/roles/admin"), &etag, weaker)
        .await;
    refused(&weaker, 409, "built_in_role");
    let (_, etag) = stage.seen(&admin, "/v1/roles/support").await;
    let other = json!({"permissions": ["users.read"], "description": "Reads"});
    let other = stage
        .change(&admin, ("PATCH", "/v1/roles/support"), &etag, other)
        .await;
    assert_eq!(other.status, 200, "{other:?}");

    let list = stage.get_as(&admin.who, "/v1/roles").await;
    let names = list.body["items"].as_array().expect("a list");
    let names: Vec<&str> = names
        .iter()
        .filter_map(|role| role["name"].as_str())
        .collect();
    assert_eq!(names, ["admin", "support", "user"]);
    let list = stage.get_as(&admin.who, "/v1/permissions").await;
    assert_eq!(list.body["items"][0]["name"], "acl.manage");
}

#[tokio::test]
async fn nobody_hands_on_more_than_they_hold_themselves() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let held = ["roles.assign", "roles.manage", "users.read"];
    assert_eq!(stage.role(&admin, "lead", &held).await.status, 201);
    assert_eq!(
        stage.role(&admin, "reader", &["users.read"]).await.status,
        201
    );
    assert_eq!(
        stage.role(&admin, "mover", &["wallets.read"]).await.status,
        201
    );
    let lead = stage.person("lead", &["lead", "user"]).await;
    let ann = stage.person("ann", &["user"]).await;
    let bob = stage.person("bob", &["mover", "user"]).await;

    // By making roles, and changing them.
    let more = stage
        .role(&lead, "more", &["users.read", "users.delete"])
        .await;
    refused(&more, 403, "above_own_rights");
    assert_eq!(stage.role(&lead, "less", &["users.read"]).await.status, 201);
    let path = "/v1/roles/reader";
    let (_, etag) = stage.seen(&lead, path).await;
    let more = json!({"permissions": ["users.read", "users.delete"]});
    let more = stage.change(&lead, ("PATCH", path), &etag, more).await;
    refused(&more, 403, "above_own_rights");
    let path = "/v1/roles/mover";
    let (_, etag) = stage.seen(&lead, path).await;
    let less = stage
        .change(&lead, ("PATCH", path), &etag, json!({"permissions": []}))
        .await;
    refused(&less, 403, "above_own_rights");

    // By giving and taking them.
    assert_eq!(
        stage.give(&lead, ann.id, &["reader", "user"]).await.status,
        200
    );
    for (to, roles) in [
        (ann.id, &["admin"][..]),
        (ann.id, &["support", "user"]),
        (ann.id, &["mover", "reader", "user"]),
        (bob.id, &["user"]),
        (admin.id, &["user"]),
    ] {
        let path = format!("/v1/users/{to}/roles");
        let (_, etag) = stage.seen(&admin, &path).await;
        let wish = json!({"roles": roles});
        let above = stage.change(&lead, ("PUT", &path), &etag, wish).await;
        refused(&above, 403, "above_own_rights");
    }
    for to in [bob.id, admin.id] {
        let path = format!("/v1/users/{to}/roles");
        refused(
            &stage.get_as(&lead.who, &path).await,
            403,
            "above_own_rights",
        );
    }
    for by in [&lead, &admin] {
        let own = stage.give(by, by.id, &["admin", "user"]).await;
        refused(&own, 403, "own_account");
    }
    refused(
        &stage.give(&lead, ann.id, &["nobody", "user"]).await,
        422,
        "unknown_role",
    );
    refused(
        &stage.give(&lead, ann.id, &["reader"]).await,
        422,
        "bad_roles",
    );
}

#[tokio::test]
async fn other_roles_void_what_was_issued_and_are_in_the_next_token() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    let login = stage.login("ann@example.com", PASSWORD).await;
    let before = login.claims()["perm_ver"].as_i64().expect("a number");
    let head = stage.feed("").await["head"].as_i64().expect("a number");
    assert_eq!(
        stage
            .give(&admin, ann.id, &["support", "user"])
            .await
            .status,
        200
    );
    let feed = stage.feed(&format!("?after={head}")).await;
    assert_eq!(
        (&feed["items"][0]["kind"], &feed["items"][0]["id"]),
        (&json!("subject"), &json!(ann.id.to_string()))
    );
    let refresh = json!({"refresh_token": login.text("refresh_token")});
    let next = stage.post("/v1/auth/refresh", refresh).await.claims();
    assert_eq!(next["roles"], json!(["support", "user"]));
    assert_eq!(next["perm_ver"], before + 1);
    // The same again is no change.
    assert_eq!(
        stage
            .give(&admin, ann.id, &["user", "support"])
            .await
            .status,
        200
    );
    assert_eq!(stage.feed("").await["head"], head + 1);
    let acts = stage.acts_of(ann.id).await;
    assert_eq!(
        acts.iter()
            .filter(|act| *act == "user.roles_changed")
            .count(),
        1
    );
}

/// Active accounts that hold `admin`.
async fn admins(stage: &Stage) -> i64 {
    let sql = "select count(*) from users.account_role join users.account on id = account_id
        where role = 'admin' and standing = 'active'";
    stage.column::<i64>(sql).await[0]
}

#[tokio::test]
async fn of_two_admins_who_demote_each_other_at_once_one_stays() {
    for _ in 0..5 {
        let stage = Stage::start().await;
        let ann = stage.person("ann", &["admin"]).await;
        let bob = stage.person("bob", &["admin"]).await;
        let (one, two) = join!(
            stage.give(&ann, bob.id, &["user"]),
            stage.give(&bob, ann.id, &["user"])
        );
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        // The second is judged behind the first, and holds nothing by then.
        assert_eq!(statuses, [200, 403], "{one:?} {two:?}");
        assert_eq!(admins(&stage).await, 1);
    }
}

#[tokio::test]
async fn the_last_admin_stays_whatever_is_tried() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let chief = stage.chief().await;
    refused(
        &stage.give(&chief, admin.id, &["user"]).await,
        409,
        "last_admin",
    );
    for verb in ["ban", "freeze"] {
        refused(
            &stage.moderate(&chief, admin.id, verb).await,
            409,
            "last_admin",
        );
    }
    let path = format!("/v1/users/{}", admin.id);
    let (_, etag) = stage.seen(&chief, &path).await;
    let gone = stage
        .change(&chief, ("DELETE", &path), &etag, Value::Null)
        .await;
    refused(&gone, 409, "last_admin");

    // One who can't come in is none.
    let other = stage.person("other", &["admin"]).await;
    assert_eq!(stage.moderate(&chief, other.id, "ban").await.status, 200);
    refused(
        &stage.give(&chief, admin.id, &["user"]).await,
        409,
        "last_admin",
    );
    assert_eq!(stage.moderate(&chief, other.id, "unban").await.status, 200);
    assert_eq!(stage.give(&chief, admin.id, &["user"]).await.status, 200);

    // Two at once, each of whom would leave the other.
    let third = stage.person("third", &["admin"]).await;
    let (one, two) = join!(
        stage.moderate(&chief, other.id, "ban"),
        stage.moderate(&chief, third.id, "freeze")
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
    assert_eq!(admins(&stage).await, 1);
}

#[tokio::test]
async fn a_role_opens_what_its_permissions_say_from_the_moment_it_is_changed() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    assert_eq!(stage.role(&admin, "reader", &[]).await.status, 201);
    let ann = stage.person("ann", &["reader", "user"]).await;
    refused(&stage.get_as(&ann.who, "/v1/users").await, 403, "forbidden");
    let (_, etag) = stage.seen(&admin, "/v1/roles/reader").await;
    let more = json!({"permissions": ["users.read"]});
    let more = stage
        .change(&admin, ("PATCH", "/v1/roles/reader"), &etag, more)
        .await;
    assert_eq!(more.status, 200);
    assert_eq!(stage.get_as(&ann.who, "/v1/users").await.status, 200);

    // A key speaks for its owner with scopes, and holds no role of theirs.
    let key = identity::Principal {
        sub: admin.id.to_string(),
        scopes: vec!["profile:read".to_owned()],
        ..identity::Principal::default()
    };
    refused(&stage.get_as(&key, "/v1/users").await, 403, "forbidden");
    refused(&stage.get_as(&key, "/v1/roles").await, 403, "forbidden");
}

#[tokio::test]
async fn rights_are_changed_by_those_alone_who_have_proven_themselves_a_moment_ago() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    stage.advance_secs(6 * 60);
    let stale = stage.role(&admin, "auditor", &[]).await;
    refused(&stale, 403, "second_factor_required");
    assert!(
        stale
            .header("www-authenticate")
            .contains("insufficient_user_authentication")
    );
    refused(
        &stage.give(&admin, ann.id, &["user"]).await,
        403,
        "second_factor_required",
    );
    refused(
        &stage.moderate(&admin, ann.id, "ban").await,
        403,
        "second_factor_required",
    );
    let nobody = Person {
        id: Uuid::now_v7(),
        who: admin.who.clone(),
    };
    let none = stage
        .get_as(&admin.who, &format!("/v1/users/{}/roles", nobody.id))
        .await;
    refused(&none, 404, "not_found");
}
