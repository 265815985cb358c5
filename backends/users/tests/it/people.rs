//! Accounts, as those see and change them who run the place.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    staff::Person,
    stage::{Answer, Stage},
};

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
}

/// The ids of a list's page.
fn ids(answer: &Answer) -> Vec<Uuid> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.body["items"].as_array().expect("a list");
    let id = |item: &Value| {
        item["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id")
    };
    items.iter().map(id).collect()
}

async fn found(stage: &Stage, by: &Person, query: &str) -> Vec<Uuid> {
    ids(&stage.get_as(&by.who, &format!("/v1/users{query}")).await)
}

#[tokio::test]
async fn people_are_found_by_what_is_known_of_them() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let begun = stage.now_text();
    stage.advance_secs(60);
    let later = stage.now_text();
    let ann = stage.person("ann", &["user"]).await;
    let bob = stage.person("bob", &["support"]).await;
    let eve = stage.person("eve", &["user"]).await;
    assert_eq!(stage.moderate(&admin, eve.id, "ban").await.status, 200);
    assert_eq!(stage.moderate(&admin, ann.id, "verify").await.status, 200);
    let newest = [eve.id, bob.id, ann.id, admin.id];
    for (query, whom) in [
        (String::new(), &newest[..]),
        (
            "?sort=created".to_owned(),
            &[admin.id, ann.id, bob.id, eve.id],
        ),
        ("?standing=banned".to_owned(), &[eve.id]),
        ("?standing=active&role=user".to_owned(), &[ann.id]),
        ("?role=support".to_owned(), &[bob.id]),
        ("?verified=true".to_owned(), &[ann.id]),
        ("?verified=false&role=user".to_owned(), &[eve.id]),
        (format!("?created_from={later}"), &newest[..3]),
        (
            format!("?created_from={begun}&created_to={later}"),
            &[admin.id],
        ),
        ("?email=BOB@example.com".to_owned(), &[bob.id]),
        ("?email=bo@example.com".to_owned(), &[]),
        ("?phone=%2B4915112345678".to_owned(), &[]),
        (format!("?id={}", ann.id), &[ann.id]),
    ] {
        assert_eq!(found(&stage, &admin, &query).await, whom, "{query}");
    }
    for odd in [
        "?sort=email",
        "?sort=created_at;drop",
        "?standing=away",
        "?email=ann",
        "?phone=12",
        "?colour=red",
        "?limit=101",
        "?created_from=yesterday",
        "?id=7",
    ] {
        let answer = stage.get_as(&admin.who, &format!("/v1/users{odd}")).await;
        refused(&answer, 400, "bad_request");
    }
    let nobody = stage.get_as(&ann.who, "/v1/users").await;
    refused(&nobody, 403, "forbidden");
}

#[tokio::test]
async fn a_cursor_goes_on_in_its_own_list_alone() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let other = stage.person("other", &["admin"]).await;
    let ann = stage.person("ann", &["user"]).await;
    let mut seen = Vec::new();
    let mut query = "?limit=1".to_owned();
    let mut first = None;
    loop {
        let page = stage.get_as(&admin.who, &format!("/v1/users{query}")).await;
        seen.extend(ids(&page));
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            break;
        };
        first.get_or_insert(cursor.to_owned());
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(seen, [ann.id, other.id, admin.id]);
    let cursor = first.expect("a cursor");
    let mut forged = cursor.clone();
    let last = forged.pop();
    forged.push(if last == Some('A') { 'B' } else { 'A' });
    for (by, query) in [
        (&other, format!("?cursor={cursor}")),
        (&admin, format!("?role=user&cursor={cursor}")),
        (&admin, format!("?sort=created&cursor={cursor}")),
        (&admin, format!("?cursor={forged}")),
    ] {
        let answer = stage.get_as(&by.who, &format!("/v1/users{query}")).await;
        refused(&answer, 400, "bad_cursor");
    }
}

#[tokio::test]
async fn what_is_personal_is_masked_but_for_those_who_may_see_it_and_they_are_recorded() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let support = stage.person("support", &["support"]).await;
    let ann = stage.person("ann", &["user"]).await;
    let path = format!("/v1/users/{}", ann.id);
    let (_, etag) = stage.seen(&admin, &path).await;
    let named = json!({"name": "Ann Lee"});
    let named = stage.change(&admin, ("PATCH", &path), &etag, named).await;
    assert_eq!((named.status, named.text("name")), (200, "A***"));

    let masked = stage.get_as(&support.who, &path).await;
    assert_eq!(masked.text("email"), "a***@example.com");
    assert_eq!(
        (masked.text("name"), &masked.body["masked"]),
        ("A***", &json!(true))
    );
    let looks = |acts: Vec<String>| {
        acts.iter()
            .filter(|act| *act == "user.personal_data_read")
            .count()
    };
    assert_eq!(looks(stage.acts_of(ann.id).await), 1, "the admin's, before");
    let (full, _) = stage.seen(&admin, &path).await;
    assert_eq!(full.text("email"), "ann@example.com");
    assert_eq!(
        (full.text("name"), &full.body["masked"]),
        ("Ann Lee", &json!(false))
    );
    assert_eq!(looks(stage.acts_of(ann.id).await), 2);
    let list = stage
        .get_as(&admin.who, "/v1/users?email=ann@example.com")
        .await;
    assert_eq!(
        list.body["items"][0]["email"], "a***@example.com",
        "a list masks for everybody"
    );
    assert_eq!(looks(stage.acts_of(ann.id).await), 2);
}

#[tokio::test]
async fn an_account_is_changed_by_those_who_have_seen_it_and_in_what_they_may() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let support = stage.person("support", &["support"]).await;
    let ann = stage.person("ann", &["user"]).await;
    assert_eq!(
        stage
            .role(&admin, "editor", &["users.edit", "users.read"])
            .await
            .status,
        201
    );
    let editor = stage.person("editor", &["editor", "user"]).await;
    let path = format!("/v1/users/{}", ann.id);
    let (_, etag) = stage.seen(&editor, &path).await;
    let name = json!({"name": "Ann"});
    refused(
        &stage.ask(&editor, "PATCH", &path, name.clone()).await,
        428,
        "precondition_required",
    );
    let forbidden = stage
        .change(&support, ("PATCH", &path), &etag, name.clone())
        .await;
    refused(&forbidden, 403, "forbidden");
    let changed = stage
        .change(&editor, ("PATCH", &path), &etag, name.clone())
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let stale = stage
        .change(&editor, ("PATCH", &path), &etag, name.clone())
        .await;
    refused(&stale, 412, "precondition_failed");
    let etag = changed.header("etag");
    for field in [
        "roles",
        "standing",
        "verified_at",
        "id",
        "email",
        "password_hash",
        "version",
    ] {
        let answer = stage
            .change(&editor, ("PATCH", &path), etag, json!({field: "x"}))
            .await;
        refused(&answer, 400, "bad_body");
    }
    let none = stage
        .change(&editor, ("PATCH", &path), etag, json!({"name": null}))
        .await;
    assert_eq!(none.body["name"], Value::Null);

    let above = format!("/v1/users/{}", admin.id);
    refused(
        &stage.get_as(&editor.who, &above).await,
        403,
        "above_own_rights",
    );
    let (_, etag) = stage.seen(&admin, &above).await;
    let answer = stage.change(&editor, ("PATCH", &above), &etag, name).await;
    refused(&answer, 403, "above_own_rights");
}

#[tokio::test]
async fn an_account_is_created_for_somebody_who_then_gets_in_by_their_contact() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    assert_eq!(
        stage
            .role(&admin, "clerk", &["users.create", "users.read"])
            .await
            .status,
        201
    );
    let clerk = stage.person("clerk", &["clerk", "user"]).await;
    let wish = json!({"email": "Zoe@example.com", "name": "Zoe"});
    let made = stage.ask(&clerk, "POST", "/v1/users", wish.clone()).await;
    assert_eq!(
        (made.status, &made.body["roles"]),
        (201, &json!(["user"])),
        "{made:?}"
    );
    assert_eq!(made.text("email"), "z***@example.com");
    refused(
        &stage.ask(&clerk, "POST", "/v1/users", wish).await,
        409,
        "contact_taken",
    );
    let opened = stage.events().await;
    let (topic, event) = opened.last().expect("an event");
    assert_eq!(
        (topic.as_str(), &event["user_id"]),
        ("users.verified", &made.body["id"])
    );

    let roles = json!({"phone": "+4915112345678", "roles": ["admin"]});
    refused(
        &stage.ask(&clerk, "POST", "/v1/users", roles.clone()).await,
        403,
        "forbidden",
    );
    assert_eq!(
        stage
            .role(
                &admin,
                "giver",
                &["roles.assign", "users.create", "users.read"]
            )
            .await
            .status,
        201
    );
    let giver = stage.person("giver", &["giver", "user"]).await;
    let above = stage.ask(&giver, "POST", "/v1/users", roles.clone()).await;
    refused(&above, 403, "above_own_rights");
    let made = stage.ask(&admin, "POST", "/v1/users", roles).await;
    assert_eq!((made.status, &made.body["roles"]), (201, &json!(["admin"])));
    for odd in [
        json!({}),
        json!({"email": "a@example.com", "phone": "+4915112345678"}),
        json!({"email": "a@example.com", "standing": "active"}),
    ] {
        refused(
            &stage.ask(&admin, "POST", "/v1/users", odd).await,
            400,
            "bad_body",
        );
    }
}

#[tokio::test]
async fn a_deleted_account_lets_nobody_in() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    let path = format!("/v1/users/{}", ann.id);
    let (_, etag) = stage.seen(&admin, &path).await;
    let blind = stage.ask(&admin, "DELETE", &path, Value::Null).await;
    refused(&blind, 428, "precondition_required");
    let gone = stage
        .change(&admin, ("DELETE", &path), &etag, Value::Null)
        .await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let (seen, etag) = stage.seen(&admin, &path).await;
    assert_eq!(seen.text("standing"), "deleted");
    let twice = stage
        .change(&admin, ("DELETE", &path), &etag, Value::Null)
        .await;
    refused(&twice, 409, "standing_conflict");
    let login = stage.login("ann@example.com", crate::stage::PASSWORD).await;
    refused(&login, 403, "account_deleted");
    assert!(
        stage
            .acts_of(ann.id)
            .await
            .contains(&"user.deleted".to_owned())
    );
}
