//! A provider that is away, slow or changes its keys.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Google, SECRET, Secret, begin_bare, come_back, enter, op::Op, stage};
use crate::stage::Stage;

#[tokio::test]
async fn a_provider_that_is_away_is_said_to_be() {
    let (op, stage) = stage().await;
    let sent = begin_bare(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    op.script().answers.insert(
        "/token",
        (503, json!({ "error": "temporarily_unavailable" })),
    );
    let answer = come_back(&stage, &sent, &brought).await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "provider_unavailable")
    );
    assert_eq!(answer.header("retry-after"), "5");
    op.script().answers.clear();
    assert_eq!(enter(&stage, &op, "google").await.status, 200);

    // A redirect is not followed, and an endless answer not read to its end.
    let long = json!({ "id_token": "x".repeat(70_000) });
    op.script().answers.insert("/token", (200, long));
    let answer = enter(&stage, &op, "google").await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "provider_unavailable")
    );
    // Our own credentials are no fault of the person's, nor for them to know.
    op.script()
        .answers
        .insert("/token", (401, json!({ "error": "invalid_client" })));
    let answer = enter(&stage, &op, "google").await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "provider_unavailable")
    );
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_waited_for_in_bounds_and_once() {
    // It takes connections, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let issuer = format!("http://{}", silent.local_addr().expect("an address"));
    let stage = Stage::start_with(|config| {
        config.social.google = Some(Google {
            client_id: "x".to_owned(),
            client_secret: Secret::new(SECRET),
            native_client_ids: Vec::new(),
            issuer,
        });
    })
    .await;
    let begun = Instant::now();
    let all = (0..20).map(|_| stage.get("/v1/auth/social/google/start"));
    for answer in futures::future::join_all(all).await {
        assert_eq!(
            (answer.status, answer.code()),
            (503, "provider_unavailable")
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    drop(silent);
}

#[tokio::test]
async fn new_keys_are_asked_for_when_they_show_but_not_by_everybody() {
    let (op, stage) = stage().await;
    assert_eq!(enter(&stage, &op, "google").await.status, 200);
    assert_eq!(op.times("/jwks"), 1);
    op.script().kid = "k2".to_owned();
    // The last fetch is too fresh: whoever makes up names of keys makes us ask no more often.
    assert_eq!(enter(&stage, &op, "google").await.code(), "not_vouched");
    assert_eq!(op.times("/jwks"), 1);
    stage.advance_secs(30);
    op.says(json!({ "iat": super::NOW + 30, "exp": super::NOW + 600 }));
    assert_eq!(enter(&stage, &op, "google").await.status, 200);
    assert_eq!(op.times("/jwks"), 2);
    assert_eq!(op.times("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn what_is_known_of_a_provider_outlives_its_absence_for_a_day() {
    let op = Op::start().await;
    let stage = Stage::start_with(super::offers(&op)).await;
    begin_bare(&stage, "google").await;
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        op.script().answers.insert(path, (500, Value::Null));
    }
    stage.advance_secs(2 * 60 * 60);
    begin_bare(&stage, "google").await;
    stage.advance_days(1);
    let answer = stage.get("/v1/auth/social/google/start").await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "provider_unavailable")
    );
}
