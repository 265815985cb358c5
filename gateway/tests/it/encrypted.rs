//! Upstreams in TLS and in HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::shake::{BOTH, client, connect};
use crate::stage::{Authority, Issued, OPEN, Origin, Stage};

/// An upstream that answers with what it saw: the version, and the number of its connection.
struct Vault {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    well: Arc<AtomicBool>,
    accepting: tokio::task::AbortHandle,
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// In TLS with a certificate, in the clear without; believing clients of an authority only, where
/// one is given.
async fn vault(shown: Option<(&Issued, Option<&Authority>)>, h2: bool) -> Vault {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let acceptor = shown.map(|(issued, asks)| acceptor(issued, asks, h2));
    let (connections, well) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let (count, says) = (connections.clone(), well.clone());
    let accepting = tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            let (acceptor, says, count) = (acceptor.clone(), says.clone(), count.clone());
            tokio::spawn(async move {
                match acceptor {
                    None => speak(tcp, h2, says, count).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(tcp).await {
                            speak(stream, h2, says, count).await;
                        }
                    }
                }
            });
        }
    });
    Vault {
        address,
        connections,
        well,
        accepting: accepting.abort_handle(),
    }
}

fn acceptor(issued: &Issued, asks: Option<&Authority>, h2: bool) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match asks {
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
            roots.add(root).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![if h2 {
        b"h2".to_vec()
    } else {
        b"http/1.1".to_vec()
    }];
    TlsAcceptor::from(Arc::new(config))
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    h2: bool,
    well: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) {
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    let service = service_fn(move |request| answer(request, well.clone(), number));
    let io = TokioIo::new(stream);
    // The gateway may hang up whenever it likes.
    if h2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(io, service).await;
    } else {
        let server = hyper::server::conn::http1::Builder::new();
        let _ = server.serve_connection(io, service).await;
    }
}

type Told = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(
    request: Request<Incoming>,
    well: Arc<AtomicBool>,
    number: usize,
) -> Result<Told, Infallible> {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/healthz" if !well.load(Ordering::SeqCst) => {
            let ill = Response::builder().status(500);
            return Ok(ill.body(Full::default().boxed()).unwrap());
        }
        "/silence" => std::future::pending().await,
        "/pause" => tokio::time::sleep(Duration::from_millis(300)).await,
        _ => {}
    }
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let te = head.headers.get("te").map_or("", |te| te.to_str().unwrap());
    let said = format!("{:?} #{number} {length} {te}", head.version);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let body = Full::from(said);
    let grpc = head
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/grpc");
    let body = match grpc {
        true => body.with_trailers(async { Some(Ok(trailers)) }).boxed(),
        false => body.boxed(),
    };
    Ok(Response::new(body))
}

/// A stage before a vault; `more` goes beside its targets. The authority's own is `ca.pem`.
async fn stage(
    vault: &Vault,
    scheme: &str,
    files: &[(&str, &str)],
    more: &str,
    rest: &str,
) -> Stage {
    let stage = Stage::before(Origin::absent().await, "", OPEN).await;
    for (name, text) in files {
        stage.write(name, text);
    }
    let targets = format!(
        "targets: [\"{scheme}://localhost:{}\"]",
        vault.address.port()
    );
    let more = more.replace("ADDRESS", &vault.address.to_string());
    let table = stage.table("", rest).replacen(
        &format!(
            "targets: [\"http://{}\"], connect_timeout: 500ms",
            stage.origin.address
        ),
        // A handshake in a test's build takes longer than one elsewhere.
        &format!("{targets}, connect_timeout: 5s, {more}"),
        1,
    );
    stage.reload_table(&table).await;
    stage
}

const HASTY: &str = "
routes:
  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test, timeout: 1s, retries: none }
";

fn errors(reason: &str) -> String {
    format!("gateway_upstream_errors_total{{reason=\"{reason}\",upstream=\"origin\"}}")
}

#[tokio::test]
async fn an_upstream_in_tls_proves_who_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.issue(&["localhost"]);
    for (issued, reason) in [
        (good.clone(), None),
        (other.issue(&["localhost"]), Some("tls_untrusted")),
        (authority.issue(&["other.test"]), Some("tls_name")),
        (authority.issue_expired(&["localhost"]), Some("tls_expired")),
    ] {
        let vault = vault(Some((&issued, None)), false).await;
        let files = [("ca.pem", &*authority.pem)];
        let stage = stage(&vault, "https", &files, "tls: { ca: ca.pem }", HASTY).await;
        let answer = stage.get("/", "").await;
        match reason {
            None => assert_eq!((answer.status, &*answer.body), (200, "HTTP/1.1 #1 0 ")),
            Some(reason) => {
                let said = (answer.status, answer.code());
                assert_eq!(said, (502, "upstream_unavailable".into()), "{reason}");
                assert!(
                    stage.metric(&errors(reason)) >= 1.0,
                    "{}",
                    stage.metrics.render()
                );
                assert!(!answer.body.contains("certificate"), "{}", answer.body);
            }
        }
    }
    // Another name than the target's, where the table says so.
    let vault = vault(Some((&authority.issue(&["users.internal"]), None)), false).await;
    let more = "tls: { ca: ca.pem, server_name: users.internal }";
    let stage = stage(&vault, "https", &[("ca.pem", &authority.pem)], more, HASTY).await;
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn without_an_authority_of_its_own_an_upstream_must_be_the_systems() {
    let vault = vault(Some((&Authority::new().issue(&["localhost"]), None)), false).await;
    let stage = stage(
        &vault,
        "https",
        &[],
        "health: { path: /healthz, every: 100ms }",
        HASTY,
    )
    .await;
    assert_eq!(stage.get("/", "").await.status, 502);
    assert!(stage.metric(&errors("tls_untrusted")) >= 1.0);
}

#[tokio::test]
async fn we_prove_ourselves_to_an_upstream_and_renew_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let vault = vault(
        Some((&authority.issue(&["localhost"]), Some(&authority))),
        false,
    )
    .await;
    let (good, bad) = (authority.issue(&["gateway"]), other.issue(&["gateway"]));
    let files = [
        ("ca.pem", &*authority.pem),
        ("own.pem", &bad.cert),
        ("own.key", &bad.key),
    ];
    let more = "tls: { ca: ca.pem, cert: own.pem, key: own.key }, health: { path: /healthz, every: 100ms }";
    let stage = stage(&vault, "https", &files, more, HASTY).await;
    assert_eq!(stage.get("/", "").await.status, 502, "anybody is let in");
    stage
        .metric_becomes("gateway_upstream_targets{upstream=\"origin\"}", 0.0)
        .await;
    let following = stage.follow();
    stage.write("own.pem", &good.cert);
    stage.write("own.key", &good.key);
    let renewed = async {
        while stage.get("/", "").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let renewed = tokio::time::timeout(crate::stage::PATIENCE, renewed).await;
    assert!(renewed.is_ok(), "the old certificate is still shown");
    // Health is asked for with it too.
    stage
        .metric_becomes("gateway_upstream_targets{upstream=\"origin\"}", 1.0)
        .await;
    following.abort();
}

#[tokio::test]
async fn health_is_asked_for_as_requests_are_sent() {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    let targets = "gateway_upstream_targets{upstream=\"origin\"}";
    for (shown, h2) in [(true, false), (true, true), (false, true)] {
        let vault = vault(shown.then_some((&issued, None)), h2).await;
        let tls = if shown { "tls: { ca: ca.pem }, " } else { "" };
        let http = if h2 { "http: h2, " } else { "" };
        let more = format!("{tls}{http}health: {{ path: /healthz, every: 50ms }}");
        let scheme = if shown { "https" } else { "http" };
        let stage = stage(&vault, scheme, &[("ca.pem", &authority.pem)], &more, HASTY).await;
        vault.well.store(false, Ordering::SeqCst);
        stage.metric_becomes(targets, 0.0).await;
        vault.well.store(true, Ordering::SeqCst);
        stage.metric_becomes(targets, 1.0).await;
    }
}

#[tokio::test]
async fn trap_06_requests_share_an_http2_connection() {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    for shown in [true, false] {
        let vault = vault(shown.then_some((&issued, None)), true).await;
        let more = if shown {
            "tls: { ca: ca.pem }, http: h2"
        } else {
            "http: h2"
        };
        let scheme = if shown { "https" } else { "http" };
        let stage = stage(&vault, scheme, &[("ca.pem", &authority.pem)], more, OPEN).await;
        let first = stage.get("/", "").await;
        assert_eq!(first.body, "HTTP/2.0 #1 0 ", "{shown}");
        let all = (0..20).map(|_| stage.get("/pause", ""));
        for answer in futures::future::join_all(all).await {
            assert_eq!(answer.status, 200);
        }
        let connections = vault.connections.load(Ordering::SeqCst);
        // Two that find the pool empty at the same moment make one each.
        assert!(
            connections <= 4,
            "{connections} connections for 21 requests"
        );
    }
}

#[tokio::test]
async fn trap_05_an_upload_to_http2_may_take_longer_than_the_silence_after_it() {
    let vault = vault(None, true).await;
    let stage = stage(&vault, "http", &[], "http: h2", HASTY).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..6 {
        wire.send("5\r\nhello\r\n").await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    wire.send("0\r\n\r\n").await;
    let answer = wire.response().await;
    assert_eq!((answer.status, &*answer.body), (200, "HTTP/2.0 #1 30 "));
    // And silence is still bounded, with and without a body that is whole.
    for (method, body) in [("GET", ""), ("POST", "Content-Length: 2\r\n\r\nhi")] {
        let start = Instant::now();
        let end = if body.is_empty() { "\r\n" } else { "" };
        let answer = stage
            .raw(format!(
                "{method} /silence HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}{end}"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(900) && took < Duration::from_secs(6),
            "{took:?}"
        );
    }
}

#[tokio::test]
async fn grpc_goes_through_with_its_trailers() {
    let vault = vault(None, true).await;
    let stage = stage(&vault, "http", &[], "http: h2", OPEN).await;
    let config = client(&stage.trusted, None, BOTH, &[b"h2"]);
    let stream = connect(&config, stage.https, "localhost").await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let call = Request::post("https://localhost/users.Users/Find")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(b"\0\0\0\0\x02hi")))
        .unwrap();
    let answer = send.send_request(call).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "HTTP/2.0 #1 7 trailers");
}

#[tokio::test]
async fn all_listeners_share_the_connections_to_upstreams() {
    let vault = vault(None, false).await;
    let stage = stage(&vault, "http", &[], "http: h1", OPEN).await;
    assert_eq!(stage.get("/", "").await.body, "HTTP/1.1 #1 0 ");
    let encrypted = stage.client(true).get(stage.url("/")).send().await.unwrap();
    assert_eq!(encrypted.text().await.unwrap(), "HTTP/1.1 #1 0 ");
}
