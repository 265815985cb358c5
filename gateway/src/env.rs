//! What the gateway lends to its plugins: a clock, tasks, documents.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use plugin_sdk::{Env, Fetch, FetchError, Fetched, SystemClock, Tasks};

/// A document is had within this time, or not.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What plugins are lent while they serve: their tasks run on `runtime`.
pub fn live(config: &Path, runtime: tokio::runtime::Handle) -> Env {
    let clock = Arc::new(SystemClock::default());
    Env::new(
        folder(config),
        clock,
        Arc::new(Live(runtime)),
        Arc::new(Http::new()),
        None,
    )
}

/// What plugins are lent while a table is only looked at: nothing runs, nothing is fetched.
pub fn inert(config: &Path) -> Env {
    let clock = Arc::new(SystemClock::default());
    Env::new(
        folder(config),
        clock,
        Arc::new(Inert),
        Arc::new(Inert),
        None,
    )
}

/// The table's folder: where its relative paths start.
fn folder(config: &Path) -> PathBuf {
    config.parent().map(Path::to_owned).unwrap_or_default()
}

struct Live(tokio::runtime::Handle);

impl Tasks for Live {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(task);
    }
}

struct Inert;

impl Tasks for Inert {
    fn spawn(&self, _task: Pin<Box<dyn Future<Output = ()> + Send>>) {}
}

impl Fetch for Inert {
    fn get<'a>(&'a self, _url: &'a str, _limit: usize) -> Fetched<'a> {
        Box::pin(async {
            Err(FetchError(
                "nothing is fetched while a table is checked".into(),
            ))
        })
    }
}

struct Http(Result<reqwest::Client, String>);

impl Http {
    fn new() -> Self {
        // reqwest takes the process's provider, and there must be one. Whoever was first is right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .timeout(FETCH_TIMEOUT)
                // A redirect could lead to where only this machine gets.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .user_agent("vorota-gateway")
        };
        // A machine without any authorities can still fetch what needs none.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
        Self(client.map_err(|error| error.to_string()))
    }
}

impl Fetch for Http {
    fn get<'a>(&'a self, url: &'a str, limit: usize) -> Fetched<'a> {
        Box::pin(async move {
            let client = self.0.as_ref().map_err(|error| FetchError(error.clone()))?;
            bounded(client, url, limit).await
        })
    }
}

async fn bounded(client: &reqwest::Client, url: &str, limit: usize) -> Result<Bytes, FetchError> {
    let failed = |error: reqwest::Error| FetchError(causes(&error.without_url()));
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(FetchError(format!("the answer was {}", answer.status())));
    }
    let mut document = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if document.len() + chunk.len() > limit {
            return Err(FetchError(format!("longer than {limit} bytes")));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document.freeze())
}

/// An error with all that led to it: reqwest's own words only say that something failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection with `answer` and fetches from it.
    async fn fetch(answer: &'static str, limit: usize) -> Result<Bytes, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        Http::new().get(&url, limit).await.map_err(|error| error.0)
    }

    #[tokio::test]
    async fn a_document_is_fetched_within_its_bounds() {
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nkeys!";
        assert_eq!(fetch(good, 5).await, Ok(Bytes::from_static(b"keys!")));
        assert_eq!(fetch(good, 4).await, Err("longer than 4 bytes".into()));
    }

    /// Security case 39: the document's server can't send us elsewhere.
    #[tokio::test]
    async fn gateway_39_a_redirect_is_not_followed() {
        let redirect =
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(
            fetch(redirect, 100).await,
            Err("the answer was 302 Found".into())
        );
    }
}
