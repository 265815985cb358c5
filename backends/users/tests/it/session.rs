//! Staying signed in, and being thrown out.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::stage::{Answer, PASSWORD, Stage};

async fn refresh(stage: &Stage, token: &str) -> Answer {
    stage
        .post("/v1/auth/refresh", json!({"refresh_token": token}))
        .await
}

/// The refresh token of a new session.
async fn signed_in(stage: &Stage, email: &str) -> String {
    let answer = stage.login(email, PASSWORD).await;
    answer.text("refresh_token").to_owned()
}

#[tokio::test]
async fn users_19_fifty_who_refresh_at_once_all_go_on() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let token = signed_in(&stage, "ann@example.com").await;

    let answers = join_all((0..50).map(|_| refresh(&stage, &token))).await;

    let successor = answers[0].text("refresh_token");
    assert_ne!(successor, token);
    for answer in &answers {
        assert_eq!(
            (answer.status, answer.text("refresh_token")),
            (200, successor)
        );
    }
    assert_eq!(refresh(&stage, successor).await.status, 200);
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.session where ended_at is null")
            .await,
        [1]
    );
}

#[tokio::test]
async fn a_lost_answer_is_given_again_for_ten_seconds() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let first = signed_in(&stage, "ann@example.com").await;
    let second = refresh(&stage, &first)
        .await
        .text("refresh_token")
        .to_owned();
    stage.advance_secs(10);
    assert_eq!(refresh(&stage, &first).await.text("refresh_token"), second);
    stage.advance_secs(1);
    assert_eq!(refresh(&stage, &first).await.status, 401);
}

/// Two tabs open with one token; while the second waits for its answer, the first is loaded anew.
#[tokio::test]
async fn a_tab_that_is_slow_is_given_the_token_that_lives() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let first = signed_in(&stage, "ann@example.com").await;
    let mut living = first.clone();
    for _ in 0..3 {
        living = refresh(&stage, &living)
            .await
            .text("refresh_token")
            .to_owned();
    }

    let slow = refresh(&stage, &first).await;
    assert_eq!(slow.text("refresh_token"), living);

    stage.advance_secs(300);
    assert_eq!(refresh(&stage, &living).await.status, 200);
}

#[tokio::test]
async fn users_19_a_spent_token_that_comes_back_ends_the_family() {
    let stage = Stage::start().await;
    let user_id = stage.member("ann@example.com").await;
    let stolen = signed_in(&stage, "ann@example.com").await;
    let elsewhere = signed_in(&stage, "ann@example.com").await;
    let living = refresh(&stage, &stolen)
        .await
        .text("refresh_token")
        .to_owned();

    stage.advance_secs(11);
    let answer = refresh(&stage, &stolen).await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_token"));
    assert_eq!(
        refresh(&stage, &living).await.status,
        401,
        "nobody can tell the thief from the owner"
    );
    assert_eq!(
        refresh(&stage, &elsewhere).await.status,
        200,
        "other sessions are not concerned"
    );

    assert_eq!(
        stage.acts_of(user_id).await,
        [
            "user.verified",
            "session.begun",
            "session.begun",
            "session.token_reused"
        ]
    );
    let reasons = "select end_reason from users.session where ended_at is not null";
    assert_eq!(stage.column::<String>(reasons).await, ["token_reuse"]);
}

#[tokio::test]
async fn what_was_never_given_is_no_token() {
    let stage = Stage::start().await;
    let strange = format!("rt_{}", "A".repeat(43));
    for token in ["", "rt_", "no token", strange.as_str()] {
        let answer = refresh(&stage, token).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "invalid_token"),
            "{token}"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_session_ends_after_thirty_idle_days() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let token = signed_in(&stage, "ann@example.com").await;
    stage.advance_days(29);
    let token = refresh(&stage, &token)
        .await
        .text("refresh_token")
        .to_owned();
    stage.advance_days(30);
    assert_eq!(refresh(&stage, &token).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_after_ninety_days_however_busy() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let mut token = signed_in(&stage, "ann@example.com").await;
    for _ in 0..8 {
        stage.advance_days(11);
        token = refresh(&stage, &token)
            .await
            .text("refresh_token")
            .to_owned();
    }
    stage.advance_days(2);
    assert_eq!(refresh(&stage, &token).await.status, 401);
}

#[tokio::test]
async fn logging_out_ends_the_callers_session_and_no_other() {
    let stage = Stage::start().await;
    let ann = stage.member("ann@example.com").await;
    let bob = stage.member("bob@example.com").await;
    let token = signed_in(&stage, "ann@example.com").await;
    let elsewhere = signed_in(&stage, "ann@example.com").await;
    let session = stage
        .column("select id from users.session order by id limit 1")
        .await[0];

    // A token of Bob's that names Ann's session ends nothing.
    let answer = stage
        .post_as(&stage.user_in(bob, session), "/v1/auth/logout")
        .await;
    assert_eq!(answer.status, 204);
    let token = refresh(&stage, &token)
        .await
        .text("refresh_token")
        .to_owned();

    for _ in 0..2 {
        let answer = stage
            .post_as(&stage.user_in(ann, session), "/v1/auth/logout")
            .await;
        assert_eq!(answer.status, 204);
    }
    assert_eq!(refresh(&stage, &token).await.status, 401);
    assert_eq!(refresh(&stage, &elsewhere).await.status, 200);
    assert_eq!(
        stage.acts_of(ann).await,
        [
            "user.verified",
            "session.begun",
            "session.begun",
            "session.ended"
        ]
    );

    assert_eq!(stage.post("/v1/auth/logout", json!({})).await.status, 401);
    let sessionless = stage.post_as(&stage.user(ann), "/v1/auth/logout").await;
    assert_eq!(
        (sessionless.status, sessionless.code()),
        (400, "bad_request")
    );
}

#[tokio::test]
async fn a_role_that_was_taken_away_is_gone_with_the_next_refresh() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let token = signed_in(&stage, "ann@example.com").await;
    stage.execute("delete from users.account_role").await;

    let answer = refresh(&stage, &token).await;
    assert_eq!(answer.claims()["roles"], json!([]));
    assert_eq!(
        answer.claims()["amr"],
        json!(["pwd"]),
        "how the session began is remembered"
    );
}

#[tokio::test]
async fn a_refresh_waits_for_a_change_of_roles_under_way() {
    let stage = Stage::start().await;
    let ann = stage.member("ann@example.com").await;
    let token = signed_in(&stage, "ann@example.com").await;
    let mut change = stage.pool().begin().await.expect("a transaction");
    for sql in [
        "update users.account set perm_ver = perm_ver + 1 where id = $1",
        "delete from users.account_role where account_id = $1",
    ] {
        let done = sqlx::query(sql).bind(ann).execute(&mut *change).await;
        done.expect(sql);
    }
    let refreshed = refresh(&stage, &token);
    let committed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        change.commit().await.expect("committed");
    };
    let (answer, ()) = futures::join!(refreshed, committed);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.claims()["roles"], json!([]));
    let next = answer.text("refresh_token");
    assert_eq!(refresh(&stage, next).await.status, 200);
}

#[tokio::test]
async fn the_account_that_is_gone_is_nobody() {
    let stage = Stage::start().await;
    let ann = stage.member("ann@example.com").await;
    let token = signed_in(&stage, "ann@example.com").await;
    stage.execute("delete from users.account").await;

    assert_eq!(refresh(&stage, &token).await.status, 401);
    let me = stage.get_as(&stage.user(ann), "/v1/me").await;
    assert_eq!((me.status, me.code()), (401, "unauthenticated"));
    assert_eq!(
        stage.get("/v1/me").await.status,
        401,
        "nor is who never signed in"
    );
}
