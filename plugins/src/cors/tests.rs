use plugin_sdk::Chain;
use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
use serde_json::{Value, json};

use super::*;

const APP: &str = "https://app.example.com";

fn chain(config: Value) -> Result<Chain, BuildError> {
    testing::chain::<Plugin>(config, &TestEnv::default().env)
}

fn app() -> Chain {
    chain(json!({
        "origins": [APP, "http://localhost:3000"],
        "methods": ["GET", "DELETE"],
        "headers": ["authorization", "idempotency-key"],
        "expose": ["x-request-id"],
        "credentials": true,
        "max_age": "10m",
    }))
    .expect("builds")
}

/// What a browser at that origin is answered: the refusal or 200, after the response hooks.
fn walk(chain: &Chain, mut request: TestRequest) -> ResponseHead {
    let head = match at_once(request.run(chain)) {
        Some(reply) => ResponseHead {
            status: reply.status,
            headers: reply.render("r1").0,
        },
        None => ResponseHead::default(),
    };
    request.respond(chain, head)
}

fn preflight(origin: &str) -> TestRequest {
    TestRequest::new("OPTIONS", "/v1/me")
        .header("origin", origin)
        .header("access-control-request-method", "DELETE")
}

fn header<'a>(head: &'a ResponseHead, name: &str) -> Option<&'a str> {
    head.headers
        .get(name)
        .map(|value| value.to_str().expect("text"))
}

#[test]
fn a_preflight_is_answered_here() {
    let head = walk(&app(), preflight(APP));
    assert_eq!(head.status, StatusCode::NO_CONTENT);
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, DELETE"),
        (
            "access-control-allow-headers",
            "authorization, idempotency-key",
        ),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(header(&head, name), Some(value), "{name}");
    }
    let vary: Vec<_> = head.headers.get_all("vary").iter().collect();
    assert_eq!(vary, [VARY_PREFLIGHT, VARY_ORIGIN]);
}

#[test]
fn gateway_30_a_strangers_preflight_learns_nothing() {
    for origin in [
        "https://app.example.com.evil.org",
        "https://evil-app.example.com",
        "https://APP.example.com",
        "https://app.example.com:443",
        "https://app.example.com/",
        "http://app.example.com",
        "null",
        "",
    ] {
        let head = walk(&app(), preflight(origin));
        assert_eq!(head.status, StatusCode::NO_CONTENT);
        let said: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        assert!(
            !said.iter().any(|name| name.starts_with("access-control-")),
            "{origin}: {said:?}"
        );
        assert!(head.headers.contains_key("vary"));
    }
}

#[test]
fn a_plain_options_goes_on() {
    for request in [
        TestRequest::new("OPTIONS", "/"),
        TestRequest::new("OPTIONS", "/").header("origin", APP),
        TestRequest::new("GET", "/")
            .header("origin", APP)
            .header("access-control-request-method", "GET"),
    ] {
        let mut request = request;
        assert!(at_once(request.run(&app())).is_none());
    }
}

#[test]
fn every_answer_says_who_may_read_it() {
    let request = TestRequest::new("GET", "/").header("origin", APP);
    let mut upstream = ResponseHead {
        status: StatusCode::UNAUTHORIZED,
        ..ResponseHead::default()
    };
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "set-cookie"),
        ("vary", "accept-language"),
    ] {
        upstream
            .headers
            .append(name, HeaderValue::from_static(value));
    }
    let head = request.respond(&app(), upstream);
    assert_eq!(header(&head, "access-control-allow-origin"), Some(APP));
    assert_eq!(
        header(&head, "access-control-expose-headers"),
        Some("x-request-id")
    );
    let vary: Vec<_> = head.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept-language", "Origin"]);
}

#[test]
fn without_an_origin_only_caches_are_told() {
    let head = TestRequest::new("GET", "/").respond(&app(), ResponseHead::default());
    assert_eq!(head.headers.len(), 1);
    assert_eq!(head.headers["vary"], "Origin");
}

#[test]
fn gateway_30_two_origins_are_none() {
    let request = TestRequest::new("GET", "/")
        .header("origin", APP)
        .header("origin", "https://evil.org");
    let head = request.respond(&app(), ResponseHead::default());
    assert!(!head.headers.contains_key("access-control-allow-origin"));
}

#[test]
fn anybody_may_read_what_needs_no_credentials() {
    let chain = chain(json!({ "origins": ["*"] })).expect("builds");
    let request = TestRequest::new("GET", "/").header("origin", "https://any.org");
    let head = request.respond(&chain, ResponseHead::default());
    assert_eq!(header(&head, "access-control-allow-origin"), Some("*"));
    assert!(
        !head
            .headers
            .contains_key("access-control-allow-credentials")
    );
    assert!(!head.headers.contains_key("vary"));
}

#[test]
fn gateway_30_an_origin_that_could_not_match_is_refused() {
    for origin in [
        "null",
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "http://app.example.com:80",
        "https://app.example.com:99999",
        "https://*.example.com",
        "https://",
        "ftp://app.example.com",
        "https://user@app.example.com",
        "",
    ] {
        let error = chain(json!({ "origins": [APP, origin] })).err();
        assert_eq!(error.expect(origin).at, ["origins", "1"], "{origin}");
    }
    for origin in [
        "https://a.b:8443",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "http://[::1]",
    ] {
        assert!(chain(json!({ "origins": [origin] })).is_ok(), "{origin}");
    }
}

#[test]
fn gateway_30_a_star_goes_with_nothing() {
    for config in [
        json!({ "origins": ["*"], "credentials": true }),
        json!({ "origins": ["*", APP] }),
        json!({ "origins": [] }),
        json!({ "origins": [APP], "methods": ["*"] }),
        json!({ "origins": [APP], "headers": ["*"] }),
        json!({ "origins": [APP], "headers": ["a b"] }),
        json!({ "origins": [APP], "methods": ["GET POST"] }),
    ] {
        assert!(chain(config.clone()).is_err(), "{config}");
    }
}
