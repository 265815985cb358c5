//! Which certificate is shown, who shows us theirs, and what a connection may be used for.

use rustls::HandshakeKind;

use crate::shake::{self, BOTH, V1_2, V1_3, client, connect, get};
use crate::stage::{Authority, OPEN, Stage};

const H1: &[&[u8]] = &[b"http/1.1"];
const EDGE: &str = "tls: { cert: edge.pem, key: edge.key }";
/// Answers tell what plugins see of the connection.
const TOLD: &str = "
plugins:
  told: { builtin: test_connection }
defaults: { plugins: [told] }
routes:
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test }
";

/// A stage whose TLS listener is what `tls` says, with the files that it names.
async fn stage(files: &[(&str, &str)], tls: &str) -> Stage {
    let stage = Stage::open(OPEN).await;
    for (name, text) in files {
        stage.write(name, text);
    }
    let table = stage.table("", TOLD);
    stage.reload_table(&table.replacen(EDGE, tls, 1)).await;
    stage
}

async fn three(authority: &Authority) -> Stage {
    let (main, many, api) = (
        authority.issue(&["main.test", "also.test"]),
        authority.issue(&["*.many.test"]),
        authority.issue(&["api.many.test"]),
    );
    let files = [
        ("main.pem", &*main.cert),
        ("main.key", &main.key),
        ("many.pem", &many.cert),
        ("many.key", &many.key),
        ("api.pem", &api.cert),
        ("api.key", &api.key),
    ];
    let tls = "tls: { cert: main.pem, key: main.key, more: [\
         { cert: many.pem, key: many.key }, { cert: api.pem, key: api.key }] }";
    stage(&files, tls).await
}

#[tokio::test]
async fn each_name_is_shown_its_own_certificate() {
    let authority = Authority::new();
    let stage = three(&authority).await;
    let client = client(&authority.pem, None, BOTH, H1);
    for name in ["main.test", "also.test", "www.many.test", "API.many.test"] {
        let mut stream = connect(&client, stage.https, name).await.unwrap();
        let host = name.to_lowercase();
        assert_eq!(
            get(&mut stream, &host, "/").await.unwrap().status,
            200,
            "{name}"
        );
    }
    for name in ["other.test", "many.test", "a.b.many.test"] {
        let refused = connect(&client, stage.https, name).await;
        assert!(refused.is_err(), "{name} was proven");
    }
    for file in ["main.pem", "many.pem", "api.pem"] {
        let labels = format!("{{certificate=\"{file}\",listener=\"edge\"}}");
        let line = format!("gateway_certificate_expiry_timestamp_seconds{labels}");
        assert!(stage.metric(&line) > 1_700_000_000.0, "{file}");
    }
    // One that is shown no longer rings nobody's alarm.
    stage.reload("", OPEN).await;
    let gone =
        "gateway_certificate_expiry_timestamp_seconds{certificate=\"api.pem\",listener=\"edge\"}";
    assert_eq!(stage.metric(gone), 0.0);
}

#[tokio::test]
async fn gateway_14_a_host_of_another_certificate_is_misdirected() {
    let authority = Authority::new();
    let stage = three(&authority).await;
    let h1 = client(&authority.pem, None, BOTH, H1);
    for (name, host, status) in [
        ("main.test", "main.test", 200),
        ("main.test", "MAIN.test:8443", 200),
        ("main.test", "also.test", 200),
        ("main.test", "www.many.test", 421),
        ("main.test", "api.many.test", 421),
        ("main.test", "nobody.test", 421),
        ("www.many.test", "web.many.test", 200),
        ("www.many.test", "api.many.test", 421),
    ] {
        let mut stream = connect(&h1, stage.https, name).await.unwrap();
        let answer = get(&mut stream, host, "/").await.unwrap();
        assert_eq!(answer.status, status, "{name} {host}");
        if status == 421 {
            assert_eq!(answer.code(), "misdirected_request");
            // The connection is as good as before for what it was made for.
            assert_eq!(get(&mut stream, name, "/").await.unwrap().status, 200);
        }
    }
}

#[tokio::test]
async fn gateway_14_http2_connections_are_shared_by_the_names_of_one_certificate() {
    let authority = Authority::new();
    let stage = three(&authority).await;
    let h2 = client(&authority.pem, None, BOTH, &[b"h2"]);
    let stream = connect(&h2, stage.https, "main.test").await.unwrap();
    let (mut send, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    for (host, status) in [
        ("main.test", 200),
        ("also.test", 200),
        ("api.many.test", 421),
    ] {
        let request = http::Request::get(format!("https://{host}/"));
        let answer = send.send_request(request.body(String::new()).unwrap());
        assert_eq!(answer.await.unwrap().status(), status, "{host}");
    }
}

#[tokio::test]
async fn an_old_version_is_refused_where_the_table_says_so() {
    let authority = Authority::new();
    let main = authority.issue(&["main.test"]);
    let files = [("main.pem", &*main.cert), ("main.key", &main.key)];
    let stage = stage(&files, "tls: { cert: main.pem, key: main.key }").await;
    let old = client(&authority.pem, None, V1_2, H1);
    let mut before = connect(&old, stage.https, "main.test").await.unwrap();
    assert_eq!(
        get(&mut before, "main.test", "/").await.unwrap().status,
        200
    );
    let table = stage.table("", TOLD).replacen(
        EDGE,
        "tls: { cert: main.pem, key: main.key, min: \"1.3\" }",
        1,
    );
    stage.reload_table(&table).await;
    assert!(
        shake::ends(&mut before).await,
        "agreed on terms that are gone"
    );
    assert!(connect(&old, stage.https, "main.test").await.is_err());
    let new = client(&authority.pem, None, V1_3, H1);
    let mut stream = connect(&new, stage.https, "main.test").await.unwrap();
    assert_eq!(
        get(&mut stream, "main.test", "/").await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn sessions_are_resumed_until_clients_are_judged_by_others() {
    let authority = Authority::new();
    let main = authority.issue(&["main.test"]);
    let files = [
        ("main.pem", &*main.cert),
        ("main.key", &main.key),
        ("clients.pem", &authority.pem),
    ];
    let tls = "tls: { cert: main.pem, key: main.key, clients: { ca: clients.pem } }";
    let stage = stage(&files, tls).await;
    let me = authority.issue(&["me"]);
    for versions in [V1_3, V1_2] {
        let client = client(&authority.pem, Some(&me), versions, H1);
        let visit = async || {
            let mut stream = connect(&client, stage.https, "main.test").await.unwrap();
            let answer = get(&mut stream, "main.test", "/").await.unwrap();
            let seen = answer.headers["x-test-connection"]
                .to_str()
                .unwrap()
                .to_owned();
            (stream.get_ref().1.handshake_kind().unwrap(), seen)
        };
        let (first, seen) = visit().await;
        assert_ne!(first, HandshakeKind::Resumed);
        assert!(
            seen.starts_with("main.test ") && !seen.ends_with(" 0"),
            "{seen}"
        );
        assert_eq!(visit().await, (HandshakeKind::Resumed, seen.clone()));
        // Renewed: nobody has to prove anything again.
        let renewed = authority.issue(&["main.test"]);
        stage.write("main.pem", &renewed.cert);
        stage.write("main.key", &renewed.key);
        let table = stage.table("", TOLD).replacen(EDGE, tls, 1);
        stage.reload_table(&table).await;
        assert_eq!(visit().await, (HandshakeKind::Resumed, seen.clone()));
        // Others are believed: what was proven to the old ones is nothing.
        let mut open = connect(&client, stage.https, "main.test").await.unwrap();
        assert_eq!(get(&mut open, "main.test", "/").await.unwrap().status, 200);
        stage.write("clients.pem", &Authority::new().pem);
        stage.reload_table(&table).await;
        assert!(
            shake::ends(&mut open).await,
            "a connection outlives what it was let in for"
        );
        let again = connect(&client, stage.https, "main.test").await;
        let resumed = match again {
            // With 1.3 the refusal comes behind the client's last word.
            Ok(mut stream) => get(&mut stream, "main.test", "/").await.is_ok(),
            Err(_) => false,
        };
        assert!(!resumed, "a ticket outlives what it was given for");
        stage.write("clients.pem", &authority.pem);
        stage.reload_table(&table).await;
    }
}

#[tokio::test]
async fn clients_prove_themselves_where_they_are_asked() {
    let authority = Authority::new();
    let main = authority.issue(&["main.test"]);
    let files = [
        ("main.pem", &*main.cert),
        ("main.key", &main.key),
        ("clients.pem", &authority.pem),
        ("revoked.pem", &authority.revoke(&[7])),
    ];
    let asked =
        "tls: { cert: main.pem, key: main.key, clients: { ca: clients.pem, crl: revoked.pem";
    let stage = stage(&files, &format!("{asked} }} }}")).await;
    let visit = async |shown| {
        let client = client(&authority.pem, shown, BOTH, H1);
        let mut stream = connect(&client, stage.https, "main.test").await.ok()?;
        let answer = get(&mut stream, "main.test", "/").await.ok()?;
        Some(
            answer.headers["x-test-connection"]
                .to_str()
                .unwrap()
                .to_owned(),
        )
    };
    let good = authority.issue_numbered(&["me"], 8);
    let length = {
        use rustls::pki_types::pem::PemObject as _;
        let der = rustls::pki_types::CertificateDer::from_pem_slice(good.cert.as_bytes());
        der.unwrap().len()
    };
    assert_eq!(
        visit(Some(&good)).await,
        Some(format!("main.test {length}"))
    );
    assert_eq!(visit(None).await, Some("main.test 0".into()));
    let revoked = authority.issue_numbered(&["me"], 7);
    assert_eq!(visit(Some(&revoked)).await, None, "a revoked one is taken");
    let foreign = Authority::new().issue(&["me"]);
    assert_eq!(visit(Some(&foreign)).await, None, "anybody's is taken");
    let over = authority.issue_expired(&["me"]);
    assert_eq!(visit(Some(&over)).await, None, "one that is over is taken");
    let required =
        stage
            .table("", TOLD)
            .replacen(EDGE, &format!("{asked}, required: true }} }}"), 1);
    stage.reload_table(&required).await;
    assert_eq!(visit(None).await, None, "nobody is let in");
    assert!(visit(Some(&good)).await.is_some());
}

#[tokio::test]
async fn gateway_40_a_certificate_that_is_gone_or_broken_leaves_the_last_good_one() {
    let stage = Stage::open(OPEN).await;
    let table = stage.table("", OPEN);
    let (cert, key) = (stage.read("edge.pem"), stage.read("edge.key"));
    for (broken, what) in [
        (None, "gone"),
        (Some("-----BEGIN"), "torn"),
        (Some(""), "empty"),
    ] {
        match broken {
            Some(text) => drop(stage.write("edge.pem", text)),
            None => stage.remove("edge.pem"),
        }
        let findings = stage.refused(&table);
        assert!(findings.contains("listener."), "{what}: {findings}");
        assert!(crate::tls::handshake(&stage, &[]).await.is_ok(), "{what}");
        stage.write("edge.pem", &cert);
    }
    // A chain that came before its key did.
    let other = Authority::new().issue(&["localhost"]);
    stage.write("edge.pem", &other.cert);
    assert!(stage.refused(&table).contains("listener.certificate"));
    assert!(crate::tls::handshake(&stage, &[]).await.is_ok());
    stage.write("edge.pem", &cert);
    stage.write("edge.key", &key);
    stage.reload_table(&table).await;
}

/// As Kubernetes renews what it mounts: the files are links through a link to a folder, and that
/// one link is swapped.
#[tokio::test]
async fn a_certificate_is_renewed_by_a_swapped_link() {
    let authority = Authority::new();
    let stage = Stage::open(OPEN).await;
    let lay = |folder: &str| {
        let issued = authority.issue(&["main.test"]);
        stage.write(&format!("{folder}/main.pem"), &issued.cert);
        stage.write(&format!("{folder}/main.key"), &issued.key);
        issued
    };
    lay("v1");
    stage.link("v1", "data");
    let table =
        stage
            .table("", OPEN)
            .replacen(EDGE, "tls: { cert: data/main.pem, key: data/main.key }", 1);
    stage.reload_table(&table).await;
    let following = stage.follow();
    let client = client(&authority.pem, None, BOTH, H1);
    let mut open = connect(&client, stage.https, "main.test").await.unwrap();
    assert_eq!(get(&mut open, "main.test", "/").await.unwrap().status, 200);
    let renewed = lay("v2");
    stage.link("v2", "data");
    let shown = async {
        use rustls::pki_types::pem::PemObject as _;
        let new =
            rustls::pki_types::CertificateDer::from_pem_slice(renewed.cert.as_bytes()).unwrap();
        loop {
            let stream = connect(&client, stage.https, "main.test").await.unwrap();
            if stream.get_ref().1.peer_certificates().unwrap()[0] == new {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let shown = tokio::time::timeout(crate::stage::PATIENCE, shown).await;
    assert!(shown.is_ok(), "the old one is still shown");
    let kept = get(&mut open, "main.test", "/").await.unwrap().status;
    assert_eq!(kept, 200, "a connection was dropped for it");
    following.abort();
}

#[tokio::test]
async fn a_plain_listener_sends_its_clients_on_and_nobody_elsewhere() {
    let stage = Stage::open(OPEN).await;
    let table = |to: &str| {
        let plain = "plain: { bind: \"127.0.0.1:0\", http: [h1]";
        stage
            .table("", OPEN)
            .replacen(plain, &format!("{plain}, redirect: {to}"), 1)
    };
    stage.reload_table(&table("https")).await;
    for (request, there) in [
        (
            "GET /a/b?c=d HTTP/1.1\r\nHost: localhost\r\n",
            Some("https://localhost/a/b?c=d"),
        ),
        (
            "POST / HTTP/1.1\r\nHost: LOCALHOST:8080\r\nContent-Length: 0\r\n",
            Some("https://localhost/"),
        ),
        ("GET //evil.test/ HTTP/1.1\r\nHost: localhost\r\n", None),
        ("GET / HTTP/1.1\r\nHost: evil.test\r\n", None),
        (
            "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n",
            None,
        ),
        ("GET / HTTP/1.1\r\nHost: localhost.evil.test\r\n", None),
    ] {
        let mut wire = stage.connect().await;
        wire.send(format!("{request}Connection: close\r\n\r\n"))
            .await;
        let answer = wire.response().await;
        let said = answer
            .headers
            .get("location")
            .map(|there| there.to_str().unwrap());
        assert_eq!(said, there, "{request}");
        let status = answer.status;
        assert!(
            if there.is_some() {
                status == 308
            } else {
                [400, 421].contains(&status)
            },
            "{request}: {status}"
        );
    }
    assert!(
        stage.origin.is_unasked().await,
        "something was served in the clear"
    );
    stage.reload_table(&table("\"https:8443\"")).await;
    let answer = stage
        .raw("GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(
        answer.contains("ocation: https://localhost:8443/x\r\n"),
        "{answer}"
    );
}
