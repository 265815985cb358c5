//! Somebody at an address of their own, who signs in and stays signed in.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use local::people::Person;
use reqwest::{Certificate, RequestBuilder};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    person: Person,
    /// What the first sign-in gave: this is a device that is known from then on.
    device: Option<String>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: bool,
    /// Null where the body is no JSON.
    pub(super) body: Value,
}

/// Whether a connection carries one request, as a sign-in finds it, or many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Fresh,
    Kept,
}

impl Client {
    /// The n-th of the people, at an address that is theirs alone.
    pub(super) fn new(
        edge: SocketAddr,
        ca: &[u8],
        number: u8,
        person: &Person,
        connection: Connection,
    ) -> anyhow::Result<Self> {
        // Another crate of the process may have chosen it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let idle = match connection {
            Connection::Fresh => 0,
            Connection::Kept => usize::MAX,
        };
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(ca)?])
            .local_address(Some(Ipv4Addr::new(127, 0, 1, number).into()))
            .resolve("localhost", edge)
            .pool_max_idle_per_host(idle)
            .http1_only()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .context("make a client")?;
        Ok(Self {
            http,
            base: format!("https://localhost:{}", edge.port()),
            person: person.clone(),
            device: None,
        })
    }

    pub(super) async fn sign_in(&self) -> anyhow::Result<Answer> {
        self.sign_in_with(&self.person.password).await
    }

    pub(super) async fn sign_in_with(&self, password: &str) -> anyhow::Result<Answer> {
        let request = self.http.post(format!("{}/v1/auth/login", self.base));
        let request = match &self.device {
            Some(device) => request.header("x-device-token", device),
            None => request,
        };
        send(request.json(&json!({ "email": self.person.email, "password": password }))).await
    }

    pub(super) async fn refresh(&self, token: &str) -> anyhow::Result<Answer> {
        let request = self.http.post(format!("{}/v1/auth/refresh", self.base));
        send(request.json(&json!({ "refresh_token": token }))).await
    }

    pub(super) async fn me(&self, name: &str, proof: &str) -> anyhow::Result<Answer> {
        let request = self.http.get(format!("{}/v1/me", self.base));
        send(request.header(name, proof)).await
    }

    /// A key for programs that may look at its owner's profile.
    pub(super) async fn make_key(&self, bearer: &str) -> anyhow::Result<String> {
        let request = self.http.post(format!("{}/v1/me/api-keys", self.base));
        let request = request
            .header("authorization", bearer)
            .header("idempotency-key", "bench");
        let wish = json!({ "name": "bench", "scopes": ["profile:read"] });
        let made = send(request.json(&wish)).await?.expect(201)?;
        made.text("/key")
    }

    /// The same person on the same device, on other connections.
    pub(super) fn by(&self, other: &Self) -> Self {
        Self {
            http: other.http.clone(),
            ..self.clone()
        }
    }

    /// A fresh access token, as it is sent.
    pub(super) async fn bearer(&self) -> anyhow::Result<String> {
        bearer(&self.sign_in().await?.expect(200)?)
    }

    /// Signs in for the first time, and is a known device from then on.
    pub(super) async fn settle(&mut self) -> anyhow::Result<Answer> {
        let tokens = self.sign_in().await?.expect(200)?;
        self.device = Some(tokens.text("/device_token")?);
        Ok(tokens)
    }
}

impl Answer {
    pub(super) fn expect(self, status: u16) -> anyhow::Result<Self> {
        let Self {
            status: said, body, ..
        } = &self;
        ensure!(
            *said == status,
            "answered with {said}, not {status}: {body}"
        );
        Ok(self)
    }

    pub(super) fn text(&self, pointer: &str) -> anyhow::Result<String> {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned)
            .with_context(|| format!("no {pointer} in {}", self.body))
    }

    /// Whether it is a refusal with this status and code that says when to come again.
    pub(super) fn refuses(&self, status: u16, code: &str) -> bool {
        self.status == status && self.retry_after && self.body["code"] == code
    }
}

/// The access token of a sign-in, as it is sent.
pub(super) fn bearer(tokens: &Answer) -> anyhow::Result<String> {
    Ok(format!("Bearer {}", tokens.text("/access_token")?))
}

async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    let answer = request.send().await?;
    Ok(Answer {
        status: answer.status().as_u16(),
        retry_after: answer.headers().contains_key("retry-after"),
        body: serde_json::from_slice(&answer.bytes().await?).unwrap_or_default(),
    })
}
