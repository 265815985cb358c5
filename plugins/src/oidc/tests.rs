//! The whole way of a sign-in, with a provider that does what a test wants of it.

use plugin_sdk::testing::TestRequest;
use plugin_sdk::{Form, Principal};
use serde_json::json;

use super::*;

mod attacks;
mod configuration;
mod evil;
mod stage;

use evil::Evil;
use stage::{Answer, Browser, ISSUER, Stage};

#[tokio::test(start_paused = true)]
async fn a_browser_signs_in_and_comes_back_to_its_page() {
    let stage = Stage::new().await;
    let mut browser = Browser::default();
    let sent = browser.open(&stage, "/wallets?page=2").await;
    assert_eq!(sent.status, 302);
    assert_eq!(sent.header("cache-control"), Some("no-store"));
    let asked = sent.location();
    assert_eq!(asked.origin().ascii_serialization(), ISSUER);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "edge"),
        ("redirect_uri", "https://edge.test/auth/callback"),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked.query(name).as_deref(), Some(value), "{name}");
    }
    let back = browser
        .come_back(&stage, &stage.provider.code(&asked))
        .await;
    assert_eq!(back.status, 303, "{back:?}");
    assert_eq!(
        back.header("location"),
        Some("https://edge.test/wallets?page=2")
    );
    assert_eq!(back.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(browser.cookies(), ["__Host-staff"], "the sign-in's is gone");

    let (who, proof) = browser.known(&stage).await.expect("somebody");
    assert_eq!(who.sub, "staff:alice");
    assert_eq!(
        who.roles,
        ["admin"],
        "what the table does not name is no role"
    );
    assert_eq!((proof.form, &*proof.way), (Form::Session, "staff"));
    assert_eq!(proof.key.as_deref(), who.sid.as_deref());
    assert_eq!(proof.claims["email"], "alice@sso.test");
    assert!(
        !proof.claims.contains_key("name"),
        "only what is to be kept"
    );
    // The code went with the verifier of the challenge, and with our secret.
    let form = stage.provider.last_form();
    assert_eq!(
        form.query("code_verifier").map(|v| stage::s256(&v)),
        asked.query("code_challenge")
    );
    assert_eq!(form.query("redirect_uri"), asked.query("redirect_uri"));
    assert_eq!(stage.counted("signed_in"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_told_401_and_sent_nowhere() {
    let stage = Stage::new().await;
    for headers in [
        &[("accept", "application/json")][..],
        &[("accept", "*/*"), ("sec-fetch-mode", "cors")],
        &[
            ("accept", "text/html"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
        ],
    ] {
        let mut request = headers
            .iter()
            .fold(TestRequest::new("GET", "/"), |r, (n, v)| r.header(n, v));
        assert!(request.run(&stage.chain).await.is_none());
        assert!(
            request.challenge(&stage.chain).await.is_none(),
            "{headers:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn several_tabs_sign_in_at_once() {
    let stage = Stage::new().await;
    let mut browser = Browser::default();
    let mut tabs = Vec::new();
    for at in 0..4 {
        tabs.push(browser.open(&stage, &format!("/tab/{at}")).await.location());
    }
    for at in [2, 0, 3, 1] {
        let back = browser
            .come_back(&stage, &stage.provider.code(&tabs[at]))
            .await;
        let there = format!("https://edge.test/tab/{at}");
        assert_eq!(back.header("location"), Some(&*there), "{back:?}");
    }
    let mut browser = Browser::default();
    for at in 0..9 {
        browser.open(&stage, &format!("/{at}")).await;
    }
    assert_eq!(browser.cookies().len(), 4, "a browser carries a few");
}

#[tokio::test(start_paused = true)]
async fn a_session_slides_and_ends() {
    let stage = Stage::new().await;
    let mut browser = Browser::signed_in(&stage).await;
    let first = browser.value("__Host-staff");
    assert!(browser.known(&stage).await.is_some());
    assert_eq!(
        browser.value("__Host-staff"),
        first,
        "it is not written with each answer"
    );
    // 30 minutes idle, 8 hours in all.
    for _ in 0..23 {
        stage.pass(20 * 60);
        assert!(browser.known(&stage).await.is_some());
        assert_ne!(browser.value("__Host-staff"), first, "it is renewed");
    }
    stage.pass(20 * 60);
    assert!(browser.known(&stage).await.is_none(), "8 hours are over");

    let mut browser = Browser::signed_in(&stage).await;
    stage.pass(31 * 60);
    assert!(browser.known(&stage).await.is_none(), "idle for too long");
}

/// A shared cache that kept an answer with a session in it would sign everybody in.
#[tokio::test(start_paused = true)]
async fn gateway_34_an_answer_with_a_session_is_kept_by_nobody() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage).await;
    for (pass, said, left) in [
        (0, None, "private"),
        (0, Some("public, max-age=60"), "public, max-age=60"),
        (600, None, "no-store"),
        (0, Some("public, max-age=60"), "no-store"),
        (0, Some("Private, max-age=60"), "Private, max-age=60"),
    ] {
        stage.pass(pass);
        let mut request = browser.request("GET", "/");
        assert!(request.run(&stage.chain).await.is_none());
        let mut head = ResponseHead::default();
        if let Some(said) = said {
            head.headers
                .insert(CACHE_CONTROL, HeaderValue::from_static(said));
        }
        let head = request.respond(&stage.chain, head);
        assert_eq!(head.headers[CACHE_CONTROL], left, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn signing_out_ends_it_here_and_at_the_provider() {
    let mut stage = Stage::new().await;
    let mut browser = Browser::signed_in(&stage).await;
    let stolen = browser.clone();
    browser.open(&stage, "/auth/login?return_to=/a").await;
    let out = browser
        .ask(
            &stage,
            "POST",
            "/auth/logout",
            &[("sec-fetch-site", "same-origin")],
        )
        .await;
    assert_eq!(out.status, 303);
    let there = out.location();
    assert!(
        there.as_str().starts_with("https://sso.test/end?"),
        "{there:?}"
    );
    assert_eq!(there.query("client_id").as_deref(), Some("edge"));
    assert_eq!(
        there.query("post_logout_redirect_uri").as_deref(),
        Some("https://edge.test/bye")
    );
    assert_eq!(browser.cookies(), [""; 0], "nothing is left");
    assert!(
        stolen.clone().known(&stage).await.is_none(),
        "a copy is worth nothing"
    );
    let longer = json!({ "name": "__Host-staff", "key": "$file:session.key", "ttl": "9h" });
    stage.reload(json!({ "cookie": longer }));
    assert!(
        stolen.clone().known(&stage).await.is_none(),
        "nor is it once the table was edited"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fresh_sign_in_must_be_one() {
    let stage = Stage::new().await;
    let mut browser = Browser::signed_in(&stage).await;
    let before = browser.known(&stage).await.expect("somebody").0;
    stage.pass(60);
    for (signed_in, status) in [(-50, 502), (0, 303)] {
        let sent = browser
            .ask(
                &stage,
                "GET",
                "/auth/login?return_to=/pay&fresh=1",
                stage::PAGE,
            )
            .await;
        assert_eq!(sent.location().query("max_age").as_deref(), Some("0"));
        assert_eq!(sent.location().query("prompt").as_deref(), Some("login"));
        stage
            .provider
            .say(json!({ "auth_time": stage.now() + signed_in }));
        let back = browser
            .come_back(&stage, &stage.provider.code(&sent.location()))
            .await;
        assert_eq!(back.status, status, "{back:?}");
    }
    let (who, _) = browser.known(&stage).await.expect("somebody");
    assert_eq!(who.auth_time, Some(stage.now()));
    assert_ne!(who.sid, before.sid, "a new session");
}

#[tokio::test(start_paused = true)]
async fn while_the_provider_is_away_only_signing_in_fails() {
    let stage = Stage::new().await;
    let mut known = Browser::signed_in(&stage).await;
    let mut halfway = Browser::default();
    let sent = halfway.open(&stage, "/a").await.location();
    stage.provider.away(true);
    // On the way back the code can't be changed.
    let back = halfway.come_back(&stage, &stage.provider.code(&sent)).await;
    assert_eq!((back.status, back.header("retry-after")), (503, Some("5")));
    assert!(back.body.contains("href=\"/a\""), "{back:?}");
    // Once it has been missed for a while, nobody is sent there.
    stage.wait(400).await;
    let sent = Browser::default().open(&stage, "/a?b=\"c").await;
    assert_eq!((sent.status, sent.header("retry-after")), (503, Some("5")));
    assert_eq!(
        sent.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        known.known(&stage).await.is_some(),
        "who has signed in goes on"
    );
    assert!(stage.counted("provider_away") >= 2);

    stage.provider.away(false);
    stage.wait(40).await;
    assert_eq!(Browser::default().open(&stage, "/a").await.status, 302);
}

#[tokio::test(start_paused = true)]
async fn new_keys_of_the_provider_are_taken() {
    let stage = Stage::new().await;
    let mut browser = Browser::default();
    let sent = browser.open(&stage, "/").await.location();
    stage.pass(11);
    stage.provider.rotate();
    assert_eq!(
        browser
            .come_back(&stage, &stage.provider.code(&sent))
            .await
            .status,
        303
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_a_browser_would_drop_is_none() {
    let stage = Stage::new().await;
    stage.provider.say(json!({ "email": "a".repeat(3_000) }));
    let mut browser = Browser::default();
    let sent = browser.open(&stage, "/").await.location();
    let back = browser.come_back(&stage, &stage.provider.code(&sent)).await;
    assert_eq!((back.status, browser.cookies().len()), (502, 0), "{back:?}");
}

/// Asked from elsewhere, nobody is sent on a way that can't be walked back.
#[tokio::test(start_paused = true)]
async fn a_page_under_another_name_is_not_sent_to_sign_in() {
    let stage = Stage::with(json!({ "redirect_uri": "https://other.test/auth/callback" })).await;
    let sent = Browser::default().open(&stage, "/").await;
    assert_eq!(sent, Answer::nobody());
}

#[tokio::test(start_paused = true)]
async fn only_what_is_its_own_is_answered() {
    let stage = Stage::new().await;
    for (method, path, status) in [
        ("GET", "/auth/other", 404),
        ("POST", "/auth/callback", 405),
        ("HEAD", "/auth/callback?code=c&state=s", 405),
        ("GET", "/auth/logout", 405),
        ("POST", "/auth/login", 405),
    ] {
        let answer = Browser::default()
            .ask(&stage, method, path, stage::PAGE)
            .await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}
