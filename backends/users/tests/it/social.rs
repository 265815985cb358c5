//! Signing in with accounts of other providers. Google and Apple are a provider of the test's own
//! (`op`), which signs with RS256 and checks what they check, and once npm's oidc-provider (`real`);
//! VK ID has no double of anybody's, so `vk` speaks by its documentation.

mod apple;
mod attacks;
mod link;
mod native;
mod op;
mod outage;
mod real;
mod vk;

use host::Secret;
use identity::Principal;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use users::{Apple, Config, Google, Vk};
use uuid::Uuid;

use crate::stage::{Answer, Stage};
use op::{CLIENT, NOW, Op, PHONE, SECRET, keys, query, s256};

/// Where browsers find us.
const HERE: &str = "https://id.example.com";
/// The page that browsers come back to.
const PAGE: &str = "https://app.example.com/signed-in";
/// The page's secret.
const VERIFIER: &str = "a secret of the page, which it keeps to itself";

/// All three providers at one address, as far as that can be.
fn offers(op: &Op) -> impl FnOnce(&mut Config) {
    let issuer = op.url.clone();
    move |config| {
        config.base_url = HERE.to_owned();
        config.social.google = Some(Google {
            client_id: CLIENT.to_owned(),
            client_secret: Secret::new(SECRET),
            native_client_ids: vec![PHONE.to_owned()],
            issuer: issuer.clone(),
        });
        config.social.apple = Some(Apple {
            client_id: CLIENT.to_owned(),
            team_id: "TEAM123456".to_owned(),
            key_id: "KEY1234567".to_owned(),
            private_key: Secret::new(keys().ec.clone()),
            native_client_ids: vec![PHONE.to_owned()],
            issuer: issuer.clone(),
        });
        config.social.vk = Some(Vk {
            client_id: "51000000".to_owned(),
            service_token: None,
            issuer,
        });
        config.social.return_to = vec![PAGE.to_owned()];
    }
}

async fn stage() -> (Op, Stage) {
    let op = Op::start().await;
    let stage = Stage::start_with(offers(&op)).await;
    (op, stage)
}

/// A browser at a provider's door: where it was sent, and its cookie.
struct Sent {
    provider: &'static str,
    location: String,
    cookie: String,
    set_cookie: String,
}

/// Begins, with a page to return to.
async fn begin(stage: &Stage, provider: &'static str) -> Sent {
    begin_with(
        stage,
        provider,
        &[("return_to", PAGE), ("code_challenge", &s256(VERIFIER))],
    )
    .await
}

/// Begins, for JSON.
async fn begin_bare(stage: &Stage, provider: &'static str) -> Sent {
    begin_with(stage, provider, &[]).await
}

async fn begin_with(stage: &Stage, provider: &'static str, query: &[(&str, &str)]) -> Sent {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    let answer = stage
        .get(&format!("/v1/auth/social/{provider}/start?{query}"))
        .await;
    assert_eq!(answer.status, 302, "{answer:?}");
    sent(provider, &answer)
}

fn sent(provider: &'static str, answer: &Answer) -> Sent {
    let set_cookie = answer.header("set-cookie").to_owned();
    Sent {
        provider,
        location: answer.header("location").to_owned(),
        cookie: set_cookie.split(';').next().expect("a pair").to_owned(),
        set_cookie,
    }
}

/// The browser comes back with a query, or with a form where that is the provider's way.
async fn come_back(stage: &Stage, sent: &Sent, brought: &str) -> Answer {
    come_back_as(stage, sent.provider, &sent.cookie, brought).await
}

async fn come_back_as(stage: &Stage, provider: &str, cookie: &str, brought: &str) -> Answer {
    let path = format!("/v1/auth/social/{provider}/callback");
    let cookie = ("cookie", cookie);
    if provider == "apple" {
        let form = ("content-type", "application/x-www-form-urlencoded");
        stage
            .call_with("POST", &path, &[cookie, form], brought)
            .await
    } else {
        let path = format!("{path}?{brought}");
        stage.call_with("GET", &path, &[cookie], "").await
    }
}

/// Somebody signs in there and comes back here, for JSON.
async fn enter(stage: &Stage, op: &Op, provider: &'static str) -> Answer {
    let sent = begin_bare(stage, provider).await;
    let brought = op.sign_in(&sent.location);
    come_back(stage, &sent, &brought).await
}

/// What stands behind the `#` of the page that a browser comes to.
fn brought_home(answer: &Answer, name: &str) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    let there: Url = answer.header("location").parse().expect("an address");
    let said = there.fragment().expect("something behind the #").to_owned();
    assert_eq!(answer.header("location"), format!("{PAGE}#{said}"));
    let mut pairs = form_urlencoded::parse(said.as_bytes());
    let pair = pairs.find(|(key, _)| key == name);
    pair.unwrap_or_else(|| panic!("no {name} in {said}"))
        .1
        .into_owned()
}

async fn exchange(stage: &Stage, code: &str, verifier: &str) -> Answer {
    let wish = json!({ "code": code, "code_verifier": verifier });
    stage.post("/v1/auth/social/exchange", wish).await
}

/// Somebody who has proven themselves a moment ago.
fn fresh(stage: &Stage, user_id: Uuid) -> Principal {
    Principal {
        auth_time: Some(NOW),
        ..stage.user_in(user_id, Uuid::now_v7())
    }
}

fn user_of(answer: &Answer) -> Uuid {
    let sub = answer.claims()["sub"].as_str().expect("a subject").parse();
    sub.expect("an id")
}

/// Somebody who is signed in, and has not proven it of late.
fn stale(stage: &Stage, user_id: Uuid) -> Principal {
    Principal {
        auth_time: Some(NOW - 6 * 60),
        ..fresh(stage, user_id)
    }
}

async fn link_with(stage: &Stage, who: &Principal, proof: Value) -> Answer {
    stage
        .call_as(who, "POST", "/v1/me/identities", None, proof)
        .await
}

#[tokio::test]
async fn what_is_configured_is_offered() {
    let (_op, stage) = stage().await;
    let offered = stage.get("/v1/auth/providers").await.body;
    let item = |provider: &str, title: &str, native: bool| {
        json!({
            "provider": provider, "title": title, "native": native,
            "start": format!("/v1/auth/social/{provider}/start"),
        })
    };
    let all = [
        item("google", "Google", true),
        item("apple", "Apple", true),
        item("vk", "VK ID", false),
    ];
    assert_eq!(offered, json!({ "items": all }));

    let bare = Stage::start().await;
    let none = bare.get("/v1/auth/providers").await.body;
    assert_eq!(none, json!({ "items": [] }));
    for path in ["google/start", "google/callback", "myspace/start"] {
        let answer = bare.get(&format!("/v1/auth/social/{path}")).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_browser_is_sent_away_with_all_that_binds_it() {
    let (op, stage) = stage().await;
    let sent = begin(&stage, "google").await;
    assert!(sent.location.starts_with(&format!("{}/authorize?", op.url)));
    let asked = query(&sent.location);
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["scope"], "openid email profile");
    assert_eq!(
        asked["redirect_uri"],
        "https://id.example.com/v1/auth/social/google/callback"
    );
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(asked[name].len(), 43, "{name}");
    }
    let (_, attributes) = sent.set_cookie.split_once("; ").expect("attributes");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax"
    );
    assert!(sent.cookie.starts_with("__Host-social="));
    // Neither half is in the database, nor what is made of both.
    let kept = stage.everything_but_the_outbox().await;
    let secret = sent.cookie.split('=').nth(1).expect("a value");
    for text in [&*asked["state"], &*asked["nonce"], secret] {
        assert!(!kept.contains(text));
    }
    let other = begin(&stage, "google").await;
    let other = query(&other.location);
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(asked[name], other[name], "{name}");
    }
}

#[tokio::test]
async fn who_comes_first_becomes_somebody_and_is_known_from_then_on() {
    let (op, stage) = stage().await;
    let sent = begin(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    let answer = come_back(&stage, &sent, &brought).await;
    assert!(
        answer
            .header("set-cookie")
            .starts_with("__Host-social=; Path=/; Max-Age=0")
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let code = brought_home(&answer, "code");

    let answer = exchange(&stage, &code, VERIFIER).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let user_id = user_of(&answer);
    assert_eq!(
        answer.claims()["roles"],
        json!(["user"]),
        "nothing but what everybody is"
    );
    assert_eq!(
        stage.acts_of(user_id).await,
        ["user.verified", "identity.linked", "session.begun"]
    );
    let accounts =
        "select email || ' ' || name || ' ' || standing || ' ' || coalesce(password_hash, '-')
        from users.account";
    assert_eq!(
        stage.column::<String>(accounts).await,
        ["ann@gmail.com Ann Lee active -"]
    );
    let (topic, event) = stage.events().await.swap_remove(0);
    assert_eq!(topic, "users.verified");
    assert_eq!(
        event,
        json!({ "user_id": user_id, "email": "ann@gmail.com" })
    );

    // The address and the name are another's now: it is still the same account.
    op.says(json!({ "email": "bob@gmail.com", "name": "Bob" }));
    let answer = enter(&stage, &op, "google").await;
    assert_eq!((answer.status, user_of(&answer)), (200, user_id));
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.account")
            .await,
        [1]
    );
    assert_eq!(
        stage.column::<String>(accounts).await,
        ["ann@gmail.com Ann Lee active -"]
    );
}

#[tokio::test]
async fn what_others_began_with_the_address_ends_with_its_proof() {
    let (op, stage) = stage().await;
    // Somebody registers with Ann's address before her, and waits for her to prove it.
    let flow = stage.register("ann@gmail.com", "a trojan's password").await;
    let code = stage.code("ann@gmail.com").await;
    let user_id = user_of(&enter(&stage, &op, "google").await);
    assert_eq!(stage.verify(flow, &code).await.status, 400);
    assert_eq!(
        stage
            .login("ann@gmail.com", "a trojan's password")
            .await
            .status,
        401
    );
    assert_eq!(user_of(&enter(&stage, &op, "google").await), user_id);
}

#[tokio::test]
async fn the_gate_is_the_same_for_all() {
    let (op, stage) = stage().await;
    enter(&stage, &op, "google").await;
    stage
        .execute("update users.account set standing = 'banned'")
        .await;
    let answer = enter(&stage, &op, "google").await;
    assert_eq!((answer.status, answer.code()), (403, "account_banned"));
    stage
        .execute("update users.account set standing = 'active'")
        .await;

    stage
        .execute(
            "insert into users.second_factor
                (id, account_id, kind, name, secret, created_at, confirmed_at)
            select gen_random_uuid(), id, 'totp', 'phone', '\\x01'::bytea, created_at, created_at
            from users.account",
        )
        .await;
    let answer = enter(&stage, &op, "google").await;
    assert_eq!((answer.status, answer.code()), (401, "mfa_required"));
    assert_eq!(answer.body["access_token"], Value::Null);
}

#[tokio::test]
async fn the_refresh_token_goes_into_a_cookie_if_that_is_asked() {
    let (op, stage) = stage().await;
    let sent = begin(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    let code = brought_home(&come_back(&stage, &sent, &brought).await, "code");
    let wish = json!({ "code": code, "code_verifier": VERIFIER }).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-refresh-transport", "cookie"),
    ];
    let answer = stage
        .call_with("POST", "/v1/auth/social/exchange", &headers, &wish)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["refresh_token"], Value::Null);
    assert!(answer.header("set-cookie").starts_with("__Host-refresh="));
}

#[tokio::test]
async fn who_says_no_comes_home_without_anything() {
    let (_op, stage) = stage().await;
    let sent = begin(&stage, "google").await;
    let state = &query(&sent.location)["state"];
    let answer = come_back(&stage, &sent, &format!("error=access_denied&state={state}")).await;
    assert_eq!(brought_home(&answer, "error"), "access_denied");
    let sent = begin_bare(&stage, "google").await;
    let state = &query(&sent.location)["state"];
    let answer = come_back(&stage, &sent, &format!("error=%3Cscript%3E&state={state}")).await;
    assert_eq!((answer.status, answer.code()), (400, "access_denied"));
    assert!(!answer.body.to_string().contains("script"));
}
