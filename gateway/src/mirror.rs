//! Copies of requests for an upstream that is only looked at: a new version under real load. They
//! are sent beside; no request ever waits for its copy, and what it is answered is thrown away.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::plan;
use crate::upstream::{Fault, Lease, Upstreams};

/// The longest body that is copied, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Copies on their way at once: beyond that they are dropped. Together they hold 4 MiB at most.
pub const IN_FLIGHT: usize = 64;
/// For a copy as a whole, its answer included.
const WITHIN: Duration = Duration::from_secs(5);

/// Sends copies.
pub struct Mirrors {
    places: Arc<Semaphore>,
    http: OnceLock<Result<reqwest::Client, String>>,
    metrics: Arc<Metrics>,
}

/// A request as its copy goes out, while its body comes in.
pub struct Copied {
    upstream: Arc<plan::Upstream>,
    method: Method,
    /// The path and the query.
    target: String,
    headers: HeaderMap,
    /// What came of the body; `None` once it is too long.
    body: Option<BytesMut>,
}

impl Copied {
    /// A head, sealed for its upstream, as long as nothing of the body is known.
    pub fn new(
        upstream: Arc<plan::Upstream>,
        method: Method,
        target: String,
        mut headers: HeaderMap,
    ) -> Self {
        // The body goes out in one piece.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::EXPECT);
        Self {
            upstream,
            method,
            target,
            headers,
            body: Some(BytesMut::new()),
        }
    }

    /// Another piece of the body.
    pub fn push(&mut self, piece: &Bytes) {
        if let Some(body) = &mut self.body {
            if body.len() + piece.len() > MAX_BODY {
                self.body = None;
            } else {
                body.extend_from_slice(piece);
            }
        }
    }
}

impl Mirrors {
    /// None under way.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(IN_FLIGHT)),
            http: OnceLock::new(),
            metrics,
        }
    }

    /// Sends a copy on its way, or drops it; at once either way. Must run within the runtime.
    pub fn send(&self, copied: Copied, upstreams: &Upstreams) {
        let (metrics, name) = (self.metrics.clone(), copied.upstream.name.clone());
        let count = move |outcome| {
            metrics.mirrored.with_label_values(&[&*name, outcome]).inc();
        };
        let Some(body) = copied.body else {
            return count("too_long");
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return count("busy");
        };
        let http = self.http.get_or_init(crate::env::client);
        let lease = upstreams.group(&copied.upstream).choose(&[]);
        let (Ok(http), Some(lease), Ok(target)) = (http, lease, copied.target.parse()) else {
            return count("failed");
        };
        let http = http.clone();
        let bare = copied.upstream.tls.is_none() && !copied.upstream.h2;
        let mut request = Request::new(body.freeze());
        *request.method_mut() = copied.method;
        *request.uri_mut() = target;
        *request.headers_mut() = copied.headers;
        tokio::spawn(async move {
            let sent = async {
                match bare {
                    true => plainly(&http, &lease, request).await,
                    false => in_its_way(&lease, request).await,
                }
            };
            count(match tokio::time::timeout(WITHIN, sent).await {
                Ok(Ok(())) => "sent",
                Ok(Err(_)) | Err(_) => "failed",
            });
            drop((place, lease));
        });
    }
}

/// Over a connection that serves the next copy too.
async fn plainly(
    http: &reqwest::Client,
    lease: &Lease,
    mut request: Request<Bytes>,
) -> Result<(), Fault> {
    *request.uri_mut() = format!("http://{}{}", lease.address(), request.uri()).parse()?;
    let mut answer = http.execute(request.try_into()?).await?;
    // Read to its end: only then the connection is free.
    while answer.chunk().await?.is_some() {}
    Ok(())
}

/// Over a connection of its own: in TLS, or in HTTP/2.
async fn in_its_way(lease: &Lease, mut request: Request<Bytes>) -> Result<(), Fault> {
    // The target has another name there, and would be asked for two.
    request.headers_mut().remove(header::HOST);
    lease.ask(request, None).await.map(drop)
}
