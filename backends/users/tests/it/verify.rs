//! Proving an address by its code.

use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::stage::{PASSWORD, Stage};

/// Six digits that are not the code.
fn another(code: &str) -> String {
    let number: u32 = code.parse().expect("digits");
    format!("{:06}", (number + 1) % 1_000_000)
}

#[tokio::test]
async fn a_code_opens_the_account_and_says_so_in_the_same_commit() {
    let stage = Stage::start().await;
    let flow_id = stage.register("Ann@Example.com", PASSWORD).await;
    let code = stage.code("ann@example.com").await;
    stage.forget_events().await;

    let answer = stage.verify(flow_id, &code).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let user_id: Uuid = answer.body["user_id"]
        .as_str()
        .expect("a text")
        .parse()
        .expect("an id");
    let verified = json!({"user_id": user_id, "email": "ann@example.com"});
    assert_eq!(
        stage.events().await,
        [("users.verified".to_owned(), verified)]
    );
    assert_eq!(stage.acts_of(user_id).await, ["user.verified"]);
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.challenge")
            .await,
        [0]
    );

    let me = stage.get_as(&stage.user(user_id), "/v1/me").await;
    assert_eq!(me.status, 200);
    assert_eq!(
        me.body,
        json!({"id": user_id, "email": "ann@example.com", "roles": ["user"], "created_at": stage.now_text()})
    );
}

#[tokio::test]
async fn users_7_of_parallel_guesses_five_count() {
    let stage = Stage::start().await;
    let flow_id = stage.register("ann@example.com", PASSWORD).await;
    let code = stage.code("ann@example.com").await;

    let wrong = another(&code);
    let guesses = join_all((0..30).map(|_| stage.verify(flow_id, &wrong))).await;
    assert!(
        guesses
            .iter()
            .all(|guess| (guess.status, guess.code()) == (400, "invalid_code"))
    );
    assert_eq!(
        stage
            .column::<i16>("select tries_left from users.challenge")
            .await,
        [0]
    );
    assert_eq!(
        stage.verify(flow_id, &code).await.status,
        400,
        "the right one comes too late"
    );
}

#[tokio::test]
async fn the_fifth_try_may_still_be_the_right_one() {
    let stage = Stage::start().await;
    let flow_id = stage.register("ann@example.com", PASSWORD).await;
    let code = stage.code("ann@example.com").await;
    for _ in 0..4 {
        assert_eq!(stage.verify(flow_id, &another(&code)).await.status, 400);
    }
    assert_eq!(stage.verify(flow_id, &code).await.status, 200);
}

#[tokio::test]
async fn a_code_is_good_once_even_for_those_who_come_together() {
    let stage = Stage::start().await;
    let flow_id = stage.register("ann@example.com", PASSWORD).await;
    let code = stage.code("ann@example.com").await;

    let answers = join_all((0..5).map(|_| stage.verify(flow_id, &code))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        1
    );
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.account")
            .await,
        [1]
    );
    assert_eq!(stage.verify(flow_id, &code).await.status, 400);
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes() {
    let stage = Stage::start().await;
    let early = stage.register("ann@example.com", PASSWORD).await;
    let early_code = stage.code("ann@example.com").await;
    let late = stage.register("bob@example.com", PASSWORD).await;
    let late_code = stage.code("bob@example.com").await;

    stage.advance_secs(599);
    assert_eq!(stage.verify(early, &early_code).await.status, 200);
    stage.advance_secs(1);
    assert_eq!(stage.verify(late, &late_code).await.status, 400);
}

#[tokio::test]
async fn every_no_is_the_same_no() {
    let stage = Stage::start().await;
    stage.member("known@example.com").await;
    let known = stage.register("known@example.com", PASSWORD).await;
    let wrong = stage.register("wrong@example.com", PASSWORD).await;
    let wrong_code = another(&stage.code("wrong@example.com").await);
    let late = stage.register("late@example.com", PASSWORD).await;
    let late_code = stage.code("late@example.com").await;

    let mut noes = vec![
        stage.verify(Uuid::new_v4(), "123456").await,
        stage.verify(known, "123456").await,
        stage.verify(wrong, &wrong_code).await,
    ];
    stage.advance_secs(600);
    noes.push(stage.verify(late, &late_code).await);

    for no in &mut noes {
        no.headers.remove("date");
        no.body["request_id"].take();
    }
    for no in &noes {
        assert_eq!(
            (no.status, &no.headers, &no.body),
            (400, &noes[0].headers, &noes[0].body)
        );
    }
}

#[tokio::test]
async fn a_new_code_voids_the_earlier_one_and_brings_new_tries() {
    let stage = Stage::start().await;
    let flow_id = stage.register("ann@example.com", PASSWORD).await;
    let first = stage.code("ann@example.com").await;
    for _ in 0..5 {
        stage.verify(flow_id, &another(&first)).await;
    }
    stage.advance_secs(700);

    let answer = stage
        .post("/v1/auth/verify/resend", json!({"flow_id": flow_id}))
        .await;
    assert_eq!(
        (answer.status, answer.body),
        (202, json!({"flow_id": flow_id}))
    );
    let second = stage.code("ann@example.com").await;
    assert_eq!(stage.codes("ann@example.com").await.len(), 2);
    if first != second {
        assert_eq!(stage.verify(flow_id, &first).await.status, 400);
    }
    assert_eq!(stage.verify(flow_id, &second).await.status, 200);
}

#[tokio::test]
async fn asking_for_another_code_tells_nothing_either() {
    let stage = Stage::start().await;
    stage.member("known@example.com").await;
    let known = stage.register("known@example.com", PASSWORD).await;
    stage.forget_events().await;

    for flow_id in [known, Uuid::new_v4()] {
        let answer = stage
            .post("/v1/auth/verify/resend", json!({"flow_id": flow_id}))
            .await;
        assert_eq!(
            (answer.status, answer.body),
            (202, json!({"flow_id": flow_id}))
        );
    }
    let told = json!({"to": "known@example.com", "channel": "email"});
    assert_eq!(
        stage.events().await,
        [("users.address_known".to_owned(), told)]
    );
}
