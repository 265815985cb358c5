//! The same penalty in several gateways, before a real Redis.

use std::pin::Pin;
use std::time::Instant;

use ::local::redis::Server;
use plugin_sdk::testing::TestMeter;
use plugin_sdk::{SystemClock, Tasks};

use super::*;

struct OnTokio;

impl Tasks for OnTokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

/// A gateway of its own: what it keeps, no other one finds.
fn gateway(url: &str, on_outage: &str) -> Chain {
    counted(url, on_outage).0
}

/// The same, and what it counts.
fn counted(url: &str, on_outage: &str) -> (Chain, std::sync::Arc<TestMeter>) {
    built(url, on_outage, config())
}

fn built(url: &str, on_outage: &str, mut config: Value) -> (Chain, std::sync::Arc<TestMeter>) {
    let mut lent = TestEnv::new("", std::sync::Arc::new(OnTokio));
    lent.env.clock = std::sync::Arc::new(SystemClock::default());
    lent.env.redis = Some(url.into());
    config["scope"] = "cluster".into();
    config["on_outage"] = on_outage.into();
    (chain(&lent, config).expect("builds"), lent.meter)
}

/// Tries until it is answered so: what is told in the background needs its time.
async fn until(gateway: &Chain, client: &str, status: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        // Neither a failure nor a success.
        if answered(gateway, client, 422).await.0 == status {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn failures_in_one_gateway_are_known_in_the_others() {
    let redis = Server::start().expect("a Redis");
    let gateways: Vec<_> = (0..3).map(|_| gateway(&redis.url(), "local")).collect();
    for gateway in &gateways {
        assert_eq!(answered(gateway, "192.0.2.1", 401).await.0, 401);
    }
    for gateway in &gateways {
        assert!(
            until(gateway, "192.0.2.1", 429).await,
            "it waits everywhere"
        );
        assert_eq!(answered(gateway, "192.0.2.2", 422).await.0, 422);
    }
}

/// Waits until Redis has something of the one caller in a field of their record.
async fn until_redis_has(url: &str, field: &str, fits: impl Fn(&str) -> bool) {
    let client = ::redis::Client::open(url).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let start = Instant::now();
    loop {
        let keys: Vec<Vec<u8>> = ::redis::cmd("KEYS")
            .arg("vorota:penalty:*")
            .query_async(&mut connection)
            .await
            .expect("keys");
        if let Some(key) = keys.first() {
            let value: Option<String> = ::redis::cmd("HGET")
                .arg(key)
                .arg(field)
                .query_async(&mut connection)
                .await
                .expect("a field");
            if value.is_some_and(|value| fits(&value)) {
                return;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{field}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_success_in_one_gateway_clears_all() {
    let redis = Server::start().expect("a Redis");
    let url = redis.url();
    let (one, other) = (gateway(&url, "local"), gateway(&url, "local"));
    for _ in 0..2 {
        assert_eq!(answered(&one, "192.0.2.1", 401).await.0, 401);
    }
    until_redis_has(&url, "f", |failures| failures.split(' ').count() == 2).await;
    let start = Instant::now();
    let cleared = async {
        // It tells of a success once it has learned that there were failures.
        let succeeds = async {
            while start.elapsed() < Duration::from_secs(10) {
                answered(&other, "192.0.2.1", 200).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = until_redis_has(&url, "f", str::is_empty) => true,
            () = succeeds => false,
        }
    };
    assert!(cleared.await);
}

/// What a milder table has counted is no nonsense to a stricter one: else whoever failed often
/// could take the penalty down for all.
#[tokio::test]
async fn gateway_32_what_was_counted_by_a_milder_rule_counts_by_a_stricter_one() {
    let redis = Server::start().expect("a Redis");
    let url = redis.url();
    let mut mild = config();
    mild["failures"] = "2/15m".into();
    mild["penalty"] = json!({ "from": "1h", "to": "1h" });
    let (mild, _) = built(&url, "local", mild);
    for _ in 0..2 {
        assert_eq!(answered(&mild, "192.0.2.1", 401).await.0, 401);
    }
    until_redis_has(&url, "l", |level| level == "1").await;
    let mut strict = config();
    strict["failures"] = "1/15m".into();
    let (strict, _) = built(&url, "local", strict);
    assert!(until(&strict, "192.0.2.1", 429).await, "it waits here too");
}

#[tokio::test]
async fn gateway_33_without_redis_the_table_says_what_holds() {
    // Nobody listens there.
    let url = "redis://127.0.0.1:1";
    for (on_outage, statuses) in [
        ("local", [401, 401, 401, 429, 429]),
        ("allow", [401, 401, 401, 401, 401]),
        ("deny", [503, 503, 503, 503, 503]),
    ] {
        let (gateway, meter) = counted(url, on_outage);
        let start = Instant::now();
        while meter.of("limits.tries", "redis_outage") == 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "no outage");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for status in statuses {
            assert_eq!(answered(&gateway, "192.0.2.1", 401).await.0, status);
        }
    }
}
