//! Requests as bytes: clients of good manners tidy a path before they send it.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Sends a request line with a path as it is, and tells the status of the answer.
pub(crate) async fn status_of(edge: SocketAddr, ca: &[u8], path: &str) -> u16 {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\r\n",
        edge.port()
    );
    let answer = exchange(edge, ca, request.as_bytes()).await;
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    status
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("{path}: no answer but {answer:?}"))
}

async fn exchange(edge: SocketAddr, ca: &[u8], request: &[u8]) -> String {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca).expect("the authority is PEM"))
        .expect("it may vouch");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config
        .expect("ring speaks TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(edge).await.expect("the edge listens");
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .expect("a handshake");
    stream.write_all(request).await.expect("the edge reads");
    let mut answer = Vec::new();
    // A connection cut without TLS's good-bye has said what it had to say.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
