use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stage::{Answer, OPEN, Origin, Stage};

/// A handshake with the stage's TLS listener, trusting the stage's certificate alone.
pub(crate) async fn handshake(
    stage: &Stage,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    trusting(stage, &stage.trusted, alpn).await
}

async fn trusting(
    stage: &Stage,
    pem: &str,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(stage.https).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

#[tokio::test]
async fn the_client_chooses_between_what_is_offered() {
    let stage = Stage::open(OPEN).await;
    for (offered, chosen) in [
        (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = handshake(&stage, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    for h2 in [true, false] {
        let answer = stage.client(h2).get(stage.url("/")).send().await.unwrap();
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.version() == http::Version::HTTP_2
            ),
            (200, h2)
        );
    }
}

#[tokio::test]
async fn a_certificate_is_swapped_under_running_connections() {
    let stage = Stage::open(OPEN).await;
    let old = stage.client(true);
    assert_eq!(old.get(stage.url("/")).send().await.unwrap().status(), 200);
    let renewed = stage.renew_certificate();
    stage.reload("", OPEN).await;
    assert_eq!(
        old.get(stage.url("/")).send().await.unwrap().status(),
        200,
        "an open connection"
    );
    assert!(
        handshake(&stage, &[]).await.is_err(),
        "the old one is still shown"
    );
    trusting(&stage, &renewed, &[]).await.unwrap();
    let expiry = stage.metric(
        "gateway_certificate_expiry_timestamp_seconds{certificate=\"edge.pem\",listener=\"edge\"}",
    );
    assert!(expiry > 1_700_000_000.0, "{expiry}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "handshake_timeout: 1s", OPEN).await;
    let mut tcp = TcpStream::connect(stage.https).await.unwrap();
    tcp.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(4), tcp.read(&mut [0])).await;
    assert!(ended.is_ok(), "still open");
    stage
        .metric_becomes(
            "gateway_connections_refused_total{listener=\"edge\",reason=\"handshake_timeout\"}",
            1.0,
        )
        .await;
}
