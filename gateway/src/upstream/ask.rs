use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::plan;

/// Why a question had no answer.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Asks targets our own questions the way that requests are sent to them: in TLS or not, in the
/// same version of HTTP, believing the same authorities and showing the same certificate. Each
/// question has a connection of its own: one that lives says nothing about the next.
pub(super) struct Asker {
    encrypted: bool,
    /// `None` when it can't be had; then nothing is sent in the clear in its place.
    tls: Option<TlsConnector>,
    h2: bool,
}

impl Asker {
    pub(super) fn new(upstream: &plan::Upstream) -> Self {
        let config = upstream.tls.as_ref().map(|tls| tls.config(upstream.h2));
        let config = config.and_then(|config| {
            config
                .inspect_err(|error| tracing::error!(%error, "TLS can't be spoken to an upstream"))
                .ok()
        });
        Self {
            encrypted: upstream.tls.is_some(),
            tls: config.map(|config| TlsConnector::from(Arc::new(config))),
            h2: upstream.h2,
        }
    }

    /// Asks a target, which must prove `name` in TLS. The request's target is a path.
    pub(super) async fn ask(
        &self,
        address: SocketAddr,
        name: &str,
        mut request: Request<Bytes>,
        limit: Option<usize>,
    ) -> Result<Response<Bytes>, Fault> {
        let host = match name {
            "" => address.to_string(),
            name if name.contains(':') => format!("[{name}]:{}", address.port()),
            name => format!("{name}:{}", address.port()),
        };
        if self.h2 {
            let scheme = if self.encrypted { "https" } else { "http" };
            let path = request.uri();
            *request.uri_mut() = format!("{scheme}://{host}{path}").parse::<Uri>()?;
        } else {
            let host = HeaderValue::try_from(host)?;
            request.headers_mut().insert(header::HOST, host);
        }
        let tcp = TcpStream::connect(address).await?;
        if !self.encrypted {
            return self.speak(tcp, request, limit).await;
        }
        let tls = self.tls.as_ref().ok_or("TLS can't be spoken")?;
        let server = ServerName::try_from(name.to_owned())?;
        let stream = tls.connect(server, tcp).await?;
        if self.h2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("it speaks no HTTP/2".into());
        }
        self.speak(stream, request, limit).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Bytes>,
        limit: Option<usize>,
    ) -> Result<Response<Bytes>, Fault> {
        let (io, request) = (TokioIo::new(stream), request.map(Full::new));
        if self.h2 {
            let (mut send, driver) = http2::handshake(TokioExecutor::new(), io).await?;
            let answer = async { read(send.send_request(request).await?, limit).await };
            driven(answer, driver).await
        } else {
            let (mut send, driver) = http1::handshake(io).await?;
            let answer = async { read(send.send_request(request).await?, limit).await };
            driven(answer, driver).await
        }
    }
}

/// Waits for an answer, and moves its connection meanwhile.
async fn driven<T>(
    answer: impl Future<Output = Result<T, Fault>>,
    driver: impl Future<Output = hyper::Result<()>>,
) -> Result<T, Fault> {
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = driver => {
            ended?;
            // What came before the end may still be an answer.
            answer.await
        }
    }
}

async fn read(answer: Response<Incoming>, limit: Option<usize>) -> Result<Response<Bytes>, Fault> {
    let (head, body) = answer.into_parts();
    let body = match limit {
        Some(limit) => Limited::new(body, limit).collect().await?.to_bytes(),
        None => Bytes::new(),
    };
    Ok(Response::from_parts(head, body))
}
