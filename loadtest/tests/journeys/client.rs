//! A client of the edge that trusts the development authority and speaks JSON.

use std::{net::SocketAddr, time::Duration};

use reqwest::{
    Certificate, Method, RequestBuilder,
    header::{HeaderMap, HeaderValue},
};
use serde_json::Value;

/// Somebody at one address, perhaps with a token.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Null where the body is no JSON.
    pub(crate) body: Value,
}

impl Client {
    /// A client at 127.0.0.`host`: limits count by address, and journeys should not meet each
    /// other's.
    pub(crate) fn new(base: &str, edge: SocketAddr, ca: &[u8], host: u8) -> Self {
        // Another test of this process may have chosen it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = Certificate::from_pem(ca).expect("the authority's certificate is PEM");
        let http = reqwest::Client::builder()
            .tls_certs_only([ca])
            .local_address(Some([127, 0, 0, host].into()))
            .resolve("localhost", edge)
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .build()
            .expect("a client is built");
        Self {
            http,
            base: base.to_owned(),
            token: None,
        }
    }

    /// The same client, known by a token.
    pub(crate) fn with(&self, token: &Value) -> Self {
        Self {
            token: Some(text(token).to_owned()),
            ..self.clone()
        }
    }

    /// The token it is known by.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the edge answers")
    }

    pub(crate) async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await?;
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }
}

impl Answer {
    /// Its body, when it has the status; else the test ends with all of it.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:#?}");
        self.body
    }

    /// It must be a problem document (RFC 9457) with this status and code.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:#?}"
        );
        assert_eq!(
            (self.status, &self.body["code"]),
            (status, &Value::from(code)),
            "{self:#?}"
        );
        assert_eq!(self.body["status"], status, "{self:#?}");
        assert!(self.body["request_id"].is_string(), "{self:#?}");
        self
    }

    /// A header, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value: &HeaderValue| {
            value.to_str().expect("headers are text")
        })
    }
}

/// A string of a body.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a string was due, not {value}"))
}
