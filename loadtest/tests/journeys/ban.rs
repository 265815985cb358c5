//! Whoever is banned, demoted or has another password is refused wherever they knock: at each of three
//! gateways, with a Redis and without.

#![expect(clippy::print_stdout, reason = "how long it takes is to be seen")]

use std::time::{Duration, Instant};

use local::product::{Beside, Options};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Answer, Client, text},
    stage::Stage,
};

/// What is promised: from the answer to the act until the last gateway refuses.
const PROMISED: Duration = Duration::from_secs(1);
/// Between two knocks at one gateway: below what one person may ask.
const AGAIN_AFTER: Duration = Duration::from_millis(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_a_demotion_and_a_new_password_are_felt_at_three_gateways_within_a_second_by_redis() {
    let redis = local::redis::Server::start().expect("a Redis");
    let options = Options {
        redis_url: Some(redis.url()),
        ..Options::temporary().expect("a place and ports are found")
    };
    journey("with a Redis", options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_a_demotion_and_a_new_password_are_felt_at_three_gateways_within_a_second_without_redis()
 {
    let options = Options {
        redis_url: None,
        ..Options::temporary().expect("a place and ports are found")
    };
    journey("without one", options).await;
}

async fn journey(with: &str, options: Options) {
    let stage = Stage::start(options).await;
    let beside = [
        stage.product.beside().await.expect("a second gateway"),
        stage.product.beside().await.expect("a third gateway"),
    ];
    let admin = stage.demo(&stage.client(2), "admin", 0).await;

    // Somebody is banned.
    let (ann, ann_id) = person(&stage, 3, 0).await;
    let doors = doors(&stage, &beside, &ann, 3).await;
    open(&doors).await;
    let ban = json!({ "reason": "fraud" });
    admin
        .post(&format!("/v1/users/{ann_id}/ban"), &ban)
        .await
        .expect(200);
    shut(with, "a ban", &doors).await;

    // Somebody loses a role.
    let (bob, bob_id) = person(&stage, 4, 1).await;
    let mut doors = self::doors(&stage, &beside, &bob, 4).await;
    // Their keys go on with what the new roles carry.
    doors.retain(|door| door.key.is_none());
    open(&doors).await;
    let path = format!("/v1/users/{bob_id}/roles");
    let roles = admin.get(&path).await;
    let etag = roles.header("etag").to_owned();
    roles.expect(200);
    let change = admin.request(Method::PUT, &path).header("if-match", etag);
    let change = change.json(&json!({ "roles": ["support"] }));
    admin.send(change).await.expect(200);
    shut(with, "a change of roles", &doors).await;

    // Somebody chooses another password, elsewhere. Not one of those above: a token of the very second in
    // which older ones were revoked is not good.
    let elsewhere = stage.demo(&stage.client(5), "admin", 0).await;
    let here = stage.demo(&stage.client(6), "admin", 0).await;
    let doors = self::doors(&stage, &beside, &here, 6).await;
    open(&doors).await;
    let new = json!({ "password": "quite another long phrase" });
    let change = elsewhere.request(Method::PUT, "/v1/me/password").json(&new);
    let changed = elsewhere.send(change).await;
    assert!((200..300).contains(&changed.status), "{changed:#?}");
    shut(with, "a new password", &doors).await;
}

/// The n-th of the demo's users, at an address of their own, and their id.
async fn person(stage: &Stage, host: u8, nth: usize) -> (Client, String) {
    let client = stage.demo(&stage.client(host), "user", nth).await;
    let me = client.get("/v1/me").await.expect(200);
    (client, text(&me["id"]).to_owned())
}

/// A way to somebody's profile, at one of the gateways.
#[derive(Clone)]
struct Door {
    client: Client,
    /// A key for programs, in place of the client's token.
    key: Option<String>,
}

impl Door {
    async fn knock(&self, path: &str) -> Answer {
        let request = self.client.request(Method::GET, path);
        let request = match &self.key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        };
        self.client.send(request).await
    }
}

/// One person at each of the gateways, by token and by a key of theirs.
async fn doors(stage: &Stage, beside: &[Beside], who: &Client, host: u8) -> Vec<Door> {
    let wish = json!({ "name": "doors", "scopes": ["profile:read"] });
    let wish = who.request(Method::POST, "/v1/me/api-keys").json(&wish);
    let made = who.send(wish.header("idempotency-key", "doors")).await;
    let key = text(&made.expect(201)["key"]).to_owned();
    let token = Value::from(who.token().expect("they are signed in"));
    let others = beside
        .iter()
        .map(|gateway| stage.client_at(gateway.edge, host));
    let first = std::iter::once(stage.client(host));
    first
        .chain(others)
        .flat_map(|client| {
            let by_token = Door {
                client: client.with(&token),
                key: None,
            };
            let by_key = Door {
                client,
                key: Some(key.clone()),
            };
            [by_token, by_key]
        })
        .collect()
}

async fn open(doors: &[Door]) {
    for door in doors {
        door.knock("/v1/me").await.expect(200);
    }
}

/// Knocks at all of them at once until each refuses.
async fn shut(with: &str, what: &str, doors: &[Door]) {
    let begun = Instant::now();
    let mut knocking = JoinSet::new();
    for door in doors {
        let door = door.clone();
        knocking.spawn(async move {
            while door.knock("/v1/me").await.status == 200 {
                assert!(begun.elapsed() < PROMISED, "open after {PROMISED:?}");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            let took = begun.elapsed();
            let refused = door.knock("/v1/wallets").await;
            assert!(matches!(refused.status, 401 | 403), "{refused:#?}");
            took
        });
    }
    let took = knocking.join_all().await;
    println!("{with}: {what} is felt at three gateways after {took:?}");
    assert!(took.iter().all(|took| *took < PROMISED), "{took:?}");
}
