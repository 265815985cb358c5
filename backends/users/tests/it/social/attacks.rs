//! What somebody between the browser, the provider and us might try.

use serde_json::json;

use super::{
    PAGE, VERIFIER, begin, begin_bare, brought_home, come_back, come_back_as, enter, exchange,
    op::{CLIENT, NOW, Op, confused, query, s256, sign},
    stage,
};
use crate::stage::Stage;

/// What becomes of a signed token.
type Bend = fn(String) -> String;

async fn accounts(stage: &Stage) -> i64 {
    let all = "select count(*) from users.account";
    stage.column::<i64>(all).await.pop().expect("a count")
}

/// Security case 16.
#[tokio::test]
async fn users_16_18_an_id_token_that_is_not_for_this_sign_in_is_not_believed() {
    let (op, stage) = stage().await;
    let claims = [
        (
            "another issuer",
            json!({ "iss": "https://accounts.google.com" }),
        ),
        ("another client", json!({ "aud": "another" })),
        ("an app's client", json!({ "aud": "com.example.app" })),
        (
            "another client beside us",
            json!({ "aud": [CLIENT, "another"] }),
        ),
        ("asked for by another", json!({ "azp": "another" })),
        ("no nonce", json!({ "nonce": null })),
        ("another nonce", json!({ "nonce": s256("another") })),
        ("expired", json!({ "exp": NOW - 61 })),
        ("issued long ago", json!({ "iat": NOW - 700 })),
        ("nobody", json!({ "sub": null })),
        ("nobody", json!({ "sub": "" })),
        (
            "another access token",
            json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }),
        ),
    ];
    for (what, claims) in claims {
        op.says(claims);
        let answer = enter(&stage, &op, "google").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "not_vouched"),
            "{what}"
        );
    }
    op.says(json!({}));
    let unsigned = |token: String| {
        let claims = token.split('.').nth(1).expect("claims").to_owned();
        // {"alg":"none","kid":"k1"}
        format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{claims}.")
    };
    let touched = |token: String| {
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let (header, claims) = signed.split_once('.').expect("claims");
        let first = if claims.starts_with('e') { "f" } else { "e" };
        format!("{header}.{first}{}.{signature}", &claims[1..])
    };
    let bends: [(&str, Bend); 4] = [
        ("alg none", unsigned),
        ("HS256 with the public key", |token| confused(&token)),
        ("touched", touched),
        ("no token", |_| "a.b.c".to_owned()),
    ];
    for (what, bend) in bends {
        op.script().bend = bend;
        let answer = enter(&stage, &op, "google").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "not_vouched"),
            "{what}"
        );
    }
    op.script().bend = |token| token;
    for (what, header) in [
        ("unknown key", json!({ "kid": "k9" })),
        ("a key of another kind", json!({ "kid": "odd" })),
        ("no key", json!({ "kid": null })),
        ("another type", json!({ "typ": "at+jwt" })),
        ("another algorithm", json!({ "alg": "PS256" })),
        ("a critical extension", json!({ "crit": ["exp"] })),
    ] {
        op.script().header = header;
        let answer = enter(&stage, &op, "google").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "not_vouched"),
            "{what}"
        );
    }
    assert_eq!(accounts(&stage).await, 0);
    op.script().header = json!({});
    assert_eq!(enter(&stage, &op, "google").await.status, 200);
}

/// GoTrue's GHSA-5hvv-9cqv-894r, and its like.
#[tokio::test]
async fn users_17_an_answer_that_holds_an_error_or_nobody_lets_nobody_in() {
    let (op, stage) = stage().await;
    let token = || {
        let claims = json!({ "iss": op.url, "aud": CLIENT, "sub": "ann-there", "iat": NOW, "exp": NOW + 60 });
        sign(&json!({ "alg": "RS256", "kid": "k1" }), &claims)
    };
    for (status, body) in [
        (200, json!({ "error": "invalid_grant" })),
        (200, json!({ "error": null, "id_token": token() })),
        (200, json!({ "error": { "code": 1 }, "id_token": token() })),
        (200, json!({})),
        (200, json!({ "id_token": "" })),
        (200, json!({ "id_token": 7 })),
        (
            200,
            json!({ "access_token": "theirs", "token_type": "Bearer" }),
        ),
        (200, json!([])),
        (200, json!("ok")),
        (201, json!({ "id_token": token() })),
        (302, json!({ "id_token": token() })),
        (400, json!({ "error": "invalid_grant" })),
        (400, json!({ "id_token": token() })),
    ] {
        op.script().answers.insert("/token", (status, body.clone()));
        let answer = enter(&stage, &op, "google").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "not_vouched"),
            "{status} {body}"
        );
    }
    assert_eq!(accounts(&stage).await, 0);
}

/// Security case 16.
#[tokio::test]
async fn users_16_a_state_is_good_once_and_for_its_own_browser() {
    let (op, stage) = stage().await;
    let mine = begin_bare(&stage, "google").await;
    let brought = op.sign_in(&mine.location);
    let theirs = begin_bare(&stage, "google").await;
    let refused = |answer: &crate::stage::Answer| {
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_state"),
            "{answer:?}"
        );
    };
    // A link with an attacker's code and state, opened by somebody else: login CSRF.
    refused(&come_back_as(&stage, "google", &theirs.cookie, &brought).await);
    refused(&come_back_as(&stage, "google", "a=b", &brought).await);
    // Two cookies of one name are a trick, whichever comes first.
    let both = format!("{}; {}", theirs.cookie, mine.cookie);
    refused(&come_back_as(&stage, "google", &both, &brought).await);
    // At another provider's door.
    let form = brought.clone();
    refused(&come_back_as(&stage, "apple", &mine.cookie, &form).await);
    refused(&come_back_as(&stage, "vk", &mine.cookie, &brought).await);
    refused(&come_back(&stage, &mine, "code=code-0").await);
    refused(&come_back(&stage, &mine, &format!("{brought}&state=another")).await);
    assert_eq!(op.times("/token"), 0, "no code was sent anywhere");
    // None of that has ended it for the browser that began it. Twice is once too often.
    assert_eq!(come_back(&stage, &mine, &brought).await.status, 200);
    refused(&come_back(&stage, &mine, &brought).await);

    let late = begin_bare(&stage, "google").await;
    let brought = op.sign_in(&late.location);
    stage.advance_secs(600);
    refused(&come_back(&stage, &late, &brought).await);
}

/// Security case 16.
#[tokio::test]
async fn users_16_an_injected_code_finds_another_verifier_and_another_nonce() {
    let (op, stage) = stage().await;
    let victim = begin_bare(&stage, "google").await;
    let stolen = op.sign_in(&victim.location);
    let stolen = query(&format!("https://x/?{stolen}"));
    let attacker = begin_bare(&stage, "google").await;
    let state = &query(&attacker.location)["state"];
    let brought = format!("code={}&state={state}", stolen["code"]);
    let answer = come_back(&stage, &attacker, &brought).await;
    assert_eq!((answer.status, answer.code()), (401, "not_vouched"));
    assert_eq!(op.last("/token")["code"], stolen["code"]);
    assert_eq!(accounts(&stage).await, 0);
}

/// Security case 16: RFC 9207.
#[tokio::test]
async fn users_16_a_provider_that_answers_for_another_gets_no_code() {
    let (op, stage) = stage().await;
    let sent = begin_bare(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    let answer = come_back(
        &stage,
        &sent,
        &format!("{brought}&iss=https://evil.example"),
    )
    .await;
    assert_eq!((answer.status, answer.code()), (401, "not_vouched"));
    assert_eq!(op.times("/token"), 0);

    let sent = begin_bare(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    let answer = come_back(&stage, &sent, &format!("{brought}&iss={}", op.url)).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    // One that says that it tells always must tell always.
    let evil = Op::start().await;
    evil.script().description = json!({ "authorization_response_iss_parameter_supported": true });
    let stage = Stage::start_with(super::offers(&evil)).await;
    let answer = enter(&stage, &evil, "google").await;
    assert_eq!((answer.status, answer.code()), (401, "not_vouched"));
    assert_eq!(evil.times("/token"), 0);

    // And one that describes itself as another is none.
    let evil = Op::start().await;
    evil.script().description = json!({ "issuer": op.url });
    let stage = Stage::start_with(super::offers(&evil)).await;
    let answer = stage.get("/v1/auth/social/google/start").await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "provider_unavailable")
    );
}

/// Security case 16: the rows of `return_to` stand in `social.rs`, these are the ways to the handler.
#[tokio::test]
async fn users_16_a_browser_is_sent_to_no_page_but_ours() {
    let (_op, stage) = stage().await;
    let challenge = s256(VERIFIER);
    for (query, code) in [
        (
            format!("return_to=//evil.example&code_challenge={challenge}"),
            "bad_return_to",
        ),
        (
            format!("return_to=/%5Cevil.example&code_challenge={challenge}"),
            "bad_return_to",
        ),
        (
            format!("return_to={PAGE}@evil.example&code_challenge={challenge}"),
            "bad_return_to",
        ),
        (
            format!("return_to=https://x@app.example.com/signed-in&code_challenge={challenge}"),
            "bad_return_to",
        ),
        (
            format!("return_to={PAGE}%23&code_challenge={challenge}"),
            "bad_return_to",
        ),
        (format!("return_to={PAGE}"), "bad_code_challenge"),
        (
            format!("return_to={PAGE}&code_challenge=plain"),
            "bad_code_challenge",
        ),
        (format!("code_challenge={challenge}"), "bad_return_to"),
        (
            format!("return_to={PAGE}&return_to=//evil&code_challenge={challenge}"),
            "bad_request",
        ),
        ("redirect_uri=//evil.example".to_owned(), "bad_request"),
        ("ticket=x".to_owned(), "invalid_state"),
    ] {
        let answer = stage
            .get(&format!("/v1/auth/social/google/start?{query}"))
            .await;
        assert_eq!((answer.status, answer.code()), (400, code), "{query}");
        assert!(!answer.headers.contains_key("location"), "{query}");
    }
}

/// Security case 16: the page's own secret.
#[tokio::test]
async fn users_16_a_code_is_worth_nothing_without_the_secret_of_its_page() {
    let (op, stage) = stage().await;
    let code = async || {
        let sent = begin(&stage, "google").await;
        let brought = op.sign_in(&sent.location);
        brought_home(&come_back(&stage, &sent, &brought).await, "code")
    };
    let stolen = code().await;
    let wish = json!({ "code": stolen });
    let answer = stage.post("/v1/auth/social/exchange", wish).await;
    assert_eq!((answer.status, answer.code()), (400, "bad_body"));
    let another = "another page's secret, which is as long as the first";
    for (code, verifier) in [
        (stolen.clone(), another),
        // Whoever tried it wrongly has ended it: it was stolen.
        (stolen, VERIFIER),
        (s256("made up"), VERIFIER),
        ("short".to_owned(), VERIFIER),
    ] {
        let answer = exchange(&stage, &code, verifier).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_code"));
    }
    let late = code().await;
    stage.advance_secs(600);
    assert_eq!(exchange(&stage, &late, VERIFIER).await.status, 400);
    assert_eq!(accounts(&stage).await, 0);
}

#[tokio::test]
async fn one_code_at_once_is_one_sign_in() {
    let (op, stage) = stage().await;
    let sent = begin(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    let code = brought_home(&come_back(&stage, &sent, &brought).await, "code");
    let all = (0..10).map(|_| exchange(&stage, &code, VERIFIER));
    let all = futures::future::join_all(all).await;
    let through = all.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(through, 1);
}

#[tokio::test]
async fn users_26_a_description_that_leads_to_where_secrets_are_is_not_followed() {
    let op = Op::start().await;
    let stage = Stage::start_with(super::offers(&op)).await;
    for (name, there) in [
        ("token_endpoint", "http://169.254.169.254/latest"),
        ("token_endpoint", "http://evil.example/token"),
        ("jwks_uri", "https://[fd00:ec2::254]/"),
        ("authorization_endpoint", "javascript:alert(1)"),
    ] {
        op.script().description = json!({ name: there });
        let answer = stage.get("/v1/auth/social/google/start").await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "provider_unavailable"),
            "{there}"
        );
        // It is asked again when it has been away for a moment.
        stage.advance_secs(5);
    }
    op.script().description = json!({});
    assert_eq!(stage.get("/v1/auth/social/google/start").await.status, 302);
    assert_eq!(
        op.script()
            .asked
            .iter()
            .filter(|(_, form)| !form.is_empty())
            .count(),
        0
    );
}
