//! Who may what, and how gateways learn of it.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use crate::stage::Stage;

/// A change by somebody else: another replica's.
const CHANGE: &str = "with head as (update users.authz_head set version = version + 1),
    given as (
        insert into users.role_permission (role, permission) values ('support', 'wallets.read')
    )
    select pg_notify('outbox', 'users.authz')";

fn of_support(snapshot: &Value) -> Value {
    snapshot["roles"]["support"].clone()
}

#[tokio::test]
async fn a_gateway_is_told_who_may_what_and_then_what_has_changed() {
    let stage = Stage::start().await;
    let first = stage.get_by_gateway("/internal/v1/authz").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.body["version"], 1);
    assert_eq!(first.body["acl"], json!({}));
    assert_eq!(first.body["roles"]["user"], json!([]));
    let support = json!(["audit.read", "users.freeze", "users.read"]);
    assert_eq!(of_support(&first.body), support);

    let same = stage.get_by_gateway("/internal/v1/authz?after=1").await;
    assert_eq!((same.status, same.body), (204, Value::Null));

    let asked = Instant::now();
    let news = stage.get_by_gateway("/internal/v1/authz?after=1&wait=20");
    let (news, ()) = futures::join!(news, stage.execute(CHANGE));
    assert_eq!((news.status, &news.body["version"]), (200, &json!(2)));
    let more = json!(["audit.read", "users.freeze", "users.read", "wallets.read"]);
    assert_eq!(of_support(&news.body), more);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}

#[tokio::test]
async fn gateways_alone_may_ask_for_it() {
    let stage = Stage::start().await;
    let ann = stage.member("ann@example.com").await;
    let path = "/internal/v1/authz";
    for answer in [
        stage.get(path).await,
        stage.get_as(&stage.user(ann), path).await,
    ] {
        assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    }
    let odd = stage.get_by_gateway("/internal/v1/authz?since=1").await;
    assert_eq!((odd.status, odd.code()), (400, "bad_request"));
}

#[tokio::test]
async fn where_there_is_a_redis_the_version_is_pushed() {
    let redis = local::redis::Server::start().expect("a Redis");
    let stage = Stage::start_with_redis(&redis.url()).await;
    let client = redis::Client::open(redis.url()).expect("an address");
    let mut line = client.get_async_pubsub().await.expect("a line");
    line.subscribe("vorota:authz:users")
        .await
        .expect("subscribed");
    let mut messages = line.into_on_message();
    stage.execute(CHANGE).await;
    let changed = async {
        loop {
            let message = messages.next().await.expect("a message");
            let told: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
            if told == json!({"version": 2}) {
                return;
            }
            assert_eq!(told, json!({"version": 1}));
        }
    };
    let changed = tokio::time::timeout(Duration::from_secs(10), changed).await;
    changed.expect("a message in time");
}
