//! What the gateway lends to its plugins: a clock, tasks, documents.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use plugin_sdk::{
    Env, Fetch, FetchError, Lent, Meter, Sent, SystemClock, Tasks, Upstreams, is_off_limits,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::ask::Asking;
use crate::metrics::Metrics;

/// A document is had within this time, or not.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a gateway that serves lends: the edge that is started with it answers for its parts.
#[derive(Default)]
pub struct Lender {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    pub(crate) asking: Arc<Asking>,
}

/// What plugins are lent while they serve: their tasks run on `runtime`.
pub fn live(config: &Path, runtime: tokio::runtime::Handle, lender: &Lender) -> Env {
    let lent = Lent {
        clock: Arc::new(SystemClock::default()),
        tasks: Arc::new(Live(runtime)),
        fetch: Arc::new(Http(client())),
        upstreams: lender.asking.clone(),
        meter: lender.metrics.clone(),
    };
    Env::new(folder(config), lent)
}

/// What plugins are lent while a table is only looked at: nothing runs, nothing is fetched.
pub fn inert(config: &Path) -> Env {
    let lent = Lent {
        clock: Arc::new(SystemClock::default()),
        tasks: Arc::new(Inert),
        fetch: Arc::new(Inert),
        upstreams: Arc::new(Inert),
        meter: Arc::new(Inert),
    };
    Env::new(folder(config), lent)
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
    fn send<'a>(&'a self, _request: Request<Bytes>, _limit: usize) -> Sent<'a> {
        nothing()
    }
}

impl Upstreams for Inert {
    fn ask<'a>(
        &'a self,
        _upstream: &'a str,
        _asker: &'a str,
        _request: Request<Bytes>,
        _limit: usize,
    ) -> Sent<'a> {
        nothing()
    }
}

impl Meter for Inert {
    fn count(&self, _plugin: &str, _event: &'static str) {}
}

fn nothing<'a>() -> Sent<'a> {
    Box::pin(async {
        Err(FetchError(
            "nothing is fetched while a table is checked".into(),
        ))
    })
}

struct Http(Result<reqwest::Client, String>);

impl Fetch for Http {
    fn send<'a>(&'a self, request: Request<Bytes>, limit: usize) -> Sent<'a> {
        Box::pin(async move {
            let client = self.0.as_ref().map_err(|error| FetchError(error.clone()))?;
            send(client, request, limit).await
        })
    }
}

/// What asks other servers.
pub(crate) fn client() -> Result<reqwest::Client, String> {
    // reqwest takes the process's provider, and there must be one. Whoever was first is right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            // A redirect could lead to where only this machine gets.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Names))
            .user_agent("vorota-gateway")
    };
    // A machine without any authorities can still fetch what needs none.
    let client = builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build());
    client.map_err(|error| error.to_string())
}

/// Finds the addresses of names, less those that no name may lead to. What it gives is what is
/// connected to, so that a name can't change its mind in between. Addresses that the table has as
/// digits don't come here.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(allowed(found)?)
        })
    }
}

fn allowed(found: impl Iterator<Item = SocketAddr>) -> Result<Addrs, FetchError> {
    let mut allowed = found
        .filter(|address| !is_off_limits(address.ip()))
        .peekable();
    match allowed.peek() {
        Some(_) => Ok(Box::new(allowed.collect::<Vec<_>>().into_iter())),
        None => Err(FetchError(
            "the name leads to no address, or to one that is off limits".into(),
        )),
    }
}

/// Sends a request and takes in at most `limit` bytes of the answer's body.
pub(crate) async fn send(
    client: &reqwest::Client,
    request: Request<Bytes>,
    limit: usize,
) -> Result<Response<Bytes>, FetchError> {
    let failed = |error: reqwest::Error| FetchError(causes(&error.without_url()));
    let request = request.try_into().map_err(failed)?;
    let mut answer = client.execute(request).await.map_err(failed)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError(format!("longer than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let mut whole = Response::new(body.freeze());
    *whole.status_mut() = answer.status();
    *whole.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(whole)
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
        Http(client())
            .get(&url, limit)
            .await
            .map_err(|error| error.0)
    }

    #[tokio::test]
    async fn a_document_is_fetched_within_its_bounds() {
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nkeys!";
        assert_eq!(fetch(good, 5).await, Ok(Bytes::from_static(b"keys!")));
        assert_eq!(fetch(good, 4).await, Err("longer than 4 bytes".into()));
    }

    /// Security case 39: what a name leads to is looked at when it is connected to, each time.
    #[test]
    fn gateway_39_a_name_leads_to_no_metadata() {
        let addresses = |all: &[&str]| {
            let all: Vec<SocketAddr> = all
                .iter()
                .map(|address| SocketAddr::new(address.parse().expect("an address"), 0))
                .collect();
            let allowed = allowed(all.into_iter()).ok()?;
            Some(allowed.map(|one| one.ip().to_string()).collect::<Vec<_>>())
        };
        let public = "203.0.113.9";
        assert_eq!(
            addresses(&[public, "169.254.169.254"]),
            Some(vec![public.into()])
        );
        assert_eq!(addresses(&["169.254.169.254", "fe80::1"]), None);
        assert_eq!(addresses(&["::ffff:169.254.169.254"]), None);
        assert_eq!(addresses(&[]), None);
        assert_eq!(addresses(&["127.0.0.1"]), Some(vec!["127.0.0.1".into()]));
    }

    /// The names of this machine still lead here.
    #[tokio::test]
    async fn a_name_is_resolved() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkeys";
            let _ = stream.write_all(answer).await;
        });
        let got = Http(client())
            .get(&format!("http://localhost:{port}/"), 10)
            .await;
        assert_eq!(got, Ok(Bytes::from_static(b"keys")));
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
