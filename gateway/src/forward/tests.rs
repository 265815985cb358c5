use std::sync::Arc;

use super::*;
use identity::KeyRing;

fn identity() -> Identity {
    Identity {
        keys: Arc::new(KeyRing::parse(&"0a".repeat(32)).expect("a key")),
        ttl_s: 60,
        plain: vec![
            (HeaderName::from_static("x-user-id"), Claim::Sub),
            (HeaderName::from_static("x-user-roles"), Claim::Roles),
        ],
    }
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn forwarded(headers: &mut HeaderMap, principal: Option<&Principal>, websocket: bool) {
    let identity = identity();
    let trace = Trace::of(headers, [7; 16]);
    write(
        headers,
        &Forward {
            identity: &identity,
            principal,
            upstream: "users",
            route: "me",
            request_id: "r1",
            client: IpAddr::from([192, 0, 2, 9]),
            via: None,
            authority: "edge.test:8443",
            tls: true,
            trace: &trace,
            cookies: &[],
            credentials: &[HeaderName::from_static("x-api-key")],
            pass_authorization: false,
            websocket,
            h2: false,
            now: 1_000,
        },
    );
}

#[test]
fn every_spelling_of_an_identity_header_is_foreign() {
    let came = headers(&[
        ("x-identity", "forged"),
        ("X_User_Id", "admin"),
        ("x.user.id", "admin"),
        ("x-user_roles", "admin"),
        ("x-user-identity", "fine"),
        ("x-client-id", "fine"),
        ("connection", "close, X-Nominated, x-client-id"),
        ("x-nominated", "hop"),
        ("x_forwarded.for", "6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-user", "admin"),
        ("x-forward", "fine"),
        ("content_length", "7"),
        ("content-length", "0"),
    ]);
    let mut foreign = foreign(&came, &identity());
    foreign.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(
        foreign,
        [
            "content_length",
            "x-client-id",
            "x-forwarded-for",
            "x-forwarded-user",
            "x-identity",
            "x-nominated",
            "x-user_roles",
            "x.user.id",
            "x_forwarded.for",
            "x_user_id"
        ]
    );
}

#[test]
fn the_statement_is_sealed_for_its_upstream_and_overwrites_a_plugins() {
    let caller = Principal {
        sub: "u1".into(),
        roles: vec!["user".into(), "admin".into()],
        ..Principal::default()
    };
    let mut sent = headers(&[
        ("x_identity", "a plugin's"),
        ("authorization", "Bearer secret"),
        ("x-api-key", "gk_secret"),
    ]);
    forwarded(&mut sent, Some(&caller), false);
    let sealed = sent["x-identity"].to_str().expect("text");
    let keys = KeyRing::parse(&"0a".repeat(32)).expect("a key");
    let statement = identity::open(&keys, sealed, "users", 1_001).expect("our own seal");
    assert_eq!(statement.who, Some(caller));
    assert_eq!(statement.client, Some(IpAddr::from([192, 0, 2, 9])));
    assert_eq!((statement.route.as_str(), statement.exp), ("me", 1_060));
    assert_eq!(sent["x-user-roles"], "user,admin");
    assert!(!sent.contains_key("x_identity"));
    assert!(!sent.contains_key("authorization") && !sent.contains_key("x-api-key"));
}

#[test]
fn a_role_that_would_read_as_two_is_told_in_the_seal_alone() {
    let caller = Principal {
        sub: "u1".into(),
        roles: vec!["user,admin".into()],
        ..Principal::default()
    };
    let mut sent = HeaderMap::new();
    forwarded(&mut sent, Some(&caller), false);
    assert_eq!(sent["x-user-id"], "u1");
    assert!(!sent.contains_key("x-user-roles"));
}

#[test]
fn an_anonymous_caller_is_sealed_as_such() {
    let mut sent = headers(&[("x-user-id", "admin")]);
    forwarded(&mut sent, None, false);
    let keys = KeyRing::parse(&"0a".repeat(32)).expect("a key");
    let sealed = sent["x-identity"].to_str().expect("text");
    assert_eq!(
        identity::open(&keys, sealed, "users", 1_001).map(|s| s.who),
        Ok(None)
    );
    assert!(!sent.contains_key("x-user-id"));
}

#[test]
fn hops_are_rebuilt_and_cookies_merged() {
    let mut sent = headers(&[
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("x-forwarded-host", "evil"),
        ("te", "trailers"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ]);
    forwarded(&mut sent, None, false);
    assert_eq!(sent["x-forwarded-for"], "192.0.2.9");
    assert_eq!(sent["x-forwarded-host"], "edge.test:8443");
    assert_eq!(sent["x-forwarded-proto"], "https");
    assert_eq!(sent["host"], "edge.test:8443");
    assert_eq!(
        sent.get_all("cookie").iter().collect::<Vec<_>>(),
        ["a=1; b=2"]
    );
    for gone in ["forwarded", "x-real-ip", "te", "connection", "upgrade"] {
        assert!(!sent.contains_key(gone), "{gone}");
    }
}

#[test]
fn a_websocket_keeps_its_handshake() {
    let mut sent = headers(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
    ]);
    forwarded(&mut sent, None, true);
    assert_eq!(sent["connection"], "upgrade");
    assert_eq!(sent["upgrade"], "websocket");
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    let proxies = [Network {
        address: IpAddr::from([10, 0, 0, 0]),
        prefix: 8,
    }];
    let (proxy, stranger) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
    for (socket, said, expected) in [
        (stranger, &["6.6.6.6"][..], "192.0.2.1"),
        (proxy, &["6.6.6.6"], "6.6.6.6"),
        // The client's own lie stands left of what the proxy saw.
        (proxy, &["1.1.1.1, 6.6.6.6, 10.0.0.2"], "6.6.6.6"),
        (proxy, &["1.1.1.1", "6.6.6.6"], "6.6.6.6"),
        (proxy, &["6.6.6.6, nonsense"], "10.0.0.1"),
        (proxy, &[], "10.0.0.1"),
    ] {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(value));
        }
        assert_eq!(
            client(socket, &headers, &proxies).to_string(),
            expected,
            "{said:?}"
        );
    }
}
