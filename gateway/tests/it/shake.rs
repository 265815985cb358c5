//! Handshakes of every kind, and requests over what they made.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stage::{Issued, PATIENCE, parse};

pub(crate) type Encrypted = TlsStream<TcpStream>;

pub(crate) const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];
pub(crate) const V1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
pub(crate) const V1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// A client that believes one authority and perhaps shows a certificate. It remembers sessions.
pub(crate) fn client(
    believed: &str,
    shown: Option<&Issued>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(believed.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        Some(issued) => {
            let chain = CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// A connection for a name. An address as name is not told to the server.
pub(crate) async fn connect(
    client: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<Encrypted> {
    let tcp = TcpStream::connect(address).await?;
    over(client, tcp, name).await
}

/// The same over a connection that is there.
pub(crate) async fn over(
    client: &Arc<ClientConfig>,
    tcp: TcpStream,
    name: &str,
) -> std::io::Result<Encrypted> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let shaken = TlsConnector::from(client.clone()).connect(name, tcp);
    tokio::time::timeout(PATIENCE, shaken)
        .await
        .expect("no handshake")
}

/// A `GET` in HTTP/1.1. A server that does not like our certificate says so only here.
pub(crate) async fn get(
    stream: &mut Encrypted,
    host: &str,
    path: &str,
) -> std::io::Result<parse::Response> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut read = Vec::new();
    let whole = async {
        loop {
            if let Some((response, _)) = parse::response(&read) {
                return Ok(response);
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    tokio::time::timeout(PATIENCE, whole)
        .await
        .expect("no answer")
}

/// Whether a connection ends by itself.
pub(crate) async fn ends(stream: &mut Encrypted) -> bool {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    ended.await.is_ok()
}
