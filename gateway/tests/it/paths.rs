//! One path has one reading: the security cases of paths and methods, at the socket.

use crate::stage::Stage;

const GUARDED: &str = "
auth:
  who: { test_who: {} }
routes:
  - { id: public, match: { method: GET, path: /public/** }, to: origin, auth: none, why_public: a test }
  - { id: admin, match: { method: GET, path: /admin/** }, to: origin, auth: who }
  - { id: wild, match: { method: [GET, POST], path: /**, host: '*.edge.test' }, to: origin, auth: none, why_public: a test }
  - { id: exact, match: { method: GET, path: /secret, host: a.edge.test }, to: origin, auth: who }
";

#[tokio::test]
async fn gateway_15_a_path_is_refused_or_has_one_meaning() {
    let stage = Stage::open(GUARDED).await;
    // Each is refused for its spelling, or is the guarded path and needs somebody.
    for (target, status) in [
        ("/public/../admin/x", 400),
        ("/public/%2e%2e/admin/x", 400),
        ("/public/%2E./admin/x", 400),
        ("/public/..%2fadmin/x", 400),
        ("/public%2fadmin", 400),
        ("/public/..%5cadmin/x", 400),
        ("/public/..\\admin/x", 400),
        ("//admin/x", 400),
        ("/./admin/x", 400),
        ("/admin/./x", 400),
        ("/admin;x/y", 400),
        ("/admin/x/", 400),
        ("/admin/%00", 400),
        ("/public/%252e%252e/admin", 400),
        ("/public/%252fadmin", 400),
        ("/public/%c0%ae%c0%ae/admin", 400),
        ("/public/%e0%80%af", 400),
        ("/admin/x", 401),
        ("/%61dmin/x", 401),
        ("/%61%64%6d%69%6E/x", 401),
        ("/admin", 401),
        // Another path altogether: letters are not folded, and a dot at the end is a letter.
        ("/ADMIN/x", 404),
        ("/admin./x", 404),
    ] {
        assert_eq!(stage.get(target, "").await.status, status, "{target}");
    }
    assert!(stage.origin.is_unasked().await, "something got through");
    for (target, forwarded) in [
        ("/%70ublic/%7e", "/public/~"),
        ("/public/%c3%a9", "/public/%C3%A9"),
        ("/public/...", "/public/..."),
    ] {
        assert_eq!(stage.get(target, "").await.status, 200, "{target}");
        assert_eq!(stage.origin.asked().await.target, forwarded);
    }
}

#[tokio::test]
async fn gateway_17_a_method_or_a_wider_host_is_no_way_round() {
    let stage = Stage::open(GUARDED).await;
    for (host, method, target, status) in [
        ("a.edge.test", "GET", "/secret", 401),
        ("A.EDGE.test.", "GET", "/secret", 401),
        ("a.edge.test:80", "GET", "/secret", 401),
        // The wildcard takes POST, and never gets to.
        ("a.edge.test", "POST", "/secret", 405),
        ("a.edge.test", "HEAD", "/secret", 401),
        ("a.edge.test", "OPTIONS", "/secret", 405),
        ("edge.test", "POST", "/public/x", 405),
        ("edge.test", "OPTIONS", "/public/x", 405),
        ("edge.test", "PATCH", "/admin/x", 405),
        ("edge.test", "GET", "/secret", 404),
    ] {
        let mut wire = stage.connect().await;
        wire.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ))
        .await;
        let head = wire.until("\r\n\r\n").await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(
            head.starts_with(&expected),
            "{method} {host}{target}: {head}"
        );
    }
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn gateway_13_a_method_is_the_one_of_the_request_line() {
    let stage = Stage::open(GUARDED).await;
    for (line, status) in [
        ("CONNECT edge.test:443", "405"),
        ("TRACE /public/x", "405"),
        ("TRACK /public/x", "405"),
        ("PROPFIND /public/x", "405"),
        ("get /public/x", "405"),
        ("G=\":x /public/x", "400"),
    ] {
        let answer = stage
            .raw(format!("{line} HTTP/1.1\r\nHost: edge.test\r\n\r\n"))
            .await;
        let told = answer.split(' ').nth(1).unwrap_or("none");
        assert!([status, "400"].contains(&told), "{line}: {answer}");
    }
    assert!(stage.origin.is_unasked().await);
    // Who would like to be another method is not.
    for header in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let answer = stage
            .get("/public/x", &format!("{header}: DELETE\r\n"))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(stage.origin.asked().await.method, "GET");
    }
}

#[tokio::test]
async fn gateway_18_a_long_path_is_refused_at_once() {
    let stage = Stage::open(&format!("defaults: {{ max_header: 64KiB }}\n{GUARDED}")).await;
    for path in ["/a".repeat(5_000), format!("/{}", "a".repeat(10_000))] {
        let began = std::time::Instant::now();
        assert_eq!(stage.get(&path, "").await.status, 414);
        assert!(began.elapsed() < crate::stage::PATIENCE / 2);
    }
    // So many segments do not even fit the head.
    let answer = stage.get(&"/a".repeat(100_000), "").await;
    assert!([414, 431].contains(&answer.status), "{}", answer.status);
    assert!(stage.origin.is_unasked().await);
}
