//! Security case 29, each line against a provider that helps the attacker.

use super::evil::sign;
use super::*;

/// A sign-in that was begun, and what would bring it home.
async fn begun(stage: &Stage) -> (Browser, String) {
    let mut browser = Browser::default();
    let asked = browser.open(stage, "/").await.location();
    let query = stage.provider.code(&asked);
    (browser, query)
}

/// Nobody is signed in by this, and no code was shown to the provider.
async fn is_refused(stage: &Stage, browser: &mut Browser, query: &str, status: u16) {
    let back = browser.come_back(stage, query).await;
    assert_eq!(back.status, status, "{query}: {back:?}");
    assert_eq!(browser.value("__Host-staff"), "", "{query}");
    assert!(!back.body.contains("code-of"), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn gateway_29_a_state_that_is_missing_or_anothers_is_refused() {
    let stage = Stage::new().await;
    let (mut browser, query) = begun(&stage).await;
    let (code, state) = (part(&query, "code"), part(&query, "state"));
    let (_, others) = begun(&stage).await;
    for query in [
        format!("code={code}&iss={ISSUER}"),
        format!("code={code}&iss={ISSUER}&state="),
        format!("code={code}&iss={ISSUER}&state=x"),
        format!("code={code}&iss={ISSUER}&state={state}&state={state}"),
        // The victim's browser is sent home with the attacker's sign-in.
        others,
    ] {
        is_refused(&stage, &mut browser, &query, 400).await;
    }
    assert_eq!(
        stage.provider.exchanges(),
        0,
        "no code was shown to anybody"
    );
    // None of that has ended the sign-in itself.
    assert_eq!(browser.come_back(&stage, &query).await.status, 303);
}

#[tokio::test(start_paused = true)]
async fn gateway_29_a_state_that_was_used_is_refused() {
    let stage = Stage::new().await;
    let (mut browser, query) = begun(&stage).await;
    let before = browser.clone();
    assert_eq!(browser.come_back(&stage, &query).await.status, 303);
    assert_eq!(browser.come_back(&stage, &query).await.status, 400);
    // With the cookies of before as well.
    is_refused(&stage, &mut before.clone(), &query, 400).await;
    assert_eq!(stage.provider.exchanges(), 1);
    // And a failure has spent it too.
    let (mut browser, query) = begun(&stage).await;
    let before = browser.clone();
    stage
        .provider
        .answer(Some((400, r#"{"error":"invalid_grant"}"#.into())));
    is_refused(&stage, &mut browser, &query, 400).await;
    assert_eq!(browser.cookies(), [""; 0]);
    stage.provider.answer(None);
    is_refused(&stage, &mut before.clone(), &query, 400).await;
}

#[tokio::test(start_paused = true)]
async fn gateway_29_a_sign_in_that_takes_too_long_is_over() {
    let stage = Stage::new().await;
    let (mut browser, query) = begun(&stage).await;
    stage.pass(pending::LASTS_S.unsigned_abs());
    is_refused(&stage, &mut browser, &query, 400).await;
}

#[tokio::test(start_paused = true)]
async fn gateway_29_the_code_of_another_sign_in_is_refused() {
    let stage = Stage::new().await;
    let (_, stolen) = begun(&stage).await;
    let (mut attacker, own) = begun(&stage).await;
    let injected = own.replace(&part(&own, "code"), &part(&stolen, "code"));
    // This provider does not look at the verifier: the nonce gives it away.
    is_refused(&stage, &mut attacker, &injected, 502).await;
    assert_eq!(stage.counted("sign_in_failed"), 1);
}

#[tokio::test(start_paused = true)]
async fn gateway_29_a_nonce_that_is_missing_or_anothers_is_refused() {
    let stage = Stage::new().await;
    for nonce in [json!(null), json!("x"), json!(""), json!(["x"])] {
        stage.provider.say(json!({ "nonce": nonce }));
        let (mut browser, query) = begun(&stage).await;
        is_refused(&stage, &mut browser, &query, 502).await;
    }
}

#[tokio::test(start_paused = true)]
async fn gateway_29_two_issuers_are_not_mixed_up_at_the_edge() {
    let stage = Stage::new().await;
    let (_, honest) = begun(&stage).await;
    for iss in [
        "",
        "&iss=https%3A%2F%2Fevil.test",
        "&iss=https%3A%2F%2Fsso.test%2F",
    ] {
        let (mut browser, query) = begun(&stage).await;
        let query = format!("{}{iss}", query.split("&iss=").next().expect("a query"));
        is_refused(&stage, &mut browser, &query, 400).await;
        // A refusal that another issuer sends ends nothing but the sign-in.
        let (mut browser, query) = begun(&stage).await;
        let query = format!("error=access_denied&state={}{iss}", part(&query, "state"));
        is_refused(&stage, &mut browser, &query, 400).await;
    }
    assert_eq!(
        stage.provider.exchanges(),
        0,
        "no code went to the wrong one"
    );
    // The cookie of one provider's sign-in is none of another's, under the same name.
    let clock = Arc::new(plugin_sdk::testing::StoppedClock::default());
    let other = Stage::of(
        stage.provider.clone(),
        clock,
        json!({ "client_id": "other" }),
    );
    let mut browser = Browser::default();
    let asked = browser.open(&other, "/").await.location();
    let query = stage.provider.code(&asked);
    is_refused(&stage, &mut browser, &query, 400).await;
    drop(honest);
}

#[tokio::test(start_paused = true)]
async fn gateway_29_an_id_token_that_is_not_the_providers_is_refused() {
    let stage = Stage::new().await;
    let refused = |bend: fn(String) -> String, header, claims| {
        stage.provider.bend(bend);
        stage.provider.head(header);
        stage.provider.say(claims);
        async {
            let (mut browser, query) = begun(&stage).await;
            is_refused(&stage, &mut browser, &query, 502).await;
        }
    };
    let as_it_is: fn(String) -> String = |token| token;
    for alg in ["none", "None", "HS256", "RS256", "ES256"] {
        refused(as_it_is, json!({ "alg": alg }), json!({})).await;
        refused(unsigned, json!({ "alg": alg }), json!({})).await;
    }
    refused(unsigned, json!({}), json!({})).await;
    refused(resigned, json!({}), json!({})).await;
    refused(|_| "x.y.z".into(), json!({}), json!({})).await;
    refused(|_| String::new(), json!({}), json!({})).await;
    refused(
        |token| format!("{token}{}", "A".repeat(9_000)),
        json!({}),
        json!({}),
    )
    .await;
    // An access token of the same provider in its place.
    refused(as_it_is, json!({ "typ": "at+jwt" }), json!({})).await;
    refused(as_it_is, json!({ "crit": ["exp"] }), json!({})).await;
    refused(as_it_is, json!({ "kid": "../../k1" }), json!({})).await;
    for claims in [
        json!({ "iss": "https://evil.test" }),
        json!({ "aud": "other" }),
        json!({ "aud": ["edge", "other"] }),
        json!({ "azp": "other" }),
        json!({ "exp": stage.now() - 60 }),
        json!({ "iat": stage.now() - 3_600 }),
        json!({ "iat": stage.now() + 3_600, "exp": stage.now() + 7_200 }),
        json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }),
        json!({ "c_hash": "77QmUPtjPfzWtF2AnpK9RQ" }),
        json!({ "sub": null }),
        json!({ "sub": "a\nb" }),
        json!({ "groups": { "a": "b" } }),
    ] {
        refused(as_it_is, json!({}), claims).await;
    }
    stage.provider.say(json!({}));
    let (mut browser, query) = begun(&stage).await;
    assert_eq!(
        browser.come_back(&stage, &query).await.status,
        303,
        "unbent it is good"
    );
}

fn unsigned(token: String) -> String {
    let (signed, _) = token.rsplit_once('.').expect("a token");
    format!("{signed}.")
}

/// The same claims under the name of the provider's key, signed with another.
fn resigned(token: String) -> String {
    let mut parts = token.split('.');
    let mut part = || -> serde_json::Value {
        use base64::Engine;
        let part = parts.next().expect("a part");
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice(&json.expect("base64url")).expect("JSON")
    };
    let (header, claims) = (part(), part());
    sign(99, &header, &claims)
}

#[tokio::test(start_paused = true)]
async fn gateway_29_pkce_is_not_taken_down() {
    let stage = Stage::new().await;
    let mut browser = Browser::default();
    let one = browser.open(&stage, "/").await.location();
    let two = browser.open(&stage, "/").await.location();
    for asked in [&one, &two] {
        assert_eq!(
            asked.query("code_challenge_method").as_deref(),
            Some("S256")
        );
        assert_eq!(
            asked.query("code_challenge").map(|text| text.len()),
            Some(43)
        );
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(one.query(name), two.query(name), "{name}");
    }
    // A provider that says that it takes no S256 is not used.
    for methods in [json!(["plain"]), json!([])] {
        let clock = Arc::new(plugin_sdk::testing::StoppedClock::default());
        let provider = Arc::new(Evil::new(clock.clone()));
        provider.describe(json!({ "code_challenge_methods_supported": methods }));
        let stage = Stage::of(provider, clock, json!({}));
        assert_eq!(Browser::default().open(&stage, "/").await.status, 503);
    }
}

#[tokio::test(start_paused = true)]
async fn gateway_29_nobody_is_sent_elsewhere_after_signing_in() {
    let stage = Stage::new().await;
    for to in [
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "https://evil.test",
        "https:evil.test",
        "%2F%2Fevil.test",
        "/%09/evil.test",
        "/%0d%0aset-cookie:a=b",
        "javascript:alert(1)",
        "evil.test",
        "%20/",
        "",
    ] {
        let target = format!("/auth/login?return_to={to}");
        let answer = Browser::default().open(&stage, &target).await;
        assert_eq!((answer.status, answer.code), (400, "bad_return_to"), "{to}");
    }
    // A path that only looks like a host stays one of ours.
    for path in ["//evil.test/a", "/\\evil.test"] {
        let mut browser = Browser::default();
        let asked = browser.open(&stage, path).await.location();
        let back = browser
            .come_back(&stage, &stage.provider.code(&asked))
            .await;
        assert_eq!(
            back.header("location"),
            Some("https://edge.test/"),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn gateway_29_a_session_is_nobodys_before_and_new_after_signing_in() {
    let stage = Stage::new().await;
    // What an attacker has put there is worth nothing: it is not sealed by us, or not for this.
    let (attacker, _) = begun(&stage).await;
    let login = attacker.value(attacker.cookies()[0]);
    for planted in ["", "x", "attacker", &login] {
        let mut browser = Browser::default();
        browser.set("__Host-staff", planted);
        assert!(browser.known(&stage).await.is_none(), "{planted}");
    }
    // A session of the attacker's own, in the victim's browser, ends as the victim signs in.
    let mut attacker = Browser::signed_in(&stage).await;
    let fixed = attacker.value("__Host-staff");
    let mut victim = Browser::default();
    let asked = victim.open(&stage, "/").await.location();
    victim.set("__Host-staff", &fixed);
    assert_eq!(
        victim
            .come_back(&stage, &stage.provider.code(&asked))
            .await
            .status,
        303
    );
    assert_ne!(victim.value("__Host-staff"), fixed);
    assert!(victim.known(&stage).await.is_some());
    assert!(
        attacker.known(&stage).await.is_none(),
        "the one that was there is over"
    );
}

#[tokio::test(start_paused = true)]
async fn gateway_29_nobody_is_signed_out_by_another_site() {
    let stage = Stage::new().await;
    let mut browser = Browser::signed_in(&stage).await;
    for headers in [
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.test"),
        ][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "null")],
        &[],
    ] {
        let answer = browser.ask(&stage, "POST", "/auth/logout", headers).await;
        assert_eq!((answer.status, answer.code), (403, "csrf"), "{headers:?}");
    }
    let answer = browser
        .ask(&stage, "GET", "/auth/logout", stage::PAGE)
        .await;
    assert_eq!(answer.status, 405, "an image would do otherwise");
    assert!(browser.known(&stage).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn gateway_30_another_site_can_not_use_a_session() {
    let stage = Stage::with(json!({ "origins": ["https://app.test"] })).await;
    let browser = Browser::signed_in(&stage).await;
    for (method, headers, code) in [
        ("POST", &[("origin", "https://evil.test")][..], Some("csrf")),
        ("DELETE", &[("sec-fetch-site", "cross-site")], Some("csrf")),
        ("POST", &[], Some("csrf")),
        (
            "GET",
            &[("upgrade", "websocket"), ("origin", "https://evil.test")],
            Some("csrf"),
        ),
        ("GET", &[("upgrade", "websocket")], Some("csrf")),
        ("POST", &[("origin", "https://edge.test")], None),
        (
            "POST",
            &[
                ("origin", "https://app.test"),
                ("sec-fetch-site", "cross-site"),
            ],
            None,
        ),
        (
            "GET",
            &[("upgrade", "websocket"), ("origin", "https://edge.test")],
            None,
        ),
        ("GET", &[("sec-fetch-site", "cross-site")], None),
    ] {
        let mut request = headers
            .iter()
            .fold(browser.request(method, "/"), |r, (n, v)| r.header(n, v));
        let refusal = request.run(&stage.chain).await;
        assert_eq!(
            refusal.map(|reply| reply.code()),
            code,
            "{method} {headers:?}"
        );
        assert_eq!(request.facts.principal.is_some(), code.is_none());
    }
    // Who proved it otherwise brings no cookie into play.
    let mut request = browser.request("POST", "/").who(Principal::default());
    assert!(request.run(&stage.chain).await.is_none());
    assert_eq!(stage.counted("csrf"), 5);
}

fn part(query: &str, name: &str) -> String {
    stage::Query::of(&format!("https://edge.test/?{query}"))
        .query(name)
        .expect("it is there")
}
