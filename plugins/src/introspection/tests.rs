use std::pin::Pin;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use plugin_sdk::testing::{TestEnv, TestRequest};
use plugin_sdk::{Chain, Fetch, FetchError, Kind, Link, Sent, Tasks};
use serde_json::{Value, json};

use super::*;

mod configuration;
mod outages;

/// What the stopped clock says at first.
const NOW: i64 = 1_767_225_600;

struct OnTokio;

impl Tasks for OnTokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

/// What the issuer does when it is asked.
#[derive(Clone)]
enum Act {
    Says(u16, String),
    /// The same, after a while.
    Slowly(Duration, String),
    Hangs,
    Away,
}

/// An issuer that plays what a test says, and keeps what it was asked.
struct Issuer {
    act: Mutex<Act>,
    asked: Mutex<Vec<HttpRequest<Bytes>>>,
    at_once: Mutex<(usize, usize)>,
}

impl Issuer {
    fn play(&self, act: Act) {
        *self.act.lock().expect("the act") = act;
    }
    fn says(&self, answer: &Value) {
        self.play(Act::Says(200, answer.to_string()));
    }
    fn count(&self) -> usize {
        self.asked.lock().expect("what was asked").len()
    }
    fn most_at_once(&self) -> usize {
        self.at_once.lock().expect("a count").1
    }
}

/// A question under way, until it is answered or given up.
struct One<'a>(&'a Issuer);

impl<'a> One<'a> {
    fn of(issuer: &'a Issuer) -> Self {
        let mut count = issuer.at_once.lock().expect("a count");
        count.0 += 1;
        count.1 = count.1.max(count.0);
        Self(issuer)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.at_once.lock().expect("a count").0 -= 1;
    }
}

impl Fetch for Issuer {
    fn send<'a>(&'a self, request: HttpRequest<Bytes>, limit: usize) -> Sent<'a> {
        self.asked.lock().expect("what was asked").push(request);
        let act = self.act.lock().expect("the act").clone();
        Box::pin(async move {
            let _one = One::of(self);
            let answer = match act {
                Act::Away => Err(FetchError("connection refused".into())),
                Act::Hangs => std::future::pending().await,
                Act::Says(status, body) => Ok((status, body)),
                Act::Slowly(pause, body) => {
                    tokio::time::sleep(pause).await;
                    Ok((200, body))
                }
            };
            let (status, body) = answer?;
            if body.len() > limit {
                return Err(FetchError(format!("longer than {limit} bytes")));
            }
            let mut answer = Response::new(Bytes::from(body));
            *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            Ok(answer)
        })
    }
}

struct Stage {
    lent: TestEnv,
    issuer: Arc<Issuer>,
    chain: Chain,
}

fn config() -> Value {
    json!({
        "endpoint": "https://id.test/introspect",
        "client_id": "gate way",
        "client_secret": "$file:example.secret",
        "audience": "api",
    })
}

fn changed(mut config: Value, changes: Value) -> Value {
    let object = config.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.remove(name)),
            value => drop(object.insert(name.clone(), value.clone())),
        }
    }
    config
}

/// An answer that will do, with some of it changed.
fn good(changes: Value) -> Value {
    let answer = json!({
        "active": true, "token_type": "Bearer", "sub": "u1", "aud": "api", "iss": "https://id.test",
        "client_id": "web", "scope": "a:read a:write", "iat": NOW - 10, "exp": NOW + 300,
    });
    changed(answer, changes)
}

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/introspection")
}

fn link(env: &Env, config: Value) -> Result<Link, BuildError> {
    let plugin = Kind::of::<Plugin>().build(config, &env.named("auth.opaque.introspection"))?;
    Ok(Link::new("opaque", plugin))
}

impl Stage {
    fn new(changes: Value) -> Self {
        let mut lent = TestEnv::new(folder(), Arc::new(OnTokio));
        let issuer = Arc::new(Issuer {
            act: Mutex::new(Act::Says(200, good(json!({})).to_string())),
            asked: Mutex::default(),
            at_once: Mutex::default(),
        });
        lent.env.fetch = issuer.clone();
        let link = link(&lent.env, changed(config(), changes)).expect("builds");
        let chain = Chain::new(vec![link]);
        Self {
            lent,
            issuer,
            chain,
        }
    }

    async fn request(&self, token: &str) -> (TestRequest, u16, &'static str) {
        let mut request =
            TestRequest::new("GET", "/").header("authorization", &format!("Bearer {token}"));
        let reply = request.run(&self.chain).await;
        let status = reply.as_ref().map_or(200, |reply| reply.status.as_u16());
        (request, status, reply.map_or("", |reply| reply.code()))
    }

    /// The status that a bearer of the token gets, and the problem's code.
    async fn ask(&self, token: &str) -> (u16, &'static str) {
        let (_, status, code) = self.request(token).await;
        (status, code)
    }

    async fn pass(&self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.lent.clock.advance(time);
        tokio::time::sleep(time).await;
    }
}

const OK: (u16, &str) = (200, "");
const AWAY: (u16, &str) = (503, "auth_unavailable");
const INVALID: (u16, &str) = (401, "invalid_token");

#[tokio::test(start_paused = true)]
async fn the_issuer_is_asked_as_rfc_7662_has_it() {
    let stage = Stage::new(json!({}));
    let (request, status, _) = stage.request("t/1+x==").await;
    assert_eq!(status, 200);
    let who = request.facts.principal.expect("somebody");
    assert_eq!(
        (who.sub.as_str(), &who.scopes[..]),
        ("u1", &["a:read".into(), "a:write".into()][..])
    );
    let proof = request.facts.proof.expect("a proof");
    assert_eq!(
        (&*proof.way, proof.form, proof.issued_at),
        ("opaque", Form::Bearer, NOW - 10)
    );
    assert_eq!(
        (proof.expires_at, &proof.claims["client_id"]),
        (Some(NOW + 300), &json!("web"))
    );

    let asked = stage.issuer.asked.lock().expect("what was asked");
    let [asked] = &asked[..] else {
        panic!("one question")
    };
    assert_eq!(
        (asked.method().as_str(), asked.uri().to_string().as_str()),
        ("POST", "https://id.test/introspect")
    );
    assert_eq!(
        asked.body(),
        &"token=t%2F1%2Bx%3D%3D&token_type_hint=access_token"
    );
    assert_eq!(
        asked.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    let authorization = &asked.headers()["authorization"];
    // `gate+way:the+secret+of+an+example`
    assert_eq!(
        authorization,
        "Basic Z2F0ZSt3YXk6dGhlK3NlY3JldCtvZithbitleGFtcGxl"
    );
    assert!(authorization.is_sensitive());
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_for_a_while_and_never_beyond_the_token() {
    let stage = Stage::new(json!({}));
    for _ in 0..3 {
        assert_eq!(stage.ask("t1").await, OK);
    }
    assert_eq!(stage.issuer.count(), 1);
    assert_eq!(stage.ask("t2").await, OK);
    assert_eq!(stage.issuer.count(), 2, "another token is another question");
    stage.pass(30).await;
    assert_eq!(stage.ask("t1").await, OK);
    assert_eq!(stage.issuer.count(), 3);

    // A token that ends before the answer is forgotten.
    stage
        .issuer
        .says(&good(json!({ "exp": stage.lent.env.clock.unix() + 5 })));
    assert_eq!(stage.ask("t3").await, OK);
    stage.pass(5).await;
    stage.issuer.says(&json!({ "active": false }));
    assert_eq!(stage.ask("t3").await, INVALID);
}

/// Security case 26: what was revoked is refused once the answer is forgotten, and no later.
#[tokio::test(start_paused = true)]
async fn gateway_26_a_revoked_token_is_refused_within_the_time_named() {
    let stage = Stage::new(json!({ "cache": "30s", "stale": "5m" }));
    assert_eq!(stage.ask("t1").await, OK);
    stage.issuer.says(&json!({ "active": false }));
    stage.pass(29).await;
    assert_eq!(stage.ask("t1").await, OK);
    stage.pass(1).await;
    assert_eq!(stage.ask("t1").await, INVALID);
    // And it stays so, though nobody can be asked: a bad answer takes the good one along.
    stage.issuer.play(Act::Away);
    stage.pass(11).await;
    assert_eq!(stage.ask("t1").await, AWAY);
}

#[tokio::test(start_paused = true)]
async fn a_bad_answer_is_remembered_too() {
    let stage = Stage::new(json!({ "negative_cache": "10s" }));
    stage.issuer.says(&json!({ "active": false }));
    for _ in 0..100 {
        assert_eq!(stage.ask("t1").await, INVALID);
    }
    assert_eq!(stage.issuer.count(), 1);
    stage.issuer.says(&good(json!({})));
    stage.pass(10).await;
    assert_eq!(stage.ask("t1").await, OK);
}

/// Security case 24, for answers.
#[tokio::test(start_paused = true)]
async fn gateway_24_an_answer_is_for_us_and_of_an_access_token() {
    for (changes, config, right) in [
        (json!({}), json!({}), true),
        (json!({ "aud": ["other", "api"] }), json!({}), true),
        (json!({ "exp": null, "iat": null }), json!({}), true),
        (json!({ "token_type": "bearer" }), json!({}), true),
        (
            json!({ "token_type": null }),
            json!({ "token_type": ["Bearer", "absent"] }),
            true,
        ),
        (
            json!({ "aud": null }),
            json!({ "audience": null, "clients": ["web"] }),
            true,
        ),
        (json!({}), json!({ "issuer": "https://id.test" }), true),
        (json!({ "cnf": { "jkt": "x" } }), json!({}), false),
        (json!({ "aud": "other" }), json!({}), false),
        (json!({ "aud": null }), json!({}), false),
        (json!({ "token_type": null }), json!({}), false),
        (json!({ "token_type": "DPoP" }), json!({}), false),
        (
            json!({ "token_type": "DPoP" }),
            json!({ "token_type": ["absent"] }),
            false,
        ),
        (json!({ "token_use": "refresh_token" }), json!({}), false),
        (json!({ "typ": "Refresh" }), json!({}), false),
        (
            json!({ "client_id": "app" }),
            json!({ "clients": ["web"] }),
            false,
        ),
        (
            json!({ "client_id": null }),
            json!({ "clients": ["web"] }),
            false,
        ),
        (
            json!({ "iss": "https://evil.test" }),
            json!({ "issuer": "https://id.test" }),
            false,
        ),
        (json!({ "exp": NOW - 60 }), json!({}), false),
        (json!({ "exp": "soon" }), json!({}), false),
        (json!({ "nbf": NOW + 60 }), json!({}), false),
        (json!({ "sub": null }), json!({}), false),
        (json!({ "sub": "" }), json!({}), false),
        (json!({ "sub": "u1\r\nx-admin: 1" }), json!({}), false),
    ] {
        let stage = Stage::new(config.clone());
        stage.issuer.says(&good(changes.clone()));
        let expected = if right { OK } else { INVALID };
        assert_eq!(stage.ask("t1").await, expected, "{changes} {config}");
    }
}

/// Security case 23: what is no token is not asked about.
#[tokio::test(start_paused = true)]
async fn gateway_23_what_is_no_token_costs_no_question() {
    let stage = Stage::new(json!({}));
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    for token in ["a b", "a%20b", "{}", "=", "a=b", &long] {
        assert_eq!(stage.ask(token).await, INVALID, "{token}");
    }
    for other in [&[][..], &["Basic dTpw"], &["Bearer"]] {
        let mut request =
            TestRequest::new("GET", "/?access_token=t1").header("cookie", "access_token=t1");
        for value in other {
            request = request.header("authorization", value);
        }
        assert!(request.run(&stage.chain).await.is_none(), "{other:?}");
        assert!(request.facts.principal.is_none() && !request.facts.unclaimed);
    }
    let mut two = TestRequest::new("GET", "/")
        .header("authorization", "Bearer t1")
        .header("authorization", "Bearer t1");
    let reply = two.run(&stage.chain).await.expect("a refusal");
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "bad_request"));
    assert_eq!(stage.issuer.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn signed_tokens_are_another_ways_unless_any_is_asked_about() {
    // {"alg":"none"}.{"iss":"https://other.test"}.
    let signed = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLnRlc3QifQ.";
    let stage = Stage::new(json!({}));
    let (request, status, _) = stage.request(signed).await;
    assert_eq!(
        (status, request.facts.unclaimed, stage.issuer.count()),
        (200, true, 0)
    );
    assert!(request.facts.principal.is_none());
    let stage = Stage::new(json!({ "tokens": "any" }));
    let (request, status, _) = stage.request(signed).await;
    assert_eq!((status, stage.issuer.count()), (200, 1));
    assert!(request.facts.principal.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_known_and_another_audience_does_not() {
    let stage = Stage::new(json!({}));
    assert_eq!(stage.ask("t1").await, OK);
    for (changes, count, expected) in [
        (json!({}), 1, OK),
        (json!({ "audience": "admin" }), 2, INVALID),
    ] {
        let link = link(&stage.lent.env, changed(config(), changes)).expect("builds");
        let again = Chain::new(vec![link]);
        let mut request = TestRequest::new("GET", "/").header("authorization", "Bearer t1");
        let reply = request.run(&again).await;
        let outcome = reply.map_or(OK, |reply| (reply.status.as_u16(), reply.code()));
        assert_eq!((stage.issuer.count(), outcome), (count, expected));
    }
}

/// Security case 38: neither tokens nor our secret are where somebody may read them.
#[test]
fn gateway_38_memory_holds_no_token() {
    let digest = memory::digest("t1");
    assert_ne!(&digest[..2], b"t1");
    let config: Config = serde_json::from_value(config()).expect("a configuration");
    assert!(!format!("{config:?}").contains("the secret"));
}
