//! The keys that sign tokens come, sign and go.

use std::time::{Duration, Instant};

use futures::future::join;
use host::Key;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};
use users::RotateEvery;
use uuid::Uuid;

use crate::stage::{PASSWORD, Stage};

const JWKS: &str = "/.well-known/jwks.json";
const ANN: &str = "ann@example.com";
/// How old the keys may be that somebody checks a token by: for so long the edge and a cache in
/// front of it keep them, with plenty to spare.
const OLDEST: i64 = 20 * 60;

async fn keys(stage: &Stage) -> JwkSet {
    let answer = stage.get(JWKS).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.body).expect("a key set")
}

fn kids(keys: &JwkSet) -> Vec<String> {
    let kid = |key: &jsonwebtoken::jwk::Jwk| key.common.key_id.clone().expect("a kid");
    keys.keys.iter().map(kid).collect()
}

fn kid(token: &str) -> String {
    let header = jsonwebtoken::decode_header(token).expect("a header");
    header.kid.expect("a kid")
}

/// Whether a token is found good by these keys. Its times are not looked at: the clock stands.
fn is_known(token: &str, keys: &JwkSet) -> bool {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&["https://localhost:8443"]);
    validation.set_audience(&["api"]);
    validation.validate_exp = false;
    let Some(key) = keys.find(&kid(token)) else {
        return false;
    };
    let key = DecodingKey::from_jwk(key).expect("a key");
    jsonwebtoken::decode::<Value>(token, &key, &validation).expect("well signed");
    true
}

async fn sign_in(stage: &Stage) -> (String, String) {
    let answer = stage.login(ANN, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |name| answer.text(name).to_owned();
    (text("access_token"), text("refresh_token"))
}

fn every(text: &str) -> RotateEvery {
    serde_json::from_value(json!(text)).expect("a time to rotate after")
}

#[tokio::test]
async fn no_token_is_ever_unknown_while_keys_come_and_go() {
    let one = Stage::start_with(|config| config.rotate_keys_every = every("2d")).await;
    let two = one
        .beside(|config| config.rotate_keys_every = every("2d"))
        .await;
    one.member(ANN).await;
    let (token, mut refresh) = sign_in(&one).await;
    let mut tokens = vec![(one.now().unix_timestamp(), token)];
    let mut published: Vec<(i64, JwkSet)> = Vec::new();
    let mut signed_by = Vec::new();
    let hour = 60 * 60;
    one.advance_secs(48 * hour - 15 * 60);
    // Half an hour around each change, in steps that meet the very second, and then two days on.
    for step in 0..=180 {
        let now = one.now().unix_timestamp();
        published.retain(|(at, _)| now - at <= OLDEST);
        for stage in [&one, &two] {
            published.push((now, keys(stage).await));
        }
        tokens.retain(|(at, _)| now - at < 300);
        for (_, token) in &tokens {
            let fresh = published.iter().filter(|(at, _)| *at == now);
            assert!(
                fresh.clone().all(|(_, keys)| is_known(token, keys)),
                "an old token at {now}"
            );
        }
        let stage = [&one, &two][step % 2];
        let answer = stage
            .post("/v1/auth/refresh", json!({"refresh_token": refresh}))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        refresh = answer.text("refresh_token").to_owned();
        let token = answer.text("access_token").to_owned();
        let known = published.iter().all(|(_, keys)| is_known(&token, keys));
        assert!(known, "a fresh token at {now}");
        signed_by.push(kid(&token));
        tokens.push((now, token));
        match step % 60 {
            59 => {
                one.advance_secs(48 * hour - 59 * 30);
                published.clear();
                for stage in [&one, &two] {
                    published.push((one.now().unix_timestamp(), keys(stage).await));
                }
            }
            _ => one.advance_secs(30),
        }
    }
    signed_by.dedup();
    assert_eq!(signed_by.len(), 4, "three changes");
    let kept = keys(&one).await;
    assert_eq!(kids(&kept).len(), 2, "the one that signs and the next");
    assert_eq!(kids(&kept), kids(&keys(&two).await));
    assert!(
        !kids(&kept).contains(&signed_by[2]),
        "thrown away with its last token"
    );
}

#[tokio::test]
async fn a_change_that_nobody_was_there_for_waits_until_the_next_key_is_known() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let before = keys(&stage).await;
    stage.advance_days(200);
    let (token, _) = sign_in(&stage).await;
    assert!(is_known(&token, &before));
    stage.advance_secs(24 * 60 * 60 - 1);
    let known = keys(&stage).await;
    assert_eq!(kid(&sign_in(&stage).await.0), kid(&token));
    stage.advance_secs(1);
    let (next, _) = sign_in(&stage).await;
    assert_ne!(kid(&next), kid(&token));
    assert!(is_known(&next, &known));
}

#[tokio::test]
async fn replicas_that_start_at_once_make_one_key() {
    let stage = Stage::start().await;
    stage.execute("delete from users.signing_key").await;
    let (one, two) = join(stage.beside(|_| {}), stage.beside(|_| {})).await;
    let (one, two) = join(keys(&one), keys(&two)).await;
    assert_eq!(kids(&one), kids(&two));
    assert_eq!(kids(&one).len(), 2);
}

#[tokio::test]
async fn who_has_another_secret_signs_nothing_and_breaks_nothing() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let rows = "select kid from users.signing_key order by 1";
    keys(&stage).await;
    let before: Vec<String> = stage.column(rows).await;
    let other = stage
        .beside(|config| config.refresh_key = Key::new([4; 32]))
        .await;
    // Something would be due.
    stage.advance_days(40);
    for path in [JWKS, "/readyz"] {
        assert_eq!(other.get_private(path).await.status, 503, "{path}");
    }
    assert_eq!(other.get(JWKS).await.code(), "upstream_unavailable");
    let refused = other.login(ANN, PASSWORD).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "upstream_unavailable")
    );
    assert_eq!(stage.column::<String>(rows).await, before);
    // Those with the right one go on.
    assert_eq!(stage.get_private("/readyz").await.status, 200);
    sign_in(&stage).await;
}

#[tokio::test]
async fn a_key_in_other_hands_is_gone_at_once_and_everywhere() {
    let one = Stage::start().await;
    let two = one.beside(|_| {}).await;
    let ann = one.member(ANN).await;
    let (token, refresh) = sign_in(&one).await;
    let [signing, next] = &kids(&keys(&two).await)[..] else {
        panic!("two keys");
    };
    let path = "/v1/signing-keys/rotate";
    let session = Uuid::now_v7();
    let refused = one.post_as(&one.user_in(ann, session), path).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let refused = one.post_as(&one.admin(ann), path).await;
    assert_eq!((refused.status, refused.code()), (403, "session_required"));
    let mut admin = one.user_in(ann, session);
    admin.roles = vec!["admin".to_owned()];
    assert_eq!(one.post_as(&admin, path).await.status, 204);

    let now = keys(&one).await;
    assert_eq!(kids(&now).len(), 2);
    assert_eq!(&kids(&now)[0], next, "the announced key has taken over");
    assert!(!is_known(&token, &now), "{signing} is published no longer");
    // The session goes on with the new key.
    let answer = one
        .post("/v1/auth/refresh", json!({"refresh_token": refresh}))
        .await;
    assert_eq!(&kid(answer.text("access_token")), next);
    // The other replica is rung for.
    let soon = Instant::now() + Duration::from_secs(10);
    while kids(&keys(&two).await) != kids(&now) {
        assert!(Instant::now() < soon, "the other replica was not told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(&kid(&sign_in(&two).await.0), next);
    assert!(
        one.acts_of(ann)
            .await
            .contains(&"signing_keys.replaced".to_owned())
    );
    // Twice leaves none of those that were there.
    assert_eq!(one.post_as(&admin, path).await.status, 204);
    assert!(!kids(&keys(&one).await).contains(next));
}

/// What lies in the database signs nothing, and nobody who writes there can publish a key.
#[tokio::test]
async fn a_row_that_is_not_ours_is_not_published() {
    let stage = Stage::start().await;
    keys(&stage).await;
    stage
        .execute("update users.signing_key set x = 'another'")
        .await;
    let again = stage.beside(|_| {}).await;
    assert_eq!(stage.get(JWKS).await.body, again.get(JWKS).await.body);
    stage
        .execute(
            "update users.signing_key set sealed = (select sealed from users.signing_key order by kid limit 1)",
        )
        .await;
    let again = stage.beside(|_| {}).await;
    assert_eq!(again.get(JWKS).await.status, 503);
}
