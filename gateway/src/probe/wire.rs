use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Of an answer only this much is looked at, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Where the edge is. A library would repair the requests that are sent there, so the bytes are
/// written by hand.
pub struct Target {
    name: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not `https://host` or `http://host:port`.
    #[error("`{0}` is no edge: write `https://api.example.com`")]
    Url(String),
    /// The file of authorities can't be used.
    #[error("{path}: {why}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// An answer, as far as it is judged.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) allows_origin: bool,
}

impl Target {
    /// The edge at a URL. Trusted are the authorities in `ca` (PEM); without it those of the system.
    pub fn new(url: &str, ca: Option<&Path>) -> Result<Self, TargetError> {
        let fault = || TargetError::Url(url.to_owned());
        let parsed: http::Uri = url.parse().map_err(|_| fault())?;
        let name = parsed.host().ok_or_else(fault)?.to_owned();
        let (tls, usual) = match parsed.scheme_str() {
            Some("https") => (Some(connector(ca)?), 443),
            Some("http") => (None, 80),
            _ => return Err(fault()),
        };
        if !matches!(parsed.path(), "" | "/") {
            return Err(fault());
        }
        Ok(Self {
            port: parsed.port_u16().unwrap_or(usual),
            name,
            tls,
        })
    }

    /// The host, as a request names it.
    pub(super) fn host(&self) -> String {
        match (self.tls.is_some(), self.port) {
            (true, 443) | (false, 80) => self.name.clone(),
            (_, port) => format!("{}:{port}", self.name),
        }
    }

    /// Sends a request over a connection of its own, made for `host`: where an edge has several
    /// certificates it takes a request only over a connection for its host.
    pub(super) async fn ask(&self, host: Option<&str>, request: &str) -> io::Result<Answer> {
        let address = self.name.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((address, self.port)).await?;
        match &self.tls {
            None => exchange(tcp, request).await,
            Some(tls) => {
                let name = host.unwrap_or(address).to_owned();
                let name = ServerName::try_from(name).map_err(io::Error::other)?;
                exchange(tls.connect(name, tcp).await?, request).await
            }
        }
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, TargetError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            let known = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(known.certs);
        }
        Some(path) => {
            let fault = |why: String| TargetError::Authorities {
                path: path.display().to_string(),
                why,
            };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| fault(error.to_string()))?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(fault("it holds no authority".into()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows both versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> io::Result<Answer> {
    // An edge may refuse before it has read all; its answer counts, not the pipe that broke.
    let sent = stream.write_all(request.as_bytes()).await;
    let sent = match sent {
        Ok(()) => stream.flush().await,
        error => error,
    };
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while bytes.len() < MAX_ANSWER {
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if bytes.is_empty() => return Err(sent.err().unwrap_or(error)),
            Err(_) => break,
        }
    }
    Answer::read(&bytes)
        .ok_or_else(|| io::Error::other("the connection was closed without an answer"))
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?;
        let mut names = lines.filter_map(|line| line.split_once(':').map(|(name, _)| name));
        let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
        Some(Self {
            status: status.parse().ok()?,
            code: problem.and_then(|problem| problem["code"].as_str().map(String::from)),
            allows_origin: names
                .any(|name| name.eq_ignore_ascii_case("access-control-allow-origin")),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {}", code.escape_debug())?;
        }
        Ok(())
    }
}
