//! What people may have of what is known of them, and how they are forgotten. What is left of them then
//! is looked at beside the code.

use events::Notice;
use identity::Principal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Answer, PASSWORD, Stage};

const ANN: &str = "ann@example.com";

/// Somebody who has signed in a moment ago.
async fn signed_in(stage: &Stage, email: &str) -> (Principal, Answer) {
    let answer = stage.login(email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let claims = answer.claims();
    let id = |claim: &str| claims[claim].as_str().expect("a claim").parse::<Uuid>();
    let who = stage.user_in(id("sub").expect("an id"), id("sid").expect("an id"));
    (who, answer)
}

async fn ask_export(stage: &Stage, who: &Principal) -> String {
    let answer = stage.post_as(who, "/v1/me/export").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.body["ready"], true);
    format!("/v1/me/export/{}", answer.text("id"))
}

async fn erase(stage: &Stage, who: &Principal) -> Answer {
    stage
        .call_as(who, "DELETE", "/v1/me", None, Value::Null)
        .await
}

/// What owners were told, oldest first.
async fn notices(stage: &Stage) -> Vec<Value> {
    let events = stage.events().await;
    let notices = events
        .into_iter()
        .filter(|(topic, _)| topic == "users.security_notice");
    notices.map(|(_, notice)| notice).collect()
}

fn is(notice: &Value, what: Notice) -> bool {
    notice["what"] == serde_json::to_value(what).expect("a name")
}

#[tokio::test]
async fn a_copy_tells_all_that_is_known_and_no_secret() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    stage.login(ANN, "a wrong password").await;
    let (who, answer) = signed_in(&stage, ANN).await;
    let path = ask_export(&stage, &who).await;
    assert!(
        notices(&stage)
            .await
            .iter()
            .any(|it| is(it, Notice::ExportReady))
    );

    let copy = stage.get_as(&who, &path).await;
    assert_eq!(copy.status, 200, "{copy:?}");
    assert_eq!(
        copy.header("content-disposition"),
        "attachment; filename=\"export.json\""
    );
    let told = &copy.body;
    assert_eq!(told["account"]["id"], ann.to_string());
    assert_eq!(told["account"]["email"], ANN);
    assert_eq!(told["account_role"][0]["role"], "user");
    assert_eq!(told["session"][0]["id"], answer.claims()["sid"]);
    assert!(told["device"][0]["created_at"].is_string());
    let acts: Vec<&str> = told["acts"]
        .as_array()
        .expect("acts")
        .iter()
        .map(|act| act["act"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        acts,
        [
            "user.verified",
            "session.refused",
            "session.begun",
            "user.export_asked"
        ]
    );
    let text = told.to_string();
    for secret in ["argon2", "hash\"", "secret", answer.text("refresh_token")] {
        assert!(!text.contains(secret), "{secret}");
    }
    let rests = "select document from users.export";
    let sealed = stage.column::<Vec<u8>>(rests).await;
    let open = sealed[0]
        .windows(ANN.len())
        .any(|part| part == ANN.as_bytes());
    assert!(!open, "it lies sealed");
}

#[tokio::test]
async fn a_copy_is_its_owners_fresh_for_a_week_and_the_only_one() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    stage.member("bob@example.com").await;
    let (who, _) = signed_in(&stage, ANN).await;
    let (bob, _) = signed_in(&stage, "bob@example.com").await;
    let path = ask_export(&stage, &who).await;
    assert_eq!(stage.get_as(&bob, &path).await.status, 404);
    for path in ["/v1/me/export/7", &format!("/v1/me/export/{ann}")] {
        assert_eq!(stage.get_as(&who, path).await.status, 404, "{path}");
    }
    let stale = stage.get_as(&stage.user(ann), &path).await;
    assert_eq!(stale.status, 403, "{stale:?}");
    assert_eq!(
        stage
            .post_as(&stage.user(ann), "/v1/me/export")
            .await
            .status,
        403
    );

    let next = ask_export(&stage, &who).await;
    assert_eq!(stage.get_as(&who, &path).await.status, 404);
    assert_eq!(stage.get_as(&who, &next).await.status, 200);
    stage.advance_days(7);
    let (who, _) = signed_in(&stage, ANN).await;
    assert_eq!(stage.get_as(&who, &next).await.status, 404);
}

#[tokio::test]
async fn an_account_that_was_given_up_is_shut_at_once_and_can_be_had_back() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let (who, answer) = signed_in(&stage, ANN).await;
    let refresh = json!({"refresh_token": answer.text("refresh_token")});
    let stale = erase(&stage, &stage.user(ann)).await;
    assert_eq!(stale.status, 403, "{stale:?}");

    let given_up = erase(&stage, &who).await;
    assert_eq!(given_up.status, 202, "{given_up:?}");
    assert_eq!(given_up.text("due_at"), "2027-02-14T08:00:00Z");
    assert_eq!(stage.post("/v1/auth/refresh", refresh).await.status, 401);
    let login = stage.login(ANN, PASSWORD).await;
    assert_eq!((login.status, login.code()), (403, "account_deleted"));
    let again = erase(&stage, &who).await;
    assert_eq!(again.status, 401, "{again:?}");
    let revoked = stage.feed("").await;
    let kinds: Vec<&Value> = revoked["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| &item["kind"])
        .collect();
    assert_eq!(kinds, ["session", "subject"]);

    let told = notices(&stage).await;
    let told = told.iter().find(|it| is(it, Notice::ErasureDue));
    let token = given_up.text("undo_token");
    let link = format!("/auth/keep-account?token={token}");
    assert_eq!(told.expect("a notice")["undo"], link);

    let restore = |token: String| {
        let stage = &stage;
        async move {
            let answer = stage
                .post("/v1/auth/restore", json!({"undo_token": token}))
                .await;
            answer.status
        }
    };
    assert_eq!(restore("of another lock".to_owned()).await, 400);
    assert_eq!(restore(token.to_owned()).await, 204);
    assert_eq!(restore(token.to_owned()).await, 400, "once");
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 200);
    assert_eq!(
        stage.acts_of(ann).await[2..],
        [
            "user.erasure_asked",
            "session.refused",
            "user.erasure_undone",
            "session.begun"
        ]
    );
}

#[tokio::test]
async fn nobody_is_had_back_after_the_grace() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let (who, _) = signed_in(&stage, ANN).await;
    let given_up = erase(&stage, &who).await;
    stage.advance_days(30);
    let undo = json!({"undo_token": given_up.text("undo_token")});
    let late = stage.post("/v1/auth/restore", undo).await;
    assert_eq!((late.status, late.code()), (400, "invalid_link"));
}

#[tokio::test]
async fn the_last_admin_stays() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    stage.member("bob@example.com").await;
    stage
        .execute(
            "insert into users.account_role
            select id, 'admin', now() from users.account where email = 'ann@example.com'",
        )
        .await;
    let (ann, _) = signed_in(&stage, ANN).await;
    let last = erase(&stage, &ann).await;
    assert_eq!((last.status, last.code()), (409, "last_admin"));
    stage
        .execute(
            "insert into users.account_role
            select id, 'admin', now() from users.account where email = 'bob@example.com'",
        )
        .await;
    assert_eq!(erase(&stage, &ann).await.status, 202);
    let (bob, _) = signed_in(&stage, "bob@example.com").await;
    assert_eq!(erase(&stage, &bob).await.code(), "last_admin");
}
