//! Asking for an account, and what an outsider can't learn from it.

use serde_json::json;
use uuid::Uuid;

use crate::stage::{PASSWORD, Stage};

#[tokio::test]
async fn a_known_address_gets_the_same_answer_as_a_new_one() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;

    let mut answers = Vec::new();
    for email in [
        "new@example.com",
        "new@example.com",
        "ann@example.com",
        "ANN@example.com",
    ] {
        let mut answer = stage
            .post(
                "/v1/auth/register",
                json!({"email": email, "password": PASSWORD}),
            )
            .await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.headers.remove("date");
        let flow_id = answer.body["flow_id"].take();
        Uuid::parse_str(flow_id.as_str().expect("a text")).expect("a flow id");
        answers.push((answer.headers, answer.body));
    }
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
}

#[tokio::test]
async fn the_owner_of_a_known_address_is_told_and_gets_no_code() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    stage.forget_events().await;

    let flow_id = stage.register("Ann@example.com", PASSWORD).await;

    assert_eq!(
        stage.events().await,
        [(
            "users.address_known".to_owned(),
            json!({"to": "ann@example.com", "channel": "email"})
        )]
    );
    let stored = stage
        .column::<Option<Vec<u8>>>("select code_hash from users.challenge")
        .await;
    assert_eq!(stored, [None]);
    let answer = stage.verify(flow_id, "000000").await;
    assert_eq!((answer.status, answer.code()), (400, "invalid_code"));
}

#[tokio::test]
async fn users_14_who_registers_anothers_address_first_gains_nothing() {
    let stage = Stage::start().await;
    let thief_flow = stage
        .register("ann@example.com", "the password of the thief")
        .await;
    let thief_code = stage.code("ann@example.com").await;
    let own_flow = stage
        .register("ann@example.com", "the password of the owner")
        .await;
    let own_code = stage.code("ann@example.com").await;

    // A code fits its own flow only, and only one flow wins.
    assert_eq!(stage.verify(thief_flow, &own_code).await.status, 400);
    assert_eq!(stage.verify(own_flow, &thief_code).await.status, 400);
    assert_eq!(stage.verify(own_flow, &own_code).await.status, 200);
    assert_eq!(stage.verify(thief_flow, &thief_code).await.status, 400);
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.challenge")
            .await,
        [0]
    );

    assert_eq!(
        stage
            .login("ann@example.com", "the password of the thief")
            .await
            .status,
        401
    );
    assert_eq!(
        stage
            .login("ann@example.com", "the password of the owner")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_easy_password_is_refused_and_nothing_is_kept() {
    let stage = Stage::start().await;
    for password in ["short", "Password123!", "ann.leeward1"] {
        let wish = json!({"email": "ann.leeward@example.com", "password": password});
        let answer = stage.post("/v1/auth/register", wish).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "weak_password"),
            "{password}"
        );
    }
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.challenge")
            .await,
        [0]
    );
    assert!(stage.events().await.is_empty());
}

#[tokio::test]
async fn users_22_what_does_not_belong_in_a_registration_is_refused() {
    let stage = Stage::start().await;
    for (body, at) in [
        (
            json!({"email": "ann@example.com", "password": PASSWORD, "roles": ["admin"]}),
            "roles",
        ),
        (
            json!({"email": "ann@example.com", "password": PASSWORD, "id": Uuid::nil()}),
            "id",
        ),
        (
            json!({"email": "ann@example.com", "password": PASSWORD, "verified": true}),
            "verified",
        ),
        (
            json!({"email": "no address", "password": PASSWORD}),
            "email",
        ),
        (
            json!({"email": "ann@example.com", "password": "é".repeat(513)}),
            "password",
        ),
        (json!({"password": PASSWORD}), "email"),
        (
            json!({"email": "ann@example.com", "phone": "+14155550123", "password": PASSWORD}),
            "phone",
        ),
        (
            json!({"phone": "4155550123", "password": PASSWORD}),
            "phone",
        ),
    ] {
        let answer = stage.post("/v1/auth/register", body).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_body"));
        let detail = answer.body["detail"].as_str().expect("words");
        assert!(detail.contains(at), "{detail}");
    }
}

#[tokio::test]
async fn a_strangers_wish_leaves_the_owners_as_it_is() {
    let stage = Stage::start().await;
    let flow_id = stage.register("ann@example.com", PASSWORD).await;
    let code = stage.code("ann@example.com").await;
    for _ in 0..15 {
        stage.register("ann@example.com", "a stranger's word").await;
    }
    assert_eq!(stage.verify(flow_id, &code).await.status, 200);
    assert_eq!(stage.login("ann@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_address_gets_ten_mails_and_then_one_each_six_minutes() {
    let stage = Stage::start().await;
    for _ in 0..9 {
        stage.register("ann@example.com", "a stranger's word").await;
    }
    let live = stage.register("ann@example.com", PASSWORD).await;
    let code = stage.code("ann@example.com").await;
    assert_eq!(stage.codes("ann@example.com").await.len(), 10);

    // The next is answered like the others and sends nothing; nor does it leave a code to guess.
    let late = stage.register("ann@example.com", PASSWORD).await;
    for flow_id in [live, late] {
        let resent = stage
            .post("/v1/auth/verify/resend", json!({"flow_id": flow_id}))
            .await;
        assert_eq!(
            (resent.status, resent.body),
            (202, json!({"flow_id": flow_id}))
        );
    }
    assert_eq!(stage.codes("ann@example.com").await.len(), 10);
    let tries = "select tries_left from users.challenge order by tries_left limit 2";
    assert_eq!(stage.column::<i16>(tries).await, [0, 5]);
    // Others' share is their own.
    stage.register("bob@example.com", PASSWORD).await;
    assert_eq!(stage.codes("bob@example.com").await.len(), 1);

    // Who came too late need not begin again.
    stage.advance_secs(360);
    stage
        .post("/v1/auth/verify/resend", json!({"flow_id": late}))
        .await;
    assert_eq!(stage.codes("ann@example.com").await.len(), 11);
    stage.register("ann@example.com", "a stranger's word").await;
    assert_eq!(stage.codes("ann@example.com").await.len(), 11);
    let late_code = stage.code("ann@example.com").await;
    assert_eq!(stage.verify(late, &late_code).await.status, 200);
    assert_eq!(stage.verify(live, &code).await.status, 400);
}
