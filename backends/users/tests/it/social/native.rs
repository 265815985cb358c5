//! Apps on a phone.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    op::{CLIENT, PHONE, s256},
    stage, user_of,
};
use crate::stage::{Answer, Stage};

async fn nonce(stage: &Stage, provider: &str) -> String {
    let path = format!("/v1/auth/social/{provider}/nonce");
    let answer = stage.post(&path, json!(null)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["expires_in"], 600);
    answer.text("nonce").to_owned()
}

async fn bring(stage: &Stage, provider: &str, id_token: &str, nonce: &str) -> Answer {
    let path = format!("/v1/auth/social/{provider}/token");
    stage
        .post(&path, json!({ "id_token": id_token, "nonce": nonce }))
        .await
}

#[tokio::test]
async fn an_app_signs_in_with_an_id_token_that_repeats_our_nonce() {
    let (op, stage) = stage().await;
    let given = nonce(&stage, "google").await;
    let answer = bring(&stage, "google", &op.id_token(CLIENT, &given), &given).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let user_id = user_of(&answer);

    // As the hex digits of its hash, which is how Apple's and Google's samples have it.
    let given = nonce(&stage, "google").await;
    let hash: String = Sha256::digest(&given)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let token = op.id_token(PHONE, &hash);
    // Whoever stole the token has the hash, and not what it is the hash of.
    assert_eq!(
        bring(&stage, "google", &token, &hash).await.code(),
        "invalid_nonce"
    );
    let answer = bring(&stage, "google", &token, &given).await;
    assert_eq!((answer.status, user_of(&answer)), (200, user_id));
    assert_eq!(
        bring(&stage, "google", &token, &given).await.code(),
        "invalid_nonce"
    );
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_believed() {
    let (op, stage) = stage().await;
    for (provider, client, other_nonce) in [
        ("google", "another app", false),
        ("google", PHONE, true),
        // Apple's tokens for the web come by the web.
        ("apple", CLIENT, false),
        ("apple", "another app", false),
    ] {
        let given = nonce(&stage, provider).await;
        let said = if other_nonce {
            s256("x")
        } else {
            given.clone()
        };
        let answer = bring(&stage, provider, &op.id_token(client, &said), &given).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "not_vouched"),
            "{provider} {client}"
        );
        // The nonce is spent all the same.
        let answer = bring(&stage, provider, &op.id_token(PHONE, &given), &given).await;
        assert_eq!(answer.code(), "invalid_nonce");
    }
    let of_apple = nonce(&stage, "apple").await;
    let answer = bring(&stage, "google", &op.id_token(PHONE, &of_apple), &of_apple).await;
    assert_eq!(answer.code(), "invalid_nonce");
    let late = nonce(&stage, "google").await;
    stage.advance_secs(600);
    assert_eq!(
        bring(&stage, "google", "a.b.c", &late).await.code(),
        "invalid_nonce"
    );
    for path in ["vk/nonce", "vk/token", "myspace/nonce"] {
        let body = json!({ "id_token": "a.b.c", "nonce": "x" });
        let answer = stage.post(&format!("/v1/auth/social/{path}"), body).await;
        assert!([404, 400].contains(&answer.status), "{path}");
    }
    let all = "select count(*) from users.account";
    assert_eq!(stage.column::<i64>(all).await, [0]);
}

#[tokio::test]
async fn what_an_app_of_apples_tells_once_is_kept() {
    let (op, stage) = stage().await;
    let given = nonce(&stage, "apple").await;
    op.script().answers.insert(
        "/token",
        (200, json!({ "refresh_token": "to be given back" })),
    );
    let brought = json!({
        "id_token": op.id_token(PHONE, &given), "nonce": given,
        "authorization_code": "apple's", "name": "Ann  Lee",
    });
    let answer = stage.post("/v1/auth/social/apple/token", brought).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let asked = op.last("/token");
    assert_eq!((&*asked["code"], &*asked["client_id"]), ("apple's", PHONE));
    let kept = "select a.name || ' ' || i.client_id || ' ' || (i.refresh_token is not null)
        from users.account a join users.identity i on i.account_id = a.id";
    assert_eq!(
        stage.column::<String>(kept).await,
        [format!("Ann Lee {PHONE} true")]
    );
}
