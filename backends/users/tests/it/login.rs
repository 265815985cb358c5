//! Signing in.

use futures::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::stage::{PASSWORD, Stage};

#[tokio::test]
async fn no_account_no_proof_and_no_password_look_alike() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    let passwordless = stage.member("bob@example.com").await;
    stage
        .execute("update users.account set password_hash = null where email = 'bob@example.com'")
        .await;
    stage.register("pending@example.com", PASSWORD).await;

    let mut noes = Vec::new();
    for (email, password) in [
        ("ann@example.com", "not her password"),
        ("ann@example.com", ""),
        ("bob@example.com", PASSWORD),
        ("pending@example.com", PASSWORD),
        ("nobody@example.com", PASSWORD),
    ] {
        let mut no = stage.login(email, password).await;
        assert_eq!(
            (no.status, no.code()),
            (401, "invalid_credentials"),
            "{email}"
        );
        no.headers.remove("date");
        no.body["request_id"].take();
        noes.push(no);
    }
    for no in &noes {
        assert_eq!((&no.headers, &no.body), (&noes[0].headers, &noes[0].body));
    }
    assert_eq!(
        stage.acts_of(passwordless).await,
        ["user.verified", "session.refused"]
    );
    // Nobody can fill the record, which is for ever, with accounts that are none.
    let acts = "select count(*) from users.audit where act = 'session.refused'";
    assert_eq!(stage.column::<i64>(acts).await, [3]);
    let strangers = "select count(*) from users.stranger where request_id is not null";
    assert_eq!(stage.column::<i64>(strangers).await, [2]);
    let links = "select count(*) from users.stranger_link";
    assert_eq!(stage.column::<i64>(links).await, [2], "at the same cost");
}

#[tokio::test]
async fn the_access_token_is_what_its_published_key_says() {
    let stage = Stage::start_by_the_clock().await;
    let user_id = stage.member("ann@example.com").await;

    let answer = stage.login("Ann@example.com", PASSWORD).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 300);
    let token = answer.text("access_token");

    let keys: JwkSet =
        serde_json::from_value(stage.get("/.well-known/jwks.json").await.body).expect("keys");
    let header = jsonwebtoken::decode_header(token).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = keys
        .find(&header.kid.expect("a key id"))
        .expect("the key is published");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&["https://localhost:8443"]);
    validation.set_audience(&["api"]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    let key = DecodingKey::from_jwk(key).expect("a key");
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation)
        .expect("a good token")
        .claims;

    let number = |claim: &str| claims[claim].as_i64().expect("a number");
    assert_eq!(number("exp") - number("iat"), 300);
    assert_eq!(number("auth_time"), number("iat"));
    assert!(number("perm_ver") >= 1);
    assert_eq!(claims["sub"], json!(user_id));
    assert_eq!(claims["roles"], json!(["user"]));
    assert_eq!(
        (&claims["amr"], &claims["acr"]),
        (&json!(["pwd"]), &json!("sfa"))
    );
    let sessions = stage
        .column::<uuid::Uuid>("select id from users.session")
        .await;
    assert_eq!(json!(sessions), json!([claims["sid"]]));

    let again = stage.login("ann@example.com", PASSWORD).await;
    let again = jsonwebtoken::decode::<Value>(again.text("access_token"), &key, &validation)
        .expect("a good token");
    assert_ne!(again.claims["jti"], claims["jti"]);
    assert_eq!(
        stage.acts_of(user_id).await,
        ["user.verified", "session.begun", "session.begun"]
    );
}

#[tokio::test]
async fn users_4_a_password_is_the_whole_of_it_however_it_is_typed() {
    let stage = Stage::start().await;
    let begun = format!("tangerine walrus quartz meadow{}", "a".repeat(993));
    let long = format!("{begun}b");
    stage.member_with("long@example.com", &long).await;
    assert_eq!(stage.login("long@example.com", &long).await.status, 200);
    assert_eq!(
        stage
            .login("long@example.com", &format!("{begun}c"))
            .await
            .status,
        401
    );
    assert_eq!(stage.login("long@example.com", &begun).await.status, 401);
    assert_eq!(
        stage
            .login("long@example.com", &"a".repeat(1025))
            .await
            .status,
        400
    );

    stage
        .member_with("cafe@example.com", "caf\u{e9} au lait")
        .await;
    assert_eq!(
        stage
            .login("cafe@example.com", "cafe\u{301} au lait")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn users_3_a_flood_of_sign_ins_is_told_to_come_back() {
    let stage = Stage::start_with(|settings| {
        settings.hash_slots = std::num::NonZero::new(1);
        settings.hash_queue = 2;
    })
    .await;
    stage.member("ann@example.com").await;

    // To many accounts, since one has a limit of its own.
    let flood = (0..30).map(|n| format!("nobody{n}@example.com"));
    let flood: Vec<String> = flood.collect();
    let mut flood: Vec<_> = flood
        .iter()
        .map(|email| stage.login(email, PASSWORD))
        .collect();
    flood.push(stage.login("ann@example.com", PASSWORD));
    let answers = join_all(flood).await;

    let (served, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status != 503);
    assert!(
        !served.is_empty() && !refused.is_empty(),
        "{} served, {} refused",
        served.len(),
        refused.len()
    );
    for answer in refused {
        assert_eq!(
            (answer.status, answer.code(), answer.header("retry-after")),
            (503, "overloaded", "1")
        );
    }
    assert_eq!(stage.login("ann@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn who_is_told_to_come_back_has_not_used_up_a_try() {
    let stage = Stage::start_with(|settings| {
        settings.hash_slots = std::num::NonZero::new(1);
        settings.hash_queue = 0;
    })
    .await;
    stage.member("ann@example.com").await;

    // Far more than an account is offered in a row, nearly all of which find the queue full.
    for _ in 0..3 {
        let again = join_all((0..30).map(|_| stage.login("ann@example.com", PASSWORD))).await;
        for answer in again {
            assert!([200, 503].contains(&answer.status), "{}", answer.status);
        }
    }
    assert_eq!(stage.login("ann@example.com", PASSWORD).await.status, 200);
}

/// The clock is a poor witness on a busy machine; what was counted tells as well who was worked for.
#[tokio::test]
async fn a_password_is_hashed_whether_or_not_there_is_an_account() {
    let stage = Stage::start_with(|settings| {
        settings.hash_slots = std::num::NonZero::new(1);
        settings.hash_queue = 0;
    })
    .await;
    stage.member("known@example.com").await;
    let credentials = |email: &str| json!({"email": email, "password": PASSWORD});
    for (path, body) in [
        ("/v1/auth/login", credentials("nobody@example.com")),
        ("/v1/auth/register", credentials("known@example.com")),
    ] {
        let answers = join_all((0..20).map(|_| stage.post(path, body.clone()))).await;
        let refused = answers.iter().filter(|answer| answer.status == 503).count();
        assert!(
            (1..20).contains(&refused),
            "{path}: {refused} of 20 met a full queue"
        );
        if path == "/v1/auth/login" {
            let checked = 20 - refused;
            let line = format!("users_passwords_work_seconds_count{{work=\"verify\"}} {checked}");
            let metrics = stage.metrics().await;
            assert!(
                metrics.contains(&line),
                "{checked} were answered: {metrics}"
            );
        }
    }
}
