//! The same limit in several gateways, before a real Redis.

use std::pin::Pin;
use std::time::Instant;

use ::local::redis::Server;
use plugin_sdk::{SystemClock, Tasks};

use super::*;

struct OnTokio;

impl Tasks for OnTokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

/// A gateway of its own: what it keeps, no other one finds.
struct Gateway {
    chain: Chain,
}

impl Gateway {
    fn new(url: &str, config: Value) -> Self {
        let mut lent = TestEnv::new("", Arc::new(OnTokio));
        lent.env.clock = Arc::new(SystemClock::default());
        lent.env.redis = Some(url.into());
        let chain = chain(&lent, config).expect("builds");
        Self { chain }
    }

    async fn call(&self, client: &str) -> Call {
        call(&self.chain, from(client)).await
    }

    async fn passed(&self, client: &str, calls: usize) -> usize {
        let mut passed = 0;
        for _ in 0..calls {
            passed += usize::from(self.call(client).await.status == 200);
        }
        passed
    }
}

fn strict(on_outage: &str) -> Value {
    json!({ "per": "ip", "rate": "5/1m", "scope": "cluster", "on_outage": on_outage })
}

fn bucket(on_outage: &str) -> Value {
    json!({ "per": "ip", "rate": "20/1s", "burst": 100, "scope": "cluster", "on_outage": on_outage })
}

/// What is counted must not hang on how busy this machine is; how long calls wait is tested apart.
fn patient(mut config: Value) -> Value {
    config["wait"] = "5s".into();
    config
}

async fn command(url: &str, words: &[&str]) {
    let client = ::redis::Client::open(url).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let mut command = ::redis::Cmd::new();
    command.arg(words);
    let _: ::redis::Value = command
        .query_async(&mut connection)
        .await
        .expect("an answer");
}

/// Calls until one is answered so; an outage ends when it ends.
async fn until(gateway: &Gateway, status: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if gateway.call("192.0.2.99").await.status == status {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_sixth_login_is_refused_wherever_it_comes_in() {
    let redis = Server::start().expect("a Redis");
    let gateways = [
        Gateway::new(&redis.url(), patient(strict("deny"))),
        Gateway::new(&redis.url(), patient(strict("deny"))),
    ];
    let mut statuses = Vec::new();
    for turn in 0..8 {
        statuses.push(gateways[turn % 2].call("192.0.2.1").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    let refused = gateways[0].call("192.0.2.1").await;
    let wait = refused
        .retry_after
        .as_deref()
        .and_then(|wait| wait.parse::<u64>().ok());
    assert!(
        wait.is_some_and(|wait| (30..=60).contains(&wait)),
        "{refused:?}"
    );
    assert_eq!(gateways[0].passed("192.0.2.2", 1).await, 1);
}

#[tokio::test]
async fn a_crowd_on_one_key_gets_no_more_than_its_due() {
    let redis = Server::start().expect("a Redis");
    for (config, most) in [(strict("deny"), 5), (bucket("deny"), 100)] {
        let gateways: Vec<_> = (0..3)
            .map(|_| Arc::new(Gateway::new(&redis.url(), patient(config.clone()))))
            .collect();
        let start = Instant::now();
        let crowd: Vec<_> = (0..300)
            .map(|turn| {
                let gateway = Arc::clone(&gateways[turn % 3]);
                tokio::spawn(async move { gateway.passed("192.0.2.1", 1).await })
            })
            .collect();
        let mut passed = 0;
        for one in crowd {
            passed += one.await.expect("an answer");
        }
        // What came back meanwhile, at 20 a second; and the leases that may lie unspent.
        let back = if most == 100 {
            start.elapsed().as_secs() as usize * 20 + 20
        } else {
            0
        };
        assert!(passed <= most + back, "{passed} of {most}");
        assert!(
            passed >= most - if most == 100 { 30 } else { 0 },
            "{passed} of {most}"
        );
    }
}

#[tokio::test]
async fn a_busy_key_rarely_asks() {
    let redis = Server::start().expect("a Redis");
    let gateway = Gateway::new(&redis.url(), patient(bucket("deny")));
    for _ in 0..60 {
        assert_eq!(gateway.call("192.0.2.1").await.status, 200);
        // Room for what runs in the background, as there is between two requests.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let client = ::redis::Client::open(redis.url()).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let stats: String = ::redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .expect("stats");
    let asked: usize = stats
        .lines()
        .filter(|line| line.starts_with("cmdstat_eval"))
        .filter_map(|line| {
            line.split_once("calls=")?
                .1
                .split(',')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum();
    assert!((6..=14).contains(&asked), "{asked} questions for 60 calls");
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_loaded_again() {
    let redis = Server::start().expect("a Redis");
    let gateway = Gateway::new(&redis.url(), patient(strict("deny")));
    assert_eq!(gateway.passed("192.0.2.1", 2).await, 2);
    command(&redis.url(), &["SCRIPT", "FLUSH"]).await;
    assert_eq!(gateway.passed("192.0.2.1", 9).await, 3);
}

#[tokio::test]
async fn without_redis_the_table_says_what_holds() {
    // Nobody listens there.
    let url = "redis://127.0.0.1:1";
    let local = Gateway::new(url, strict("local"));
    assert_eq!(local.passed("192.0.2.1", 9).await, 5);
    let allow = Gateway::new(url, strict("allow"));
    assert_eq!(allow.passed("192.0.2.1", 9).await, 9);
    let deny = Gateway::new(url, strict("deny")).call("192.0.2.1").await;
    assert_eq!((deny.status, deny.retry_after.as_deref()), (503, Some("1")));
}

#[tokio::test]
async fn a_redis_that_dies_and_comes_back_counts_again() {
    let redis = Server::start().expect("a Redis");
    let (url, port) = (redis.url(), redis.port());
    let local = Gateway::new(&url, patient(strict("local")));
    let deny = Gateway::new(&url, patient(strict("deny")));
    assert_eq!(local.passed("192.0.2.1", 3).await, 3);
    assert_eq!(deny.call("192.0.2.3").await.status, 200);

    drop(redis);
    // The three are not forgotten: an outage is no way round a limit.
    assert_eq!(local.passed("192.0.2.1", 9).await, 2);
    assert_eq!(deny.call("192.0.2.3").await.status, 503);

    let _redis = Server::start_on(port).expect("the Redis again");
    assert!(until(&deny, 200).await, "it counts again");
}

#[tokio::test]
async fn nobody_waits_for_a_redis_that_is_slow() {
    let redis = Server::start().expect("a Redis");
    let allow = Gateway::new(&redis.url(), strict("allow"));
    assert_eq!(allow.call("192.0.2.1").await.status, 200);
    command(&redis.url(), &["CLIENT", "PAUSE", "10000", "ALL"]).await;

    let start = Instant::now();
    let first = allow.call("192.0.2.2").await;
    assert_eq!(first.status, 200);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    let start = Instant::now();
    assert_eq!(allow.passed("192.0.2.2", 100).await, 100);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}
