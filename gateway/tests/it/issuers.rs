//! Who is calling, by tokens of issuers that are really there, and really away.

mod opaque;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::{Answer, Issuer, Mood, Origin, PATIENCE, Stage, says};

/// A route that takes the ways named, with what stands under `auth`.
fn routes(ways: &str, auth: &str) -> String {
    format!(
        "
auth:
{auth}
routes:
  - {{ id: all, match: {{ method: [GET], path: /** }}, to: origin, auth: {ways} }}
"
    )
}

/// A way that takes an issuer's tokens, with more keys for it.
fn jwt(name: &str, issuer: &Issuer, more: &str) -> String {
    let url = issuer.url();
    format!("  {name}: {{ jwt: {{ issuer: \"{url}\", audience: api, algs: [EdDSA], {more} }} }}\n")
}

/// The usual: a key set by its URL, fetched often enough for a test to see it.
fn by_url(issuer: &Issuer) -> String {
    let jwks = format!(
        "jwks: \"{}/jwks\", refresh: 1s, stale_keys: 1h",
        issuer.url()
    );
    routes("user", &jwt("user", issuer, &jwks))
}

/// The status that a bearer of the token gets, and the problem's code.
async fn ask(stage: &Stage, token: &str) -> (u16, String) {
    let response = stage
        .get("/", &format!("Authorization: Bearer {token}\r\n"))
        .await;
    let code = match response.status {
        200 => String::new(),
        _ => response.code(),
    };
    (response.status, code)
}

/// Asks until the answer is that one.
async fn becomes(stage: &Stage, token: &str, status: u16) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (got, code) = ask(stage, token).await;
        if got == status {
            return;
        }
        assert!(Instant::now() < until, "{got} {code}, not {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until an issuer was asked for something once more.
async fn asked_again(issuer: &Issuer, path: &str) {
    let (before, until) = (issuer.asked(path), Instant::now() + PATIENCE);
    // Twice: the first may have been under way.
    while issuer.asked(path) < before + 2 {
        assert!(Instant::now() < until, "{path} was not asked for again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bad(code: &str) -> (u16, String) {
    (401, code.to_owned())
}

const GOOD: (u16, String) = (200, String::new());

fn away(code: &str) -> (u16, String) {
    (503, code.to_owned())
}

#[tokio::test]
async fn gateway_25_keys_that_can_t_be_had_are_a_503_until_they_can() {
    let issuer = Issuer::start_in(1, Mood::Closes).await;
    let stage = Stage::open(&by_url(&issuer)).await;
    let token = issuer.token(json!({}), json!({}));
    assert_eq!(ask(&stage, &token).await, away("auth_keys_unavailable"));
    // Nobody's request needs no key.
    assert_eq!(stage.get("/", "").await.status, 401);
    issuer.feel(Mood::Serves);
    becomes(&stage, &token, 200).await;
}

#[tokio::test]
async fn gateway_25_an_issuer_that_never_answers_holds_nobody_long() {
    let issuer = Issuer::start_in(1, Mood::Hangs).await;
    let stage = Stage::open(&by_url(&issuer)).await;
    let before = Instant::now();
    let token = issuer.token(json!({}), json!({}));
    assert_eq!(ask(&stage, &token).await, away("auth_keys_unavailable"));
    assert!(
        before.elapsed() < Duration::from_secs(5),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn gateway_25_known_keys_hold_until_they_are_stale_and_then_it_is_our_trouble() {
    let issuer = Issuer::start(1).await;
    let keys = format!(
        "jwks: \"{}/jwks\", refresh: 1s, stale_keys: 2s",
        issuer.url()
    );
    let stage = Stage::open(&routes("user", &jwt("user", &issuer, &keys))).await;
    let token = issuer.token(json!({}), json!({}));
    becomes(&stage, &token, 200).await;
    issuer.feel(Mood::Closes);
    assert_eq!(ask(&stage, &token).await, GOOD);
    becomes(&stage, &token, 503).await;
    issuer.feel(Mood::Serves);
    becomes(&stage, &token, 200).await;
}

#[tokio::test]
async fn gateway_25_what_is_no_key_set_changes_nothing() {
    let issuer = Issuer::start(1).await;
    let elsewhere = Origin::start(|_| Answer::ok("{\"keys\":[]}")).await;
    let stage = Stage::open(&by_url(&issuer)).await;
    let token = |number: u32| issuer.token(json!({}), json!({ "jti": number }));
    becomes(&stage, &token(0), 200).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        elsewhere.address
    );
    for (number, garbage) in [
        says(200, "{}"),
        says(200, "<html>"),
        says(
            200,
            &format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(10_000_000)),
        ),
        says(500, "{\"keys\":[]}"),
        redirect,
    ]
    .into_iter()
    .enumerate()
    {
        issuer.feel(Mood::Says(garbage));
        asked_again(&issuer, "/jwks").await;
        // A token that is not remembered: its signature is checked.
        let token = token(u32::try_from(number).unwrap() + 1);
        assert_eq!(ask(&stage, &token).await, GOOD, "case {number}");
    }
    assert!(elsewhere.is_unasked().await);
}

#[tokio::test]
async fn gateway_25_unknown_kid_flood_is_one_fetch_per_cooldown() {
    let issuer = Issuer::start(1).await;
    let keys = format!(
        "jwks: \"{}/jwks\", refresh: 5m, stale_keys: 1h",
        issuer.url()
    );
    let stage = Stage::open(&routes("user", &jwt("user", &issuer, &keys))).await;
    becomes(&stage, &issuer.token(json!({}), json!({})), 200).await;
    let before = Instant::now();
    let flood = (0..200).map(|number| {
        let token = issuer.token(json!({ "kid": format!("made-up-{number}") }), json!({}));
        let stage = &stage;
        async move { ask(stage, &token).await }
    });
    for answer in futures::future::join_all(flood).await {
        assert_eq!(answer, bad("invalid_token"));
    }
    let cooldowns = usize::try_from(before.elapsed().as_secs() / 10).unwrap();
    assert!(
        issuer.asked("/jwks") <= 2 + cooldowns,
        "{} fetches",
        issuer.asked("/jwks")
    );
}

#[tokio::test]
async fn gateway_26_a_key_that_is_rotated_out_takes_its_tokens_along() {
    let mut issuer = Issuer::start(1).await;
    let stage = Stage::open(&by_url(&issuer)).await;
    let old = issuer.token(json!({}), json!({}));
    becomes(&stage, &old, 200).await;
    issuer.rotate("k2", 2);
    becomes(&stage, &old, 401).await;
    let new = issuer.token(json!({ "kid": "k2" }), json!({}));
    assert_eq!(ask(&stage, &new).await, GOOD);
}

#[tokio::test]
async fn an_issuer_says_where_its_keys_are_and_none_stands_for_another() {
    let issuer = Issuer::start(1).await;
    let discovery = "discovery: true, refresh: 1s, stale_keys: 1h";
    let stage = Stage::open(&routes("user", &jwt("user", &issuer, discovery))).await;
    becomes(&stage, &issuer.token(json!({}), json!({})), 200).await;
    // What it says of itself leads to another issuer: the known keys hold.
    let foreign =
        json!({ "issuer": "https://evil.test", "jwks_uri": format!("{}/jwks", issuer.url()) });
    issuer.feel(Mood::Says(says(200, &foreign.to_string())));
    asked_again(&issuer, "/.well-known/openid-configuration").await;
    assert_eq!(
        ask(&stage, &issuer.token(json!({}), json!({ "jti": "2" }))).await,
        GOOD
    );

    // And one that was never had is not believed.
    let stranger = Issuer::start_in(2, Mood::Says(says(200, &foreign.to_string()))).await;
    let stage = Stage::open(&routes("user", &jwt("user", &stranger, discovery))).await;
    let token = stranger.token(json!({}), json!({}));
    assert_eq!(ask(&stage, &token).await, away("auth_keys_unavailable"));
    assert_eq!(stranger.asked("/jwks"), 0);
}

#[tokio::test]
async fn gateway_22_no_key_is_fetched_from_where_a_token_says() {
    let issuer = Issuer::start(1).await;
    let attacker = Issuer::start(9).await;
    let stage = Stage::open(&by_url(&issuer)).await;
    becomes(&stage, &issuer.token(json!({}), json!({})), 200).await;
    let at = format!("{}/jwks", attacker.url());
    for header in [
        json!({ "jku": at }),
        json!({ "x5u": at }),
        json!({ "kid": at }),
        json!({ "kid": "../../../etc/passwd" }),
        json!({ "kid": "' or 1=1 --" }),
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "crit": ["exp"], "exp": 1 }),
    ] {
        // Signed by the attacker, in the issuer's name.
        let token = attacker.token(header.clone(), json!({ "iss": issuer.url() }));
        assert_eq!(ask(&stage, &token).await, bad("invalid_token"), "{header}");
    }
    assert_eq!(attacker.asked("/jwks"), 0);
}

#[tokio::test]
async fn gateway_27_a_token_counts_in_one_place_and_stays_there() {
    let issuer = Issuer::start(1).await;
    let stage = Stage::open(&by_url(&issuer)).await;
    let token = issuer.token(json!({}), json!({}));
    becomes(&stage, &token, 200).await;
    while !stage.origin.is_unasked().await {}
    // Elsewhere it is none.
    for (target, headers) in [
        (format!("/?access_token={token}"), String::new()),
        (
            "/".into(),
            format!("Cookie: access_token={token}; token={token}\r\n"),
        ),
        ("/".into(), format!("X-Access-Token: {token}\r\n")),
        (
            "/".into(),
            format!("Proxy-Authorization: Bearer {token}\r\n"),
        ),
    ] {
        let response = stage.get(&target, &headers).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (401, "unauthenticated"),
            "{target}"
        );
    }
    // Of two none is chosen.
    let two = format!("Authorization: Bearer {token}\r\n").repeat(2);
    assert_eq!(stage.get("/", &two).await.status, 400);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    assert!(stage.origin.is_unasked().await);
    // What lies beside it changes nothing, and the origin gets neither.
    let beside = format!("{bearer}Proxy-Authorization: Bearer {token}\r\n");
    let target = format!("/?access_token={token}");
    assert_eq!(stage.get(&target, &beside).await.status, 200);
    let asked = stage.origin.asked().await;
    assert!(
        !format!("{:?}", asked.headers).contains(&token),
        "{:?}",
        asked.headers
    );
    assert!(!asked.headers.contains_key("authorization"));
    // Nor does what we write down hold any of it.
    let signature = token.rsplit('.').next().unwrap().to_owned();
    for record in stage.records().await {
        assert!(!record.to_string().contains(&signature), "{record}");
    }
}
