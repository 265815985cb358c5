//! Bans and freezes, and what else is done to accounts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    staff::Person,
    stage::{Answer, PASSWORD, Stage},
};

const ANN: &str = "ann@example.com";

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
}

/// Payloads of a topic, oldest first.
async fn told(stage: &Stage, topic: &str) -> Vec<Value> {
    let events = stage.events().await.into_iter();
    let ours = events.filter(|(name, _)| name == topic);
    ours.map(|(_, payload)| payload).collect()
}

async fn refresh(stage: &Stage, login: &Answer) -> Answer {
    let spend = json!({"refresh_token": login.text("refresh_token")});
    stage.post("/v1/auth/refresh", spend).await
}

/// A key of somebody's, as a gateway asks about it.
async fn key(stage: &Stage, of: &Person) -> Value {
    let wish = json!({"name": "k", "scopes": ["profile:read"]});
    let made = stage
        .call_as(&of.who, "POST", "/v1/me/api-keys", Some("one"), wish)
        .await;
    let text = made.text("key").to_owned();
    let key = identity::ApiKey::parse(&text, "gk_live_").expect("a key");
    let hash = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, key.hash());
    let id = text["gk_live_".len()..]
        .split('_')
        .next()
        .expect("an id")
        .to_owned();
    json!({"id": id, "hash": hash})
}

async fn resolved(stage: &Stage, key: &Value) -> u16 {
    stage
        .ask_by_gateway("/internal/v1/api-keys/resolve", key.clone())
        .await
        .status
}

#[tokio::test]
async fn whoever_is_banned_does_not_get_in_whatever_they_hold() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    let key = key(&stage, &ann).await;
    let login = stage.login(ANN, PASSWORD).await;
    let session = login.claims()["sid"].clone();
    assert_eq!(resolved(&stage, &key).await, 200);
    let head = stage.feed("").await["head"].as_i64().expect("a number");
    stage.forget_events().await;

    let path = format!("/v1/users/{}/ban", ann.id);
    let body = json!({"reason": "fraud", "note": "case 7"});
    let banned = stage.ask(&admin, "POST", &path, body).await;
    assert_eq!((banned.status, banned.text("standing")), (200, "banned"));
    assert_eq!(banned.text("standing_reason"), "fraud");

    let feed = stage.feed(&format!("?after={head}")).await;
    let items = feed["items"].as_array().expect("a list");
    let named: Vec<(&Value, &Value)> = items
        .iter()
        .map(|item| (&item["kind"], &item["id"]))
        .collect();
    assert!(named.contains(&(&json!("subject"), &json!(ann.id.to_string()))));
    assert!(named.contains(&(&json!("session"), &session)));
    // A wrong password is told no more than before.
    let wrong = stage.login(ANN, "wrong horse battery staple").await;
    refused(&wrong, 401, "invalid_credentials");
    refused(&stage.login(ANN, PASSWORD).await, 403, "account_banned");
    refused(&refresh(&stage, &login).await, 401, "invalid_token");
    assert_eq!(resolved(&stage, &key).await, 404);
    assert_eq!(
        told(&stage, "users.standing_changed").await,
        [json!({"user_id": ann.id, "standing": "banned"})]
    );
    let notices = told(&stage, "users.security_notice").await;
    assert_eq!(
        (&notices[0]["what"], &notices[0]["to"]),
        (&json!("banned"), &json!(ANN))
    );

    stage.advance_secs(1);
    let back = stage.moderate(&admin, ann.id, "unban").await;
    assert_eq!((back.status, back.text("standing")), (200, "active"));
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 200);
    assert_eq!(resolved(&stage, &key).await, 200);
    let acts = stage.acts_of(ann.id).await;
    for act in ["user.banned", "user.unbanned"] {
        assert!(acts.contains(&act.to_owned()), "{act}");
    }
}

#[tokio::test]
async fn nobody_escapes_a_ban_by_giving_themselves_up() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    let erased = stage.ask(&ann, "DELETE", "/v1/me", Value::Null).await;
    assert_eq!(erased.status, 202, "{erased:?}");
    for verb in ["freeze", "unban", "unfreeze"] {
        let answer = stage.moderate(&admin, ann.id, verb).await;
        refused(&answer, 409, "standing_conflict");
    }
    let banned = stage.moderate(&admin, ann.id, "ban").await;
    assert_eq!((banned.status, banned.text("standing")), (200, "banned"));
    let undo = json!({"undo_token": erased.text("undo_token")});
    refused(
        &stage.post("/v1/auth/restore", undo).await,
        400,
        "invalid_link",
    );
    refused(&stage.login(ANN, PASSWORD).await, 403, "account_banned");
    let due = "select count(*) from users.erasure where due_at < 'infinity'";
    assert_eq!(stage.column::<i64>(due).await, [0], "it is held up");
    let until = stage.now() + Duration::from_secs(60);
    let until = until.format(&time::format_description::well_known::Rfc3339);
    let briefly = json!({"reason": "fraud", "until": until.expect("a time")});
    let path = format!("/v1/users/{}/ban", ann.id);
    refused(
        &stage.ask(&admin, "POST", &path, briefly).await,
        422,
        "bad_until",
    );
    // What Ann has asked for goes on, and is nobody's to undo.
    let back = stage.moderate(&admin, ann.id, "unban").await;
    assert_eq!((back.status, back.text("standing")), (200, "deleted"));
    assert_eq!(stage.column::<i64>(due).await, [1]);
    refused(
        &stage.moderate(&admin, ann.id, "ban").await,
        409,
        "standing_conflict",
    );
}

#[tokio::test]
async fn whoever_is_frozen_gets_in_as_nothing_else() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let support = stage.person("support", &["support"]).await;
    let ann = stage.person("ann", &["user"]).await;
    let key = key(&stage, &ann).await;
    let login = stage.login(ANN, PASSWORD).await;
    assert_eq!(stage.moderate(&support, ann.id, "freeze").await.status, 200);
    let next = refresh(&stage, &login).await;
    assert_eq!(next.claims()["roles"], json!(["frozen"]));
    let anew = stage.login(ANN, PASSWORD).await;
    assert_eq!(anew.claims()["roles"], json!(["frozen"]));
    assert_eq!(resolved(&stage, &key).await, 404);
    // What they are given meanwhile is theirs afterwards.
    assert_eq!(
        stage
            .give(&admin, ann.id, &["support", "user"])
            .await
            .status,
        200
    );
    assert_eq!(
        refresh(&stage, &anew).await.claims()["roles"],
        json!(["frozen"])
    );
    assert_eq!(
        stage.moderate(&support, ann.id, "unfreeze").await.status,
        200
    );
    let back = refresh(&stage, &next).await;
    assert_eq!(back.claims()["roles"], json!(["support", "user"]));
    assert_eq!(resolved(&stage, &key).await, 200);
}

#[tokio::test]
async fn what_is_set_until_some_time_is_over_by_itself() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    let path = format!("/v1/users/{}", ann.id);
    let day = 24 * 60 * 60;
    let until = |seconds: u64| {
        let at = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let at = at + Duration::from_secs(seconds);
        let at = at.format(&time::format_description::well_known::Rfc3339);
        json!({"reason": "cool down", "until": at.expect("a time")})
    };
    for odd in [until(0), until(6 * 366 * day)] {
        let answer = stage.ask(&admin, "POST", &format!("{path}/ban"), odd).await;
        refused(&answer, 422, "bad_until");
    }
    let banned = stage
        .ask(&admin, "POST", &format!("{path}/ban"), until(day))
        .await;
    assert_eq!(banned.status, 200, "{banned:?}");
    refused(&stage.login(ANN, PASSWORD).await, 403, "account_banned");
    stage.forget_events().await;
    stage.advance_days(1);
    assert_eq!(
        stage.login(ANN, PASSWORD).await.status,
        200,
        "at once, by the clock"
    );
    let over = async {
        while !stage
            .acts_of(ann.id)
            .await
            .contains(&"user.standing_lifted".to_owned())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let over = tokio::time::timeout(Duration::from_secs(10), over).await;
    over.expect("it is written down in time");
    let seen = stage.get_as(&admin.who, &path).await;
    assert_eq!(
        (seen.text("standing"), &seen.body["standing_until"]),
        ("active", &Value::Null)
    );
    assert_eq!(
        told(&stage, "users.standing_changed").await,
        [json!({"user_id": ann.id, "standing": "active"})]
    );
    let notices = told(&stage, "users.security_notice").await;
    assert!(notices.iter().any(|notice| notice["what"] == "restored"));
}

#[tokio::test]
async fn nobody_does_it_to_themselves_nor_to_those_above_them() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let support = stage.person("support", &["support"]).await;
    let other = stage.person("other", &["support"]).await;
    let ann = stage.person("ann", &["user"]).await;
    let verbs = [
        "ban",
        "unban",
        "freeze",
        "unfreeze",
        "verify",
        "reset-mfa",
        "revoke-sessions",
    ];
    for verb in verbs {
        refused(
            &stage.moderate(&admin, admin.id, verb).await,
            403,
            "own_account",
        );
        refused(
            &stage.moderate(&ann, admin.id, verb).await,
            403,
            "forbidden",
        );
        let may = ["freeze", "unfreeze", "revoke-sessions"].contains(&verb);
        let code = if may { "above_own_rights" } else { "forbidden" };
        refused(&stage.moderate(&support, admin.id, verb).await, 403, code);
        let nobody = stage.moderate(&admin, uuid::Uuid::nil(), verb).await;
        refused(&nobody, 404, "not_found");
    }
    assert_eq!(
        stage.moderate(&support, other.id, "freeze").await.status,
        200
    );
    refused(
        &stage.moderate(&support, ann.id, "unfreeze").await,
        409,
        "standing_conflict",
    );
    refused(
        &stage.moderate(&admin, ann.id, "unban").await,
        409,
        "standing_conflict",
    );
}

#[tokio::test]
async fn sessions_end_and_second_factors_go_by_the_hand_of_those_who_may() {
    let stage = Stage::start().await;
    let admin = stage.an_admin().await;
    let ann = stage.person("ann", &["user"]).await;
    stage
        .column::<uuid::Uuid>(
            "insert into users.second_factor (id, account_id, kind, name, created_at, confirmed_at)
        select gen_random_uuid(), id, 'email', 'mail', now(), now() from users.account
        where email = 'ann@example.com' returning id",
        )
        .await;
    let due = stage.login(ANN, PASSWORD).await;
    refused(&due, 401, "mfa_required");
    stage.forget_events().await;
    assert_eq!(
        stage.moderate(&admin, ann.id, "reset-mfa").await.status,
        200
    );
    let notices = told(&stage, "users.security_notice").await;
    assert_eq!(notices[0]["what"], "second_factor_removed");
    let login = stage.login(ANN, PASSWORD).await;
    assert_eq!(login.status, 200, "{login:?}");
    assert_eq!(
        stage
            .moderate(&admin, ann.id, "revoke-sessions")
            .await
            .status,
        200
    );
    refused(&refresh(&stage, &login).await, 401, "invalid_token");
    let verified = stage.moderate(&admin, ann.id, "verify").await;
    assert_eq!(verified.text("verified_at"), stage.now_text());
    let acts = stage.acts_of(ann.id).await;
    for act in [
        "user.factors_reset",
        "user.sessions_ended",
        "user.identity_verified",
    ] {
        assert!(acts.contains(&act.to_owned()), "{act}");
    }
}
