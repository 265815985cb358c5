//! Keys that are fetched: time stands still but for what a test lets pass.

use std::pin::Pin;

use plugin_sdk::Tasks;

use super::*;

struct OnTokio;

impl Tasks for OnTokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

struct Stage {
    lent: TestEnv,
    chain: Chain,
}

impl Stage {
    fn new(document: Option<&str>) -> Self {
        let lent = TestEnv::new("", Arc::new(OnTokio));
        lent.fetch.set(URL, document);
        Self::with(lent)
    }

    fn with(lent: TestEnv) -> Self {
        let chain = Chain::new(vec![link(&lent.env, config(URL)).expect("builds")]);
        Self { lent, chain }
    }

    /// Lets time pass, for the clock and for what sleeps.
    async fn pass(&self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.lent.clock.advance(time);
        tokio::time::sleep(time).await;
    }

    /// The status that a bearer of the token gets, and the problem's code.
    async fn ask(&self, token: &str) -> (u16, &'static str) {
        let mut request = asked(&[&format!("Bearer {token}")]);
        match request.run(&self.chain).await {
            None => (200, ""),
            Some(reply) => (reply.status.as_u16(), reply.code()),
        }
    }
}

const OK: (u16, &str) = (200, "");
const NO_KEYS: (u16, &str) = (503, "auth_keys_unavailable");
const INVALID: (u16, &str) = (401, "invalid_token");

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_for_the_keys() {
    let issuer = Issuer::new("k1", 1);
    let stage = Stage::new(Some(&issuer.jwks().to_string()));
    assert_eq!(stage.ask(&issuer.token(json!({}))).await, OK);
    assert_eq!(stage.lent.fetch.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_keys_it_is_our_trouble() {
    let issuer = Issuer::new("k1", 1);
    let stage = Stage::new(None);
    let token = issuer.token(json!({ "exp": NOW + 3_600 }));
    assert_eq!(stage.ask(&token).await, NO_KEYS);
    // Nobody's request needs no key.
    assert!(
        TestRequest::new("GET", "/")
            .run(&stage.chain)
            .await
            .is_none()
    );
    for _ in 0..1_000 {
        assert_eq!(stage.ask(&token).await, NO_KEYS);
    }
    assert_eq!(stage.lent.fetch.count(), 1, "a flood is no fetch");

    // Well into the pauses between retries, the next request brings the keys.
    stage.pass(5).await;
    stage.lent.fetch.set(URL, Some(&issuer.jwks().to_string()));
    stage.pass(1).await;
    assert_eq!(stage.ask(&token).await, OK);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_holds_nobody_long() {
    struct Hangs;
    impl plugin_sdk::Fetch for Hangs {
        fn send<'a>(&'a self, _: http::Request<bytes::Bytes>, _: usize) -> plugin_sdk::Sent<'a> {
            Box::pin(std::future::pending())
        }
    }
    let mut lent = TestEnv::new("", Arc::new(OnTokio));
    lent.env.fetch = Arc::new(Hangs);
    let stage = Stage::with(lent);
    let before = tokio::time::Instant::now();
    let token = Issuer::new("k1", 1).token(json!({}));
    assert_eq!(stage.ask(&token).await, NO_KEYS);
    assert_eq!(before.elapsed(), KEYS_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_fetched_once_in_a_while() {
    let (old, new) = (Issuer::new("k1", 1), Issuer::new("k2", 2));
    let stage = Stage::new(Some(&old.jwks().to_string()));
    assert_eq!(stage.ask(&old.token(json!({}))).await, OK);
    let both = json!({ "keys": [old.jwk(), new.jwk()] }).to_string();
    stage.lent.fetch.set(URL, Some(&both));

    // The last fetch is too fresh for another one.
    assert_eq!(stage.ask(&new.token(json!({}))).await, INVALID);
    assert_eq!(stage.lent.fetch.count(), 1);
    stage.pass(10).await;
    assert_eq!(stage.ask(&new.token(json!({}))).await, OK);
    assert_eq!(stage.lent.fetch.count(), 2);

    // A flood of made-up key ids is one fetch, and waits for nothing after it.
    stage.pass(10).await;
    for _ in 0..1_000 {
        let token = Issuer::new("made-up", 9).token(json!({}));
        assert_eq!(stage.ask(&token).await, INVALID);
    }
    assert_eq!(stage.lent.fetch.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_one_new_key_is_one_fetch() {
    let (old, new) = (Issuer::new("k1", 1), Issuer::new("k2", 2));
    let stage = Stage::new(Some(&old.jwks().to_string()));
    assert_eq!(stage.ask(&old.token(json!({}))).await, OK);
    stage.lent.fetch.set(URL, Some(&new.jwks().to_string()));
    stage.pass(10).await;
    let stage = Arc::new(stage);
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let (stage, token) = (Arc::clone(&stage), new.token(json!({})));
            tokio::spawn(async move { stage.ask(&token).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.expect("an answer"), OK);
    }
    assert_eq!(stage.lent.fetch.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_rotated_out_takes_its_tokens_along() {
    let (old, new) = (Issuer::new("k1", 1), Issuer::new("k2", 2));
    let stage = Stage::new(Some(&old.jwks().to_string()));
    let token = old.token(json!({ "exp": NOW + 3_600 }));
    assert_eq!(stage.ask(&token).await, OK);
    stage.lent.fetch.set(URL, Some(&new.jwks().to_string()));
    stage.pass(301).await;
    assert_eq!(stage.ask(&token).await, INVALID);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_set_changes_nothing() {
    let issuer = Issuer::new("k1", 1);
    let token = issuer.token(json!({ "exp": NOW + 360_000 }));
    let oct = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }).to_string();
    let twice = format!("{{\"keys\":[],{}", &issuer.jwks().to_string()[1..]);
    let long = format!("{}{}", issuer.jwks(), " ".repeat(100_000));
    for garbage in [
        "{}",
        "<html>",
        "",
        "{\"keys\":[]}",
        "{\"keys\":{}}",
        &oct,
        &twice,
        &long,
    ] {
        let stage = Stage::new(Some(&issuer.jwks().to_string()));
        assert_eq!(stage.ask(&token).await, OK);
        stage.lent.fetch.set(URL, Some(garbage));
        stage.pass(600).await;
        assert!(stage.lent.fetch.count() > 1, "asked again");
        assert_eq!(stage.ask(&token).await, OK, "{garbage}");
        // And not for ever.
        stage.pass(3_300).await;
        assert_eq!(stage.ask(&token).await, NO_KEYS, "{garbage}");
    }
}

#[tokio::test(start_paused = true)]
async fn known_keys_hold_until_they_are_stale() {
    let issuer = Issuer::new("k1", 1);
    let stage = Stage::new(Some(&issuer.jwks().to_string()));
    let token = issuer.token(json!({ "exp": NOW + 360_000 }));
    assert_eq!(stage.ask(&token).await, OK);
    stage.lent.fetch.set(URL, None);
    stage.pass(3_000).await;
    assert_eq!(stage.ask(&token).await, OK);
    stage.pass(700).await;
    // Never 401: the token is as good as it was.
    assert_eq!(stage.ask(&token).await, NO_KEYS);
    stage.lent.fetch.set(URL, Some(&issuer.jwks().to_string()));
    stage.pass(31).await;
    assert_eq!(stage.ask(&token).await, OK);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_keys_and_another_audience_does_not() {
    let issuer = Issuer::new("k1", 1);
    let stage = Stage::new(Some(&issuer.jwks().to_string()));
    let token = issuer.token(json!({}));
    assert_eq!(stage.ask(&token).await, OK);
    let again = link(&stage.lent.env, config(URL)).expect("builds");
    let again = Stage {
        chain: Chain::new(vec![again]),
        ..stage
    };
    assert_eq!(again.ask(&token).await, OK);
    assert_eq!(again.lent.fetch.count(), 1);

    let mut other = config(URL);
    other["audience"] = "admin".into();
    let other = link(&again.lent.env, other).expect("builds");
    let other = Stage {
        chain: Chain::new(vec![other]),
        ..again
    };
    assert_eq!(other.ask(&token).await, INVALID);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_its_last_holder() {
    let stage = Stage::new(None);
    stage.pass(1).await;
    let Stage { lent, chain } = stage;
    drop(chain);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let count = lent.fetch.count();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(lent.fetch.count(), count);
}
