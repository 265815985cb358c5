use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use plugin_sdk::testing::{NoTasks, StoppedClock, TestEnv, TestMeter, TestRequest};
use plugin_sdk::{
    Chain, Facts, FetchError, Form, Kind, Lent, Link, Principal, Sent, Tasks, Upstreams,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;

struct OnTokio;

impl Tasks for OnTokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

/// The upstream: keys by their hashes.
struct Users {
    keys: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<Value>>,
    /// Each answer takes one; a test that holds them back holds the answers back.
    turns: Semaphore,
    status: Mutex<Option<u16>>,
}

impl Upstreams for Users {
    fn ask<'a>(
        &'a self,
        upstream: &'a str,
        _asker: &'a str,
        request: http::Request<Bytes>,
        _limit: usize,
    ) -> Sent<'a> {
        assert_eq!(
            (upstream, request.uri().path()),
            ("users", "/internal/v1/api-keys/resolve")
        );
        let question: Value = serde_json::from_slice(request.body()).expect("JSON");
        self.asked.lock().expect("no panic").push(question.clone());
        Box::pin(async move {
            self.turns.acquire().await.expect("open").forget();
            let status = *self.status.lock().expect("no panic");
            let keys = self.keys.lock().expect("no panic");
            let answer = match (status, keys.get(question["hash"].as_str().expect("a hash"))) {
                (Some(0), _) => return Err(FetchError("connection refused".into())),
                (Some(status), _) => Response::builder().status(status).body(Bytes::new()),
                (None, None) => Response::builder().status(404).body(Bytes::new()),
                (None, Some(known)) => Response::builder().body(known.to_string().into()),
            };
            Ok(answer.expect("well-formed"))
        })
    }
}

struct Stage {
    users: Arc<Users>,
    clock: Arc<StoppedClock>,
    meter: Arc<TestMeter>,
    env: Env,
    chain: Chain,
}

impl Stage {
    fn new() -> Self {
        Self::with(json!({}))
    }

    fn with(change: Value) -> Self {
        let users = Arc::new(Users {
            keys: Mutex::default(),
            asked: Mutex::default(),
            turns: Semaphore::new(100_000),
            status: Mutex::default(),
        });
        let lent = TestEnv::default();
        let env = Env::new(
            "".into(),
            Lent {
                clock: lent.clock.clone(),
                tasks: Arc::new(OnTokio),
                fetch: lent.fetch,
                upstreams: users.clone(),
                meter: lent.meter.clone(),
            },
        );
        let env = env.named("auth.key.api_key");
        let chain = chain(&env, change).expect("builds");
        Self {
            users,
            clock: lent.clock,
            meter: lent.meter,
            env,
            chain,
        }
    }

    /// Makes a key with what is special about it.
    fn key(&self, id: &str, change: Value) -> String {
        let text = ApiKey::write("gk_", id, &[id.len() as u8; 32]);
        let hash = ApiKey::parse(&text, "gk_").expect("a key").hash();
        let mut known = json!({
            "sub": "u1", "scopes": ["a:read"], "key": id, "issued_at": 7, "networks": [],
        });
        for (key, value) in change.as_object().expect("fields") {
            known[key] = value.clone();
        }
        let hash = URL_SAFE_NO_PAD.encode(hash);
        self.users
            .keys
            .lock()
            .expect("no panic")
            .insert(hash, known);
        text
    }

    fn forget_keys(&self) {
        self.users.keys.lock().expect("no panic").clear();
    }

    fn fail_with(&self, status: Option<u16>) {
        *self.users.status.lock().expect("no panic") = status;
    }

    async fn ask(&self, key: &str) -> (u16, Facts) {
        self.ask_from(key, "192.0.2.1").await
    }

    async fn ask_from(&self, key: &str, client: &str) -> (u16, Facts) {
        let mut request = TestRequest::new("GET", "/")
            .header("x-api-key", key)
            .from(client);
        let reply = request.run(&self.chain).await;
        (
            reply.map_or(0, |reply| reply.status.as_u16()),
            request.facts,
        )
    }

    fn asked(&self) -> usize {
        self.users.asked.lock().expect("no panic").len()
    }
}

fn chain(env: &Env, change: Value) -> Result<Chain, BuildError> {
    let mut config = json!({ "upstream": "users" });
    for (key, value) in change.as_object().expect("fields") {
        config[key] = value.clone();
    }
    let plugin = Kind::of::<Plugin>().build(config, env)?;
    Ok(Chain::new(vec![Link::new("key", plugin)]))
}

/// A key that is well-formed and nobody's.
fn made_up(n: u8) -> String {
    ApiKey::write("gk_", "stranger", &[n; 32])
}

#[tokio::test]
async fn a_good_key_says_who_is_calling_and_is_asked_about_once() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({ "expires_at": 2_000_000_000 }));
    for _ in 0..3 {
        let (status, facts) = stage.ask(&key).await;
        assert_eq!(status, 0);
        let expected = Principal {
            sub: "u1".into(),
            scopes: vec!["a:read".into()],
            ..Principal::default()
        };
        assert_eq!(facts.principal.as_deref(), Some(&expected));
        let proof = facts.proof.expect("a proof");
        assert_eq!(
            (&*proof.way, proof.form, proof.key.as_deref()),
            ("key", Form::Key, Some("k1"))
        );
        assert_eq!(
            (proof.issued_at, proof.expires_at),
            (7, Some(2_000_000_000))
        );
    }
    assert_eq!(stage.asked(), 1);
    stage.clock.advance(Duration::from_secs(30));
    assert_eq!(stage.ask(&key).await.0, 0);
    assert_eq!(
        stage.asked(),
        2,
        "what is remembered is asked about again after a while"
    );
}

/// Security case 28: no secret leaves the gateway, not even to who issued it.
#[tokio::test]
async fn gateway_28_a_question_holds_no_key() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    stage.ask(&key).await;
    let asked = stage.users.asked.lock().expect("no panic").clone();
    let hash = ApiKey::parse(&key, "gk_").expect("a key").hash();
    assert_eq!(
        asked,
        [json!({ "id": "k1", "hash": URL_SAFE_NO_PAD.encode(hash) })]
    );
}

#[tokio::test]
async fn gateway_28_a_key_that_is_not_good_is_a_401() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({ "expires_at": 1_767_225_600 + 60 }));
    let cut = &key[..key.len() - 1];
    let mistyped = key.replacen("k1", "k2", 1);
    for bad in [made_up(1).as_str(), cut, &mistyped, "gk_", "gk_live_x_y"] {
        let (status, facts) = stage.ask(bad).await;
        assert_eq!(status, 401, "{bad}");
        assert!(facts.principal.is_none() && facts.proof.is_none(), "{bad}");
    }
    assert_eq!(stage.asked(), 1, "only what could be a key is asked about");

    assert_eq!(stage.ask(&key).await.0, 0);
    stage.clock.advance(Duration::from_secs(29));
    assert_eq!(stage.ask(&key).await.0, 0);
    stage.clock.advance(Duration::from_secs(31));
    assert_eq!(
        stage.ask(&key).await.0,
        401,
        "expired while it was remembered, or not"
    );
    // A remembered one expires as well, to the second.
    let short = stage.key("k11", json!({ "expires_at": 1_767_225_600 + 70 }));
    assert_eq!(stage.ask(&short).await.0, 0);
    stage.clock.advance(Duration::from_secs(10));
    let asked = stage.asked();
    assert_eq!(stage.ask(&short).await.0, 401);
    assert_eq!(stage.asked(), asked, "told from memory");
}

/// Security case 27: only the configured place counts.
#[tokio::test]
async fn gateway_27_a_key_elsewhere_is_no_key() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    let elsewhere = [
        TestRequest::new("GET", &format!("/?api_key={key}&x-api-key={key}")),
        TestRequest::new("GET", "/").header("cookie", &format!("x-api-key={key}")),
        TestRequest::new("GET", "/").header("authorization", &format!("Bearer {key}")),
        TestRequest::new("GET", "/").header("authorization", &format!("ApiKey {key}")),
        TestRequest::new("GET", "/").header("x_api_key", &key),
    ];
    for mut request in elsewhere {
        let reply = request.run(&stage.chain).await;
        assert!(reply.is_none() && request.facts.principal.is_none());
    }
    let mut two = TestRequest::new("GET", "/")
        .header("x-api-key", &key)
        .header("x-api-key", &key);
    let reply = two.run(&stage.chain).await.expect("a refusal");
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "bad_request"));
    assert_eq!(stage.asked(), 0);
    let credentials = stage.chain.links()[0].plugin.credentials();
    assert_eq!(
        credentials,
        ["x-api-key"],
        "what the gateway keeps from upstreams"
    );
}

#[tokio::test]
async fn a_key_may_come_under_a_scheme_instead() {
    let stage = Stage::with(json!({ "scheme": "ApiKey" }));
    let key = stage.key("k1", json!({}));
    for (value, known, unclaimed) in [
        (format!("ApiKey {key}"), true, false),
        (format!("apikey  {key}"), true, false),
        (format!("Bearer {key}"), false, true),
        (key.clone(), false, true),
    ] {
        let mut request = TestRequest::new("GET", "/").header("authorization", &value);
        assert!(request.run(&stage.chain).await.is_none(), "{value}");
        let facts = request.facts;
        assert_eq!(
            (facts.principal.is_some(), facts.unclaimed),
            (known, unclaimed),
            "{value}"
        );
    }
    assert_eq!(
        stage.ask(&key).await.1.principal,
        None,
        "and in no header of its own"
    );
}

#[tokio::test]
async fn another_prefix_is_another_ways() {
    let stage = Stage::new();
    let (status, facts) = stage.ask("sk_live_abc_def").await;
    assert_eq!((status, facts.unclaimed, stage.asked()), (0, true, 0));
}

#[tokio::test]
async fn gateway_28_a_key_is_good_from_its_networks_only() {
    let stage = Stage::new();
    let key = stage.key(
        "k1",
        json!({ "networks": ["192.0.2.0/24", "2001:db8::/32"] }),
    );
    for (client, status) in [
        ("192.0.2.200", 0),
        ("2001:db8:1::1", 0),
        ("::ffff:192.0.2.7", 0),
        ("192.0.3.1", 401),
        ("2001:db9::1", 401),
    ] {
        assert_eq!(stage.ask_from(&key, client).await.0, status, "{client}");
    }
    assert_eq!(
        stage.asked(),
        1,
        "the address is judged with each request, from memory"
    );
    let odd = stage.key("k22", json!({ "networks": ["everywhere"] }));
    assert_eq!(
        stage.ask(&odd).await.0,
        503,
        "what can't be read lets nobody in"
    );
}

/// Security case 33, for keys.
#[tokio::test]
async fn gateway_33_while_users_is_away_known_keys_live_on_and_others_are_not_refused() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    assert_eq!(stage.ask(&key).await.0, 0);
    for status in [0, 500, 503, 401, 200] {
        stage.fail_with(Some(status));
        stage.clock.advance(Duration::from_secs(40));
        assert_eq!(stage.ask(&key).await.0, 0, "known, {status}");
        let mut request = TestRequest::new("GET", "/").header("x-api-key", &made_up(1));
        let reply = request.run(&stage.chain).await.expect("a refusal");
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (503, "auth_unavailable")
        );
    }
    let asked = stage.asked();
    for _ in 0..50 {
        stage.ask(&key).await;
        stage.ask(&made_up(1)).await;
    }
    assert_eq!(
        stage.asked(),
        asked,
        "nobody waits again and again for who does not answer"
    );
    stage.clock.advance(Duration::from_secs(100));
    assert_eq!(stage.ask(&key).await.0, 503, "five minutes are over");
    stage.fail_with(None);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.ask(&key).await.0, 0);
    assert_eq!(stage.ask(&made_up(1)).await.0, 401);
    assert!(stage.meter.of("auth.key.api_key", "lookup_failed") >= 5);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let stage = Stage::new();
    stage.users.turns.forget_permits(100_000);
    let began = tokio::time::Instant::now();
    assert_eq!(stage.ask(&made_up(1)).await.0, 503);
    assert_eq!(began.elapsed(), ANSWER_WITHIN);

    // A key that is known is not held up for as long, and once is enough.
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    assert_eq!(stage.ask(&key).await.0, 0);
    stage.users.turns.forget_permits(100_000);
    stage.clock.advance(Duration::from_secs(30));
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(stage.ask(&key).await.0, 0);
    }
    assert_eq!(began.elapsed(), NEWS_WITHIN);
    assert_eq!(stage.asked(), 2);
}

#[tokio::test]
async fn a_key_that_was_taken_back_is_refused_and_forgotten() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    assert_eq!(stage.ask(&key).await.0, 0);
    stage.forget_keys();
    stage.clock.advance(Duration::from_secs(30));
    assert_eq!(stage.ask(&key).await.0, 401);
    let asked = stage.asked();
    assert_eq!(stage.ask(&key).await.0, 401);
    assert_eq!(
        stage.asked(),
        asked,
        "that there is no such key is remembered,"
    );
    stage.key("k1", json!({}));
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(stage.ask(&key).await.0, 0, "for some seconds");
    // An outage after that must not bring the key back.
    stage.forget_keys();
    stage.clock.advance(Duration::from_secs(30));
    assert_eq!(stage.ask(&key).await.0, 401);
    stage.fail_with(Some(0));
    stage.clock.advance(Duration::from_secs(6));
    assert_eq!(stage.ask(&key).await.0, 503);
}

#[tokio::test]
async fn many_requests_with_one_key_are_one_question() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    stage.users.turns.forget_permits(100_000);
    let asks: Vec<_> = (0..100).map(|_| stage.ask(&key)).collect();
    let let_go = async {
        while stage.asked() == 0 {
            tokio::task::yield_now().await;
        }
        stage.users.turns.add_permits(1);
    };
    let (answers, ()) = tokio::join!(join_all(asks), let_go);
    assert!(answers.iter().all(|(status, _)| *status == 0));
    assert_eq!(stage.asked(), 1);
}

/// Security case 28: a flood of well-formed keys that are nobody's.
#[tokio::test]
async fn gateway_28_a_flood_of_made_up_keys_does_not_reach_users() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    let mut refused = [0_u32; 2];
    for n in 0..200 {
        match stage.ask_from(&made_up(n), "203.0.113.9").await.0 {
            401 => refused[0] += 1,
            429 => refused[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(refused, [20, 180]);
    assert_eq!(stage.asked(), 20);
    assert_eq!(stage.ask(&key).await.0, 0, "others are served");
    stage.clock.advance(Duration::from_secs(10));
    assert_eq!(stage.ask_from(&made_up(201), "203.0.113.9").await.0, 401);

    // At once, and from everywhere.
    stage.users.turns.forget_permits(100_000);
    let before = stage.asked();
    let keys: Vec<(String, String)> = (0..200_u8)
        .map(|n| {
            (
                ApiKey::write("gk_", "flood", &[n; 32]),
                format!("198.51.{n}.1"),
            )
        })
        .collect();
    let one: Vec<_> = keys
        .iter()
        .map(|(key, _)| stage.ask_from(key, "203.0.113.77"))
        .collect();
    let many: Vec<_> = keys
        .iter()
        .map(|(key, client)| stage.ask_from(key, client))
        .collect();
    let let_go = async {
        while stage.asked() < before + 64 {
            tokio::task::yield_now().await;
        }
        stage.users.turns.add_permits(1_000);
    };
    let (one, many, ()) = tokio::join!(join_all(one), join_all(many), let_go);
    assert_eq!(stage.asked(), before + 64);
    let asked = |answers: &[(u16, Facts)]| answers.iter().filter(|it| it.0 == 401).count();
    // The many joined what the one had asked.
    assert_eq!((asked(&one), asked(&many)), (8, 64));
    assert!(one.iter().chain(&many).all(|it| matches!(it.0, 401 | 503)));
}

async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        match pending {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(()),
        }
    })
    .await;
    outputs
        .into_iter()
        .map(|output| output.expect("it is there"))
        .collect()
}

#[tokio::test]
async fn answers_outlive_a_reload_and_not_another_configuration() {
    let stage = Stage::new();
    let key = stage.key("k1", json!({}));
    assert_eq!(stage.ask(&key).await.0, 0);
    for (change, asked) in [(json!({}), 1), (json!({ "cache": "10s" }), 2)] {
        let again = chain(&stage.env, change).expect("builds");
        let mut request = TestRequest::new("GET", "/").header("x-api-key", &key);
        assert!(request.run(&again).await.is_none());
        assert_eq!(stage.asked(), asked);
    }
}

#[tokio::test]
async fn nothing_is_asked_while_a_table_is_checked() {
    let env = TestEnv::new("", Arc::new(NoTasks)).env;
    let chain = chain(&env, json!({})).expect("builds");
    let mut request = TestRequest::new("GET", "/").header("x-api-key", &made_up(1));
    let reply = request.run(&chain).await.expect("a refusal");
    assert_eq!(reply.code(), "auth_unavailable");
}

#[test]
fn a_configuration_that_can_do_no_good_is_refused() {
    for (change, at) in [
        (json!({ "upstream": "" }), "upstream"),
        (json!({ "header": "x api key" }), "header"),
        (json!({ "header": "Authorization" }), "header"),
        (json!({ "header": "x-key", "scheme": "Key" }), "scheme"),
        (json!({ "scheme": "Api Key" }), "scheme"),
        (json!({ "prefix": "" }), "prefix"),
        (json!({ "prefix": "gk" }), "prefix"),
        (json!({ "prefix": "gk-_" }), "prefix"),
        (json!({ "cache": "10ms" }), "cache"),
        (json!({ "cache": "6m" }), "cache"),
        (json!({ "stale": "10s" }), "stale"),
        (json!({ "stale": "2h" }), "stale"),
    ] {
        let error = chain(&TestEnv::default().env, change).err().expect(at);
        assert_eq!(error.at.join("."), at, "{error}");
    }
}
