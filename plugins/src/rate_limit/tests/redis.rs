//! The same limit in several gateways, before a real Redis.

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
struct Gateway {
    chain: Chain,
    meter: Arc<TestMeter>,
}

impl Gateway {
    fn new(url: &str, config: Value) -> Self {
        let mut lent = TestEnv::new("", Arc::new(OnTokio));
        lent.env.clock = Arc::new(SystemClock::default());
        lent.env.redis = Some(url.into());
        let chain = chain(&lent, config).expect("builds");
        let meter = lent.meter;
        Self { chain, meter }
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
async fn gateway_32_a_sixth_login_is_refused_wherever_it_comes_in() {
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
async fn gateway_33_a_script_that_redis_forgot_is_loaded_again() {
    let redis = Server::start().expect("a Redis");
    let gateway = Gateway::new(&redis.url(), patient(strict("deny")));
    assert_eq!(gateway.passed("192.0.2.1", 2).await, 2);
    command(&redis.url(), &["SCRIPT", "FLUSH"]).await;
    assert_eq!(gateway.passed("192.0.2.1", 9).await, 3);
}

#[tokio::test]
async fn gateway_33_without_redis_the_table_says_what_holds() {
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
async fn gateway_33_a_redis_that_dies_and_comes_back_counts_again() {
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
async fn gateway_33_nobody_waits_for_a_redis_that_is_slow() {
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

/// Security case 33: what was the master takes no writes any more, and a moment later again.
#[tokio::test]
async fn gateway_33_a_redis_that_is_a_replica_does_not_count() {
    let redis = Server::start().expect("a Redis");
    let url = redis.url();
    for config in [strict("deny"), bucket("deny")] {
        let deny = Gateway::new(&url, patient(config));
        assert_eq!(deny.call("192.0.2.3").await.status, 200);
        command(&url, &["REPLICAOF", "127.0.0.1", "1"]).await;
        assert!(until(&deny, 503).await, "nobody counts");
        command(&url, &["REPLICAOF", "NO", "ONE"]).await;
        assert!(until(&deny, 200).await, "it counts again");
    }
}

/// After a failover the name leads to another machine, while the old one keeps its connections.
#[tokio::test]
async fn gateway_33_the_new_master_is_found_behind_the_same_name() {
    let (old, new) = (
        Server::start().expect("a Redis"),
        Server::start().expect("a Redis"),
    );
    let leads_to = Arc::new(std::sync::atomic::AtomicU16::new(old.port()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    let name = Arc::clone(&leads_to);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let port = name.load(std::sync::atomic::Ordering::Relaxed);
            tokio::spawn(async move {
                let there = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                let _ =
                    tokio::io::copy_bidirectional(&mut stream, &mut there.expect("it lives")).await;
            });
        }
    });
    let deny = Gateway::new(&url, patient(strict("deny")));
    assert_eq!(deny.call("192.0.2.1").await.status, 200);
    command(&old.url(), &["REPLICAOF", "127.0.0.1", "1"]).await;
    leads_to.store(new.port(), std::sync::atomic::Ordering::Relaxed);
    assert!(until(&deny, 503).await, "the old one refuses");
    assert!(until(&deny, 200).await, "the new one counts");
}

/// Security case 33: whatever says it is Redis, the rule of the table holds and nobody falls over.
#[tokio::test]
async fn gateway_33_answers_without_sense_are_an_outage() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for answer in [
        "+OK\r\n",
        ":7\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*3\r\n:-1\r\n:0\r\n:0\r\n",
        "*3\r\n:4000000000\r\n:4000000000\r\n:5\r\n",
        "*3\r\n:1\r\n:3\r\n:9000000000000000000\r\n",
        "*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\nz\r\n",
        "-ERR no\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut read = vec![0; 4_096];
                    while let Ok(1..) = stream.read(&mut read).await {
                        let many = answer.repeat(8);
                        if answer.is_empty() || stream.write_all(many.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        for config in [strict("local"), bucket("local")] {
            let gateway = Gateway::new(&url, config);
            let most = gateway.passed("192.0.2.1", 300).await;
            assert!((5..=130).contains(&most), "{answer:?}: {most}");
        }
        let deny = Gateway::new(&url, strict("deny"));
        assert_eq!(deny.call("192.0.2.1").await.status, 503, "{answer:?}");
        let outages = deny.meter.of("limits.login", "redis_outage");
        assert!(outages > 0, "{answer:?}: it is asked again and again");
    }
}
