//! What others have signed: the examples of RFC 9421, and requests signed by another implementation.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use plugin_sdk::Connection;

use super::*;

/// Reads a request's signature and holds it against the key that it names, whatever it covers.
fn verify(method: Method, path: &str, headers: &[(&'static str, &str)], keys: &Value) -> bool {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a value");
        map.append(HeaderName::from_static(name), value);
    }
    let connection = Connection {
        tls: true,
        ..Connection::default()
    };
    let head = Head {
        method: &method,
        host: "example.com",
        authority: "Example.com:443",
        path,
        forwarded: path,
        query: Some("param=Value&Pet=dog"),
        headers: &map,
        client: std::net::IpAddr::from([192, 0, 2, 1]),
        connection: &connection,
    };
    let keys = Keys::parse(keys.to_string().as_bytes()).expect("keys");
    let input = Input::read(&head).expect("a signature");
    let base = base::write(&head, &input).expect("all of it is there");
    let known = keys.find(&input.key_id).expect("the key");
    known.verify(base.as_bytes(), &input.signature)
}

/// The request of RFC 9421 appendix B.2.
const REQUEST: [(&str, &str); 4] = [
    ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ("content-type", "application/json"),
    ("content-length", "18"),
    (
        "content-digest",
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    ),
];

#[test]
fn the_example_of_rfc_9421_b_2_5_holds() {
    let keys =
        json!({ "test-shared-secret": { "alg": "hmac-sha256", "secret": SECRET, "sub": "a" } });
    let signature = "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:";
    let input = r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let mut request = REQUEST.to_vec();
    request.extend([("signature-input", input), ("signature", signature)]);
    assert!(verify(Method::POST, "/foo", &request, &keys));
    request[0].1 = "Tue, 20 Apr 2021 02:07:56 GMT";
    assert!(!verify(Method::POST, "/foo", &request, &keys));
}

#[test]
fn the_example_of_rfc_9421_b_2_6_holds() {
    let key = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
    let keys = json!({ "test-key-ed25519": { "alg": "ed25519", "public_key": key, "sub": "a" } });
    let signature = "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";
    let input = r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
    let mut request = REQUEST.to_vec();
    request.extend([("signature-input", input), ("signature", signature)]);
    assert!(verify(Method::POST, "/foo", &request, &keys));
    assert!(!verify(Method::PUT, "/foo", &request, &keys));
    assert!(!verify(Method::POST, "/bar", &request, &keys));
}

/// Signed with PyPI's `http-message-signatures` 1.0.1 at the second where the clock stands: by the
/// secret above, and by the Ed25519 key of 32 bytes of 9.
#[test]
fn what_another_implementation_has_signed_holds() {
    let stage = Stage::new("others");
    let request = |method: &str, target: &str, input: &str, signature: &str| {
        TestRequest::new(method, target)
            .header("signature-input", input)
            .header("signature", signature)
    };
    let post = request(
        "POST",
        "/v1/transfers?a=1&b=2",
        r#"sig1=("@method" "@authority" "@path" "@query" "content-digest");created=1767225600;keyid="hmac-1";alg="hmac-sha256""#,
        "sig1=:IHDNpAm8gBq4P2V52Uzm6uSJ0dmujgoOLV3UpV13/74=:",
    );
    let get = request(
        "GET",
        "/v1/wallets",
        r#"sig1=("@method" "@authority" "@path" "@query");created=1767225600;keyid="hmac-1";nonce="n-1""#,
        "sig1=:W0FcYDRIHR2JMnvCpOOAiIqt1sKHG31FONGCSvRZeNw=:",
    );
    let ed25519 = request(
        "POST",
        "/v1/transfers",
        r#"sig1=("@method" "@authority" "@path" "@query" "content-digest" "date");created=1767225600;keyid="ed-1";alg="ed25519""#,
        "sig1=:ObPH4RuJNPPqFwmuWYMvPI2rSPGYKZCKvRmFV+L/5ECV/yglKK+1Mmuxc0UZOqiRk7pInuLQyOtk1ez1J5mZAw==:",
    );
    let post = post.header("content-digest", DIGEST).body(BODY);
    let ed25519 = ed25519
        .header("content-digest", DIGEST)
        .header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
        .body(BODY);
    for (mut request, sub) in [(post, "acme"), (get, "acme"), (ed25519, "beta")] {
        let (code, facts) = stage.ask(&mut request);
        assert_eq!(code, "");
        assert_eq!(facts.principal.expect("somebody").sub, sub);
    }
}
