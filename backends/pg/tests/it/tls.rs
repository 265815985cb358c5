//! A database elsewhere is spoken to in TLS.

use std::time::Duration;

use pg::{Settings, Url, lazy, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The first byte of a TLS record that carries a handshake.
const HANDSHAKE: u8 = 0x16;

#[tokio::test]
async fn a_url_that_requires_tls_gets_it() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut client, _) = server.accept().await.unwrap();
        let mut wish = [0; 8];
        client.read_exact(&mut wish).await.unwrap();
        // Its length and its number: an SSLRequest.
        assert_eq!(wish, [0, 0, 0, 8, 4, 210, 22, 47]);
        client.write_all(b"S").await.unwrap();
        client.read_u8().await.unwrap()
    });
    let url = format!("postgres://ann@127.0.0.1:{port}/shop?sslmode=verify-full");
    let pool = lazy(&Url::parse(&url).unwrap(), &Settings::default());
    // It hangs up in the middle of the handshake.
    wait(&pool, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(serving.await.unwrap(), HANDSHAKE);
}
