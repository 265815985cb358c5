//! A request and its answer, over a real connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header, request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request in the making.
pub struct Call {
    address: SocketAddr,
    head: request::Builder,
    body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Call {
    /// A request to an address, without any header of ours.
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let head = Request::builder().method(method).uri(path);
        Self {
            address,
            head: head.header(header::HOST, address.to_string()),
            body: Bytes::new(),
        }
    }

    /// Sets a header, in place of the one there was.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let headers = self.head.headers_mut().expect("a well-formed head");
        headers.insert(name, value.parse().expect("a well-formed value"));
        self
    }

    /// Sets a header beside what there was under its name.
    pub fn also(mut self, name: &'static str, value: &str) -> Self {
        let headers = self.head.headers_mut().expect("a well-formed head");
        headers.append(name, value.parse().expect("a well-formed value"));
        self
    }

    /// Takes a header away.
    pub fn without(mut self, name: &'static str) -> Self {
        self.head
            .headers_mut()
            .expect("a well-formed head")
            .remove(name);
        self
    }

    /// Sends JSON.
    pub fn json(self, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body).expect("plain data");
        self.header("content-type", "application/json").body(text)
    }

    /// Sends bytes as they are.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    ///
    /// When there is no answer within 30 seconds.
    pub async fn send(self) -> Answer {
        tokio::time::timeout(Duration::from_secs(30), self.exchange())
            .await
            .expect("an answer within 30 s")
            .expect("an answer")
    }

    async fn exchange(self) -> anyhow::Result<Answer> {
        let stream = tokio::net::TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender
            .send_request(self.head.body(Body::from(self.body))?)
            .await?;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(Body::new(body), usize::MAX).await?;
        connection.abort();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `code` of a problem; panics when the answer is none.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem: serde_json::Value = self.json();
        problem["code"]
            .as_str()
            .expect("a problem has a code")
            .to_owned()
    }
}
