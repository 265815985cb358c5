//! Who is revoked comes in no more, and what they have open is cut: by push, by the feed alone, and
//! through every outage of the two.

#![expect(
    clippy::print_stdout,
    reason = "how long a revocation takes is to be seen, not only that it is short enough"
)]

pub(crate) mod list;

use std::time::{Duration, Instant};

use local::redis::Server;

use crate::stage::{PATIENCE, Stage, Wire};
use list::{Address, List};

/// Whatever is revoked is out within this time.
const BOUND: Duration = Duration::from_secs(1);
/// The same where only the feed tells, which leaves less to a machine that is busy with other tests.
const BUSY: Duration = Duration::from_secs(2);
const HANDSHAKE: &str = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn table(redis: Option<&Address>, revocation: &str) -> String {
    let redis = redis.map_or(String::new(), |file| {
        format!("redis: $file:{}", file.path().display())
    });
    format!(
        "
{redis}
auth:
  user:
    test_who: {{}}
    revocation: {{ feed: origin, {revocation} }}
routes:
  - {{ id: live, match: {{ method: GET, path: /live }}, to: origin, auth: user, websocket: true }}
  - {{ id: drip, match: {{ method: GET, path: /drip }}, to: origin, auth: user }}
  - {{ id: slow, match: {{ method: GET, path: /slow }}, to: origin, auth: user }}
  - {{ id: me, match: {{ method: GET, path: /me }}, to: origin, auth: user }}
  - {{ id: open, match: {{ method: GET, path: /open }}, to: origin, auth: none, why_public: a test }}
"
    )
}

async fn gateway(list: &List, redis: Option<&Address>, revocation: &str) -> Stage {
    Stage::before(list.origin().await, "", &table(redis, revocation)).await
}

fn who(user: &str, session: &str) -> String {
    format!("x-test-user: {user}\r\nx-test-session: {session}\r\n")
}

/// A WebSocket that works.
async fn socket(stage: &Stage, who: &str) -> Wire {
    let mut wire = stage.connect().await;
    wire.send(format!("GET /live HTTP/1.1\r\n{HANDSHAKE}{who}\r\n"))
        .await;
    let head = wire.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    echoes(&mut wire).await;
    wire
}

async fn echoes(wire: &mut Wire) {
    wire.send("ping").await;
    wire.until("ping").await;
}

/// The status of an ordinary request, and its code when that is a problem.
async fn me(stage: &Stage, who: &str) -> (u16, String) {
    let answer = stage.get("/me", who).await;
    let code = (answer.status != 200).then(|| answer.code());
    (answer.status, code.unwrap_or_default())
}

/// How long it takes until a new request is refused.
async fn refused_after(stage: &Stage, who: &str, begun: Instant) -> Duration {
    let refused = async {
        loop {
            match me(stage, who).await {
                (200, _) => tokio::time::sleep(Duration::from_millis(2)).await,
                answer => {
                    assert_eq!(answer, (401, "token_revoked".to_owned()));
                    return begun.elapsed();
                }
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await;
    refused.expect("they are still let in")
}

fn event(event: &str) -> String {
    format!("gateway_revocation_events_total{{event=\"{event}\",feed=\"origin\"}}")
}

/// Waits until a gateway relies on pushes.
async fn pushed(stage: &Stage, pushed: f64) {
    let line = "gateway_revocation_pushed{feed=\"origin\"}";
    stage.metric_becomes(line, pushed).await;
}

#[tokio::test]
async fn gateway_26_three_gateways_refuse_and_cut_within_a_second_of_a_push() {
    let server = Server::start().unwrap();
    let redis = redis::Client::open(server.url()).unwrap();
    let address = Address::of(&server.url());
    let list = List::default();
    let _pulse = list.pulse(&redis);
    let (ann, bob) = (who("ann", "s1"), who("bob", "s2"));
    let mut gateways = Vec::new();
    for _ in 0..3 {
        let stage = gateway(&list, Some(&address), "on_outage: deny").await;
        pushed(&stage, 1.0).await;
        let open = (socket(&stage, &ann).await, socket(&stage, &bob).await);
        let mut drip = stage.connect().await;
        let head = format!("GET /drip HTTP/1.1\r\nHost: a\r\n{ann}\r\n");
        drip.send(head).await;
        drip.until(":\n\n").await;
        assert_eq!(me(&stage, &ann).await.0, 200);
        gateways.push((stage, open, drip));
    }

    let asked = list.asked();
    let begun = Instant::now();
    let number = list.revoke("s1");
    list.push(&redis, number - 1).await;
    for (stage, _, _) in &gateways {
        let took = refused_after(stage, &ann, begun).await;
        println!("a new request is refused {took:?} after the revocation");
        assert!(took < BOUND, "{took:?}");
    }
    for (_, (socket, _), drip) in &mut gateways {
        for (what, wire) in [("a WebSocket", socket), ("a stream", drip)] {
            wire.rest().await;
            let took = begun.elapsed();
            println!("{what} is cut {took:?} after the revocation");
            assert!(took < BOUND, "{what} {took:?}");
        }
    }
    println!("feeds asked meanwhile: {}", list.asked() - asked);
    for (stage, (_, other), _) in &mut gateways {
        echoes(other).await;
        assert_eq!(me(stage, &bob).await.0, 200, "bob is another");
        assert_eq!(
            stage.get("/open", &ann).await.status,
            200,
            "nobody is asked for"
        );
        let lag = "gateway_revocation_lag_seconds_count{by=\"push\",feed=\"origin\"}";
        assert!(stage.metric(lag) >= 1.0);
        assert_eq!(
            stage.metric("gateway_revocation_cut_total{feed=\"origin\"}"),
            2.0
        );
        assert_eq!(
            stage.metric("gateway_revocation_marks{feed=\"origin\"}"),
            1.0
        );
    }
    let (stage, open, _) = gateways.remove(0);
    drop(open);
    let records = stage.records().await;
    let cut = |record: &&serde_json::Value| {
        record["code"] == "token_revoked" && record["refused_by"] == "revocation"
    };
    let routes = records
        .iter()
        .filter(cut)
        .map(|record| record["route"].clone());
    let mut routes: Vec<String> = routes.map(|route| route.to_string()).collect();
    routes.sort();
    routes.dedup();
    assert_eq!(routes, ["\"drip\"", "\"live\"", "\"me\""]);
}

#[tokio::test]
async fn gateway_26_a_stream_of_http2_is_cut_and_its_neighbour_goes_on() {
    let list = List::default();
    let stage = gateway(&list, None, "on_outage: deny").await;
    let client = stage.client(true);
    let ask = |user: &'static str, session: &'static str| {
        let request = client.get(stage.url("/drip"));
        request
            .header("x-test-user", user)
            .header("x-test-session", session)
    };
    let mut anns = ask("ann", "s1").send().await.unwrap();
    let mut bobs = ask("bob", "s2").send().await.unwrap();
    assert_eq!(anns.version(), http::Version::HTTP_2);
    list.revoke("s1");
    let begun = Instant::now();
    let cut = async { while let Ok(Some(_)) = anns.chunk().await {} };
    tokio::time::timeout(PATIENCE, cut).await.unwrap();
    assert!(begun.elapsed() < BUSY, "{:?}", begun.elapsed());
    for _ in 0..5 {
        assert!(bobs.chunk().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn gateway_26_without_redis_the_feed_alone_is_quick_enough() {
    let list = List::default();
    let stage = gateway(&list, None, "on_outage: deny").await;
    let ann = who("ann", "s1");
    let mut open = socket(&stage, &ann).await;
    let begun = Instant::now();
    list.ban("ann", 1_000_000_001);
    let took = refused_after(&stage, &ann, begun).await;
    println!("by the feed alone refused {took:?} after the ban");
    assert!(took < BUSY, "{took:?}");
    open.rest().await;
    println!("and cut {:?} after it", begun.elapsed());
    assert!(begun.elapsed() < BUSY);
    list.ban("bob", 1_000_000_000);
    list.revoke("s9");
    let later = refused_after(&stage, &who("carl", "s9"), Instant::now()).await;
    assert!(later < BUSY);
    assert_eq!(
        me(&stage, &who("bob", "s2")).await.0,
        200,
        "proved after it"
    );
}

#[tokio::test]
async fn a_gateway_that_starts_knows_before_it_lets_anybody_in() {
    let list = List::default();
    for session in 0..2_500 {
        list.revoke(&format!("s{session}"));
    }
    let stage = gateway(&list, None, "on_outage: allow").await;
    for session in ["s0", "s1000", "s2499"] {
        let refused = me(&stage, &who("ann", session)).await;
        assert_eq!(refused, (401, "token_revoked".to_owned()));
    }
    let lag = "gateway_revocation_lag_seconds_count{by=\"feed\",feed=\"origin\"}";
    assert_eq!(
        stage.metric(lag),
        0.0,
        "what is older than we are came not late"
    );
}

#[tokio::test]
async fn gateway_26_what_was_pushed_while_nobody_listened_is_caught_up() {
    let server = Server::start().unwrap();
    let redis = redis::Client::open(server.url()).unwrap();
    let address = Address::of(&server.url());
    let list = List::default();
    let _pulse = list.pulse(&redis);
    let stage = gateway(&list, Some(&address), "on_outage: deny").await;
    pushed(&stage, 1.0).await;

    // A message that this gateway never gets: the next pulse tells that there is one.
    list.revoke("s1");
    let took = refused_after(&stage, &who("ann", "s1"), Instant::now()).await;
    assert!(took < BUSY, "{took:?}");
    assert!(stage.metric(&event("missed")) >= 1.0);

    // One that skips another.
    list.revoke("s2");
    let second = list.revoke("s3");
    list.push(&redis, second - 1).await;
    for session in ["s2", "s3"] {
        let took = refused_after(&stage, &who("ann", session), Instant::now()).await;
        assert!(took < BUSY, "{took:?}");
    }

    // And noise.
    let mut line = redis.get_multiplexed_async_connection().await.unwrap();
    for noise in [
        "",
        "{}",
        "nonsense",
        r#"{"after":9,"next":3,"head":1,"lost":false,"at_ms":0,"items":[]}"#,
    ] {
        let _: () = redis::AsyncCommands::publish(&mut line, "vorota:revocations:origin", noise)
            .await
            .unwrap();
    }
    assert_eq!(me(&stage, &who("ann", "s4")).await.0, 200);
}

#[tokio::test]
async fn gateway_33_redis_may_die_and_come_back_and_be_slow() {
    let server = Server::start().unwrap();
    let port = server.port();
    let redis = redis::Client::open(server.url()).unwrap();
    let address = Address::of(&server.url());
    let list = List::default();
    let _pulse = list.pulse(&redis);
    let stage = gateway(&list, Some(&address), "on_outage: deny").await;
    pushed(&stage, 1.0).await;

    drop(server);
    let begun = Instant::now();
    list.revoke("s1");
    let took = refused_after(&stage, &who("ann", "s1"), begun).await;
    println!("as Redis dies, refused {took:?} after the revocation");
    assert!(took < BUSY, "{took:?}");
    pushed(&stage, 0.0).await;
    list.revoke("s2");
    let took = refused_after(&stage, &who("ann", "s2"), Instant::now()).await;
    println!("without Redis, refused {took:?} after the revocation");
    assert!(took < BUSY, "{took:?}");

    let _server = Server::start_on(port).unwrap();
    pushed(&stage, 1.0).await;
    let number = list.revoke("s3");
    list.push(&redis, number - 1).await;
    let took = refused_after(&stage, &who("ann", "s3"), Instant::now()).await;
    println!("with Redis again, refused {took:?} after the push");
    assert!(took < BUSY, "{took:?}");

    // It holds everything back for two seconds.
    let mut line = redis.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("CLIENT")
        .arg(&["PAUSE", "2000", "ALL"])
        .query_async(&mut line)
        .await
        .unwrap();
    let begun = Instant::now();
    list.revoke("s4");
    let took = refused_after(&stage, &who("ann", "s4"), begun).await;
    println!("with a slow Redis, refused {took:?} after the revocation");
    assert!(took < BUSY, "{took:?}");
    assert_eq!(stage.metric(&event("outage")), 0.0);
}

#[tokio::test]
async fn gateway_33_when_both_are_away_the_table_says_what_holds() {
    for (rule, passes) in [("allow", true), ("deny", false)] {
        let list = List::default();
        list.revoke("s1");
        let stage = gateway(&list, None, &format!("on_outage: {rule}, patience: 2s")).await;
        let (ann, bob) = (who("ann", "s1"), who("bob", "s2"));
        let mut open = socket(&stage, &bob).await;
        list.set_away(true);
        assert_eq!(me(&stage, &bob).await.0, 200, "not before its time");
        stage.metric_becomes(&event("outage"), 1.0).await;
        let known = (401, "token_revoked".to_owned());
        assert_eq!(
            me(&stage, &ann).await,
            known,
            "who is known to be revoked is"
        );
        assert_eq!(stage.get("/open", "").await.status, 200);
        if passes {
            assert_eq!(me(&stage, &bob).await.0, 200);
            echoes(&mut open).await;
            let unjudged = "gateway_revocation_unjudged_total{feed=\"origin\"}";
            assert_eq!(stage.metric(unjudged), 1.0);
        } else {
            let answer = me(&stage, &bob).await;
            assert_eq!(answer, (503, "revocation_unavailable".to_owned()));
            open.rest().await;
        }
        list.set_away(false);
        let back = async {
            while me(&stage, &bob).await.0 != 200
                || stage.metric("gateway_revocation_silence_seconds{feed=\"origin\"}") > 1.0
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, back).await.unwrap();
    }
}

#[tokio::test]
async fn who_could_be_revoked_unheard_must_come_anew() {
    let list = List::default();
    list.revoke("s1");
    let stage = gateway(&list, None, "on_outage: allow").await;
    let bob = who("bob", "s2");
    let mut open = socket(&stage, &bob).await;
    list.set_away(true);
    list.revoke("s3");
    list.sweep();
    list.set_away(false);
    open.rest().await;
    assert_eq!(stage.metric(&event("lost")), 1.0);
    let mut open = socket(&stage, &bob).await;

    // A feed that begins anew is read from its start.
    list.begin_anew();
    stage.metric_becomes(&event("reset"), 1.0).await;
    list.revoke("s4");
    let took = refused_after(&stage, &who("ann", "s4"), Instant::now()).await;
    assert!(took < BUSY, "{took:?}");
    echoes(&mut open).await;
}

/// The logout that revokes the very session which it comes in is answered.
#[tokio::test]
async fn what_ends_by_itself_in_a_moment_is_not_cut() {
    let list = List::default();
    let stage = gateway(&list, None, "on_outage: deny").await;
    let ann = who("ann", "s1");
    list.revoke("s1");
    let begun = Instant::now();
    // One is always under way, also when the revocation arrives.
    while stage.get("/slow", &ann).await.status == 200 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let cut = "gateway_revocation_cut_total{feed=\"origin\"}";
    assert_eq!(stage.metric(cut), 0.0);
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_and_gateways_without_a_feed_ask_nobody() {
    let list = List::default();
    let stage = gateway(&list, None, "on_outage: deny").await;
    let ann = who("ann", "s1");
    list.revoke("s1");
    refused_after(&stage, &ann, Instant::now()).await;
    list.set_away(true);
    stage
        .reload("", &table(None, "on_outage: deny, patience: 30s"))
        .await;
    assert_eq!(me(&stage, &ann).await.0, 401);
    let without = table(None, "on_outage: deny")
        .lines()
        .filter(|line| !line.contains("revocation:"))
        .collect::<Vec<_>>()
        .join("\n");
    stage.reload("", &without).await;
    let asked = list.asked();
    assert_eq!(
        me(&stage, &ann).await.0,
        200,
        "nobody wants to know any more"
    );
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(list.asked() <= asked + 1, "and nobody asks");
}

#[tokio::test]
async fn gateway_26_another_redis_makes_nobody_forget_who_is_revoked() {
    let list = List::default();
    let stage = gateway(&list, None, "on_outage: deny, patience: 30s").await;
    let ann = who("ann", "s1");
    list.revoke("s1");
    refused_after(&stage, &ann, Instant::now()).await;
    let mut open = socket(&stage, &who("bob", "s2")).await;
    list.set_away(true);
    // Nobody listens there.
    let redis = Address::of("redis://127.0.0.1:1");
    stage
        .reload("", &table(Some(&redis), "on_outage: deny, patience: 30s"))
        .await;
    assert_eq!(me(&stage, &ann).await.0, 401);
    list.set_away(false);
    list.revoke("s2");
    open.rest().await;
}
