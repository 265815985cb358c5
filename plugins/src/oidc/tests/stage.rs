//! A gateway's way to sign in, and a browser that keeps cookies as browsers do.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::SET_COOKIE;
use plugin_sdk::testing::{ScriptedFetch, StoppedClock, TestMeter, TestRequest};
use plugin_sdk::{Chain, Clock, Env, Kind, Lent, Link, Principal, Proof, Reply, Tasks};
use serde_json::{Value, json};
use url::Url;

use super::Evil;

pub(super) const ISSUER: &str = "https://sso.test";

/// What a browser says that opens a page.
pub(super) const PAGE: &[(&str, &str)] = &[
    ("accept", "text/html"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "cross-site"),
];

struct OnTokio;

impl Tasks for OnTokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

pub(super) struct Stage {
    pub(super) provider: Arc<Evil>,
    pub(super) chain: Chain,
    clock: Arc<StoppedClock>,
    meter: Arc<TestMeter>,
    env: Env,
}

pub(super) fn config(changes: Value) -> Value {
    let mut config = json!({
        "issuer": ISSUER,
        "client_id": "edge",
        "client_secret": "$file:client.secret",
        "redirect_uri": "https://edge.test/auth/callback",
        "algs": ["EdDSA"],
        "scopes": ["openid", "profile"],
        "claims": { "roles": "groups", "sub_prefix": "staff:" },
        "roles": { "edge-admins": "admin" },
        "keep": ["email", "absent"],
        "cookie": { "name": "__Host-staff", "key": "$file:session.key" },
        "login": "/auth/login",
        "logout": "/auth/logout",
        "after_logout": "/bye",
    });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => config.as_object_mut().expect("an object").remove(name),
            value => config
                .as_object_mut()
                .expect("an object")
                .insert(name.clone(), value.clone()),
        };
    }
    config
}

fn chain(changes: Value, env: &Env) -> Chain {
    let plugin = Kind::of::<super::Plugin>().build(config(changes), env);
    Chain::new(vec![Link::new("staff", plugin.expect("builds"))])
}

/// The folder with the keys of the example.
pub(super) fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oidc")
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(json!({})).await
    }

    pub(super) async fn with(changes: Value) -> Self {
        let clock = Arc::new(StoppedClock::default());
        let provider = Arc::new(Evil::new(clock.clone()));
        Self::of(provider, clock, changes)
    }

    pub(super) fn of(provider: Arc<Evil>, clock: Arc<StoppedClock>, changes: Value) -> Self {
        let meter = Arc::new(TestMeter::default());
        let lent = Lent {
            clock: clock.clone(),
            tasks: Arc::new(OnTokio),
            fetch: provider.clone(),
            upstreams: Arc::new(ScriptedFetch::default()),
            meter: meter.clone(),
        };
        let env = Env::new(folder(), lent).named("auth.staff.oidc");
        Self {
            provider,
            chain: chain(changes, &env),
            clock,
            meter,
            env,
        }
    }

    /// Loads the table anew.
    pub(super) fn reload(&mut self, changes: Value) {
        self.chain = chain(changes, &self.env);
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.unix()
    }

    /// Lets time pass for those who look at the clock.
    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Lets time pass, for those who sleep too.
    pub(super) async fn wait(&self, seconds: u64) {
        for _ in 0..seconds {
            self.pass(1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    pub(super) fn counted(&self, event: &'static str) -> u64 {
        self.meter.of("auth.staff.oidc", event)
    }

    fn link(&self) -> &Link {
        &self.chain.links()[0]
    }
}

/// What a browser got.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: &'static str,
    headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// What somebody gets whom nobody knows and who is sent nowhere.
    pub(super) fn nobody() -> Self {
        Self {
            status: 401,
            code: "unauthenticated",
            headers: HeaderMap::new(),
            body: String::new(),
        }
    }

    fn of(reply: &Reply, request: &TestRequest) -> Self {
        let (mut headers, body) = reply.render("r1");
        for (name, value) in &request.facts.answer_headers {
            headers.append(name.clone(), value.clone());
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Self {
            status: reply.status.as_u16(),
            code: reply.code(),
            headers,
            body,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    pub(super) fn location(&self) -> Query {
        Query::of(
            self.header("location")
                .unwrap_or_else(|| panic!("sent nowhere: {self:?}")),
        )
    }
}

/// An address, and what its query says.
#[derive(Debug, Clone)]
pub(super) struct Query(Url);

impl Query {
    pub(super) fn of(text: &str) -> Self {
        Self(text.parse().expect("an address"))
    }

    pub(super) fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.query_pairs();
        pairs.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
    }
}

impl std::ops::Deref for Query {
    type Target = Url;
    fn deref(&self) -> &Url {
        &self.0
    }
}

/// A browser: its cookies.
#[derive(Debug, Clone, Default)]
pub(super) struct Browser(BTreeMap<String, String>);

impl Browser {
    pub(super) async fn signed_in(stage: &Stage) -> Self {
        let mut browser = Self::default();
        let asked = browser.open(stage, "/").await.location();
        let back = browser.come_back(stage, &stage.provider.code(&asked)).await;
        assert_eq!(back.status, 303, "{back:?}");
        browser
    }

    pub(super) fn cookies(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub(super) fn value(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), value.into());
    }

    /// A request with the cookies, and nothing else said.
    pub(super) fn request(&self, method: &str, target: &str) -> TestRequest {
        let cookies: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = TestRequest::new(method, target);
        match cookies.is_empty() {
            true => request,
            false => request.header("cookie", &cookies.join("; ")),
        }
    }

    /// Opens a page of a route that asks for a session, or one that the plugin answers.
    pub(super) async fn open(&mut self, stage: &Stage, target: &str) -> Answer {
        if target.starts_with("/auth/") {
            return self.ask(stage, "GET", target, PAGE).await;
        }
        let mut request = PAGE
            .iter()
            .fold(self.request("GET", target), |r, (n, v)| r.header(n, v));
        let refusal = request.run(&stage.chain).await;
        assert!(
            refusal.is_none() && request.facts.principal.is_none(),
            "a stranger: {refusal:?}"
        );
        let Some(reply) = request.challenge(&stage.chain).await else {
            return Answer::nobody();
        };
        let answer = Answer::of(&reply, &request);
        self.keep(&answer);
        answer
    }

    pub(super) async fn come_back(&mut self, stage: &Stage, query: &str) -> Answer {
        self.open(stage, &format!("/auth/callback?{query}")).await
    }

    /// What the plugin answers.
    pub(super) async fn ask(
        &mut self,
        stage: &Stage,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = headers
            .iter()
            .fold(self.request(method, target), |r, (n, v)| r.header(n, v));
        let reply = request.answer(stage.link()).await;
        let answer = Answer::of(&reply, &request);
        self.keep(&answer);
        answer
    }

    /// Whom a request of this browser is taken for.
    pub(super) async fn known(&mut self, stage: &Stage) -> Option<(Arc<Principal>, Arc<Proof>)> {
        let mut request = self.request("GET", "/");
        assert!(request.run(&stage.chain).await.is_none());
        for (name, value) in &request.facts.answer_headers {
            assert_eq!(name, SET_COOKIE);
            self.take(value.to_str().expect("text"));
        }
        Some((
            request.facts.principal.clone()?,
            request.facts.proof.clone()?,
        ))
    }

    fn keep(&mut self, answer: &Answer) {
        for value in answer.headers.get_all(SET_COOKIE) {
            self.take(value.to_str().expect("text"));
        }
    }

    /// As a browser does (RFC 6265bis): a `__Host-` cookie has these attributes, or is none.
    fn take(&mut self, cookie: &str) {
        let mut parts = cookie.split("; ");
        let (name, value) = parts
            .next()
            .and_then(|pair| pair.split_once('='))
            .expect("a pair");
        let attributes: Vec<&str> = parts.collect();
        for wanted in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.contains(&wanted), "{cookie}");
        }
        assert!(
            name.starts_with("__Host-") && name.len() + value.len() <= 4096,
            "{cookie}"
        );
        match attributes.contains(&"Max-Age=0") {
            true => self.0.remove(name),
            false => self.0.insert(name.into(), value.into()),
        };
    }
}

pub(super) fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(
        &ring::digest::SHA256,
        verifier.as_bytes(),
    ))
}
