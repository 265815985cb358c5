//! What is believed no longer, and how gateways learn of it.

#![expect(clippy::print_stdout, reason = "how long a push takes is to be seen")]

use std::time::Duration;

use futures::StreamExt;
use host::App;
use serde_json::{Value, json};
use users::Users;
use uuid::Uuid;

use crate::stage::{PASSWORD, Stage};

const ANN: &str = "ann@example.com";

/// Signs in; gives the refresh token and the session.
async fn signed_in(stage: &Stage) -> (String, Uuid) {
    let answer = stage.login(ANN, PASSWORD).await;
    let session = answer.claims()["sid"].as_str().expect("a sid").parse();
    let refresh = answer.text("refresh_token").to_owned();
    (refresh, session.expect("an id"))
}

/// Kinds and ids of a page's rows.
fn named(page: &Value) -> Vec<(String, String)> {
    let text = |item: &Value, key: &str| item[key].as_str().expect("a text").to_owned();
    let items = page["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| (text(item, "kind"), text(item, "id")))
        .collect()
}

fn session(id: Uuid) -> (String, String) {
    ("session".to_owned(), id.to_string())
}

#[tokio::test]
async fn every_end_of_a_session_is_in_the_feed_once() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let (_, one) = signed_in(&stage).await;
    let (stolen, two) = signed_in(&stage).await;
    let (_, three) = signed_in(&stage).await;
    let (_, four) = signed_in(&stage).await;
    let nothing = stage.feed("").await;
    assert_eq!(
        nothing,
        json!({"after": 0, "next": 0, "head": 0, "lost": false, "at_ms": 1_800_000_000_000_i64, "items": []})
    );

    for _ in 0..2 {
        let who = stage.user_in(ann, one);
        let answer = stage.post_as(&who, "/v1/auth/logout").await;
        assert_eq!(answer.status, 204);
    }
    let spend = json!({"refresh_token": stolen});
    assert_eq!(
        stage.post("/v1/auth/refresh", spend.clone()).await.status,
        200
    );
    stage.advance_secs(11);
    assert_eq!(stage.post("/v1/auth/refresh", spend).await.status, 401);
    for _ in 0..2 {
        let who = stage.user_in(ann, three);
        let answer = stage.post_as(&who, "/v1/auth/logout-all").await;
        assert_eq!(answer.status, 204);
    }

    let page = stage.feed("").await;
    let mut last = named(&page).split_off(2);
    last.sort();
    let mut both = [session(three), session(four)];
    both.sort();
    assert_eq!(named(&page)[..2], [session(one), session(two)]);
    assert_eq!(last, both);
    assert_eq!((&page["next"], &page["head"]), (&json!(4), &json!(4)));
    let first = &page["items"][0];
    assert_eq!(
        first,
        &json!({"cursor": 1, "kind": "session", "id": one.to_string(),
            "revoked_at_ms": 1_800_000_000_000_i64, "until": 1_800_000_000 + 300 + 120})
    );
    assert_eq!(
        stage.acts_of(ann).await[5..],
        ["session.ended", "session.token_reused", "session.all_ended"]
    );
    let login = stage.login(ANN, PASSWORD).await;
    assert_eq!(login.status, 200, "and one may come back");
}

#[tokio::test]
async fn it_is_read_page_by_page() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let mut ended = Vec::new();
    for _ in 0..5 {
        let (_, id) = signed_in(&stage).await;
        stage
            .post_as(&stage.user_in(ann, id), "/v1/auth/logout")
            .await;
        ended.push(session(id));
    }
    let first = stage.feed("?limit=2").await;
    let rest = stage.feed("?after=2&limit=3").await;
    let none = stage.feed("?after=5&limit=3").await;
    assert_eq!((&first["next"], &first["head"]), (&json!(2), &json!(5)));
    assert_eq!((&rest["next"], &rest["head"]), (&json!(5), &json!(5)));
    assert_eq!((&none["next"], &none["items"]), (&json!(5), &json!([])));
    assert_eq!([named(&first), named(&rest)].concat(), ended);

    for wrong in [
        "?limit=0",
        "?limit=1001",
        "?after=-1",
        "?after=x",
        "?since=1",
    ] {
        let answer = stage.ask_as_gateway(wrong).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "bad_request"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn gateways_alone_may_read_it() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let path = "/internal/v1/revocations";
    for answer in [
        stage.get(path).await,
        stage.get_as(&stage.user(ann), path).await,
    ] {
        assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    }
    let document = Users::openapi().to_json().expect("a document");
    assert!(
        !document.contains("internal"),
        "it is nobody else's business"
    );
}

#[tokio::test]
async fn who_lost_rights_is_revoked_as_a_whole() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let before = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut people = vec![host::DemoPerson {
        email: ANN.into(),
        password: PASSWORD.into(),
        role: "support".into(),
        user_id: None,
    }];
    for _ in 0..2 {
        Users::demo(stage.pool(), &mut people)
            .await
            .expect("arranged");
    }
    let page = stage.feed("").await;
    assert_eq!(named(&page), [("subject".to_owned(), ann.to_string())]);
    let not_before = page["items"][0]["not_before"].as_i64().expect("a time");
    assert!(
        not_before > before,
        "tokens of this very second are in doubt"
    );
    assert!(not_before <= time::OffsetDateTime::now_utc().unix_timestamp() + 1);
}

/// The number is given in the order of commits: who was first to ask for one and commits last must
/// not become visible behind a reader's back.
#[tokio::test]
async fn no_row_appears_behind_one_that_was_read() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let (_, slow) = signed_in(&stage).await;
    let (_, quick) = signed_in(&stage).await;

    // Somebody who has revoked and not yet committed.
    let mut tx = stage.pool().begin().await.expect("a transaction");
    sqlx::query(
        "with head as (update users.revocation_head set seq = seq + 1 returning seq)
        insert into users.revocation (seq, kind, id, revoked_at, until)
        select seq, 'session', $1, now(), now() + interval '1 h' from head",
    )
    .bind(slow.to_string())
    .execute(&mut *tx)
    .await
    .expect("a row");
    let who = stage.user_in(ann, quick);
    let logout = stage.post_as(&who, "/v1/auth/logout");
    let mut logout = std::pin::pin!(logout);
    let waits = tokio::time::timeout(Duration::from_millis(300), &mut logout).await;
    assert!(waits.is_err(), "the next number is given after the commit");
    assert_eq!(
        stage.feed("").await["head"],
        0,
        "and no reader has gone past it"
    );
    tx.commit().await.expect("committed");
    assert_eq!(logout.await.status, 204);
    assert_eq!(
        named(&stage.feed("").await),
        [session(slow), session(quick)]
    );
}

#[tokio::test]
async fn it_is_append_only() {
    let stage = Stage::start().await;
    for change in [
        "update users.revocation set until = now()",
        "truncate users.revocation",
    ] {
        let refused = stage.try_execute(change).await.expect_err(change);
        assert!(refused.contains("append-only"), "{refused}");
    }
}

/// Reads the next message of the channel that has rows in it, or any.
async fn heard(messages: &mut (impl StreamExt<Item = redis::Msg> + Unpin), rows: bool) -> Value {
    let next = async {
        loop {
            let message = messages.next().await.expect("a message");
            let page: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
            if !rows || page["items"] != json!([]) {
                return page;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), next).await;
    heard.expect("a message in time")
}

async fn subscribed(url: &str) -> impl StreamExt<Item = redis::Msg> + Unpin {
    let client = redis::Client::open(url).expect("an address");
    let mut line = client.get_async_pubsub().await.expect("a line");
    let channel = "vorota:revocations:users";
    line.subscribe(channel).await.expect("subscribed");
    line.into_on_message()
}

#[tokio::test]
async fn where_there_is_a_redis_it_is_pushed_and_survives_redis() {
    let redis = local::redis::Server::start().expect("a Redis");
    let (url, port) = (redis.url(), redis.port());
    let stage = Stage::start_with_redis(&url).await;
    let ann = stage.member(ANN).await;
    let mut messages = subscribed(&url).await;
    let pulse = heard(&mut messages, false).await;
    assert_eq!((&pulse["head"], &pulse["items"]), (&json!(0), &json!([])));

    let (_, one) = signed_in(&stage).await;
    let asked = std::time::Instant::now();
    stage
        .post_as(&stage.user_in(ann, one), "/v1/auth/logout")
        .await;
    let page = heard(&mut messages, true).await;
    println!(
        "pushed {:?} after the logout was asked for",
        asked.elapsed()
    );
    assert_eq!(named(&page), [session(one)]);
    assert_eq!((&page["after"], &page["next"]), (&json!(0), &json!(1)));

    drop((messages, redis));
    let (_, two) = signed_in(&stage).await;
    let answer = stage
        .post_as(&stage.user_in(ann, two), "/v1/auth/logout")
        .await;
    assert_eq!(answer.status, 204, "a logout needs no Redis");
    assert_eq!(
        stage.feed("?after=1").await["head"],
        2,
        "and is in the feed"
    );

    let _redis = local::redis::Server::start_on(port).expect("it comes back");
    let mut messages = subscribed(&url).await;
    let page = heard(&mut messages, false).await;
    assert_eq!(page["head"], 2, "whoever missed it can tell");
}
