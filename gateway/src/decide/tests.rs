use std::sync::OnceLock;

use super::*;
use crate::check::tests::GOOD;
use crate::testing::Folder;
use crate::{env, plan, table};

/// The small table, with a route that takes OPTIONS itself.
fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let odd = "  - id: odd\n    match: { method: [OPTIONS, POST], path: /v1/odd }\n    to: users\n    auth: user\ntests:\n";
        let folder = Folder::new();
        let config = folder.write("routes.yaml", &GOOD.replace("tests:\n", odd));
        let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
        loaded.map_err(|refused| refused.findings.to_string()).expect("a good table").plan
    })
}

fn ask(request: &str, host: Option<&str>, headers: &[(&'static str, &'static str)]) -> String {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let method = method.parse().expect("a method");
    let pairs = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (http::HeaderName::from_static(name), value)
    });
    let headers = pairs.collect();
    let head = RawHead {
        method: &method,
        authority: host,
        path,
        query: None,
        headers: &headers,
    };
    match locate(plan(), &head) {
        Ok(located) => {
            let preflight = if located.preflight {
                " (preflight)"
            } else {
                ""
            };
            format!(
                "{} {}{}{preflight}",
                located.route.id, located.host, located.path
            )
        }
        Err(refusal) => {
            let reply = refusal.reply();
            let allow = reply
                .headers
                .get(header::ALLOW)
                .map(|allow| allow.to_str().expect("text"));
            format!(
                "{} {} {}",
                reply.status.as_u16(),
                reply.code(),
                allow.unwrap_or_default()
            )
        }
    }
}

#[test]
fn a_host_has_one_form() {
    for (host, expected) in [
        (Some("edge.test"), "rates.list edge.test/v1/rates"),
        (Some("EDGE.test:8443"), "rates.list edge.test/v1/rates"),
        (Some("edge.test."), "rates.list edge.test/v1/rates"),
        (Some("[::1]:8443"), "rates.list [::1]/v1/rates"),
        (Some(""), "400 bad_request "),
        (Some(":80"), "400 bad_request "),
        (Some("a@edge.test"), "400 bad_request "),
        (Some("edge.test/x"), "400 bad_request "),
        (Some("edge test"), "400 bad_request "),
        (None, "400 bad_request "),
    ] {
        assert_eq!(ask("GET /v1/rates", host, &[]), expected, "{host:?}");
    }
}

#[test]
fn what_has_no_route_is_refused_by_its_kind() {
    let long = format!("GET /{}", "a".repeat(path::MAX_BYTES));
    for (request, expected) in [
        ("GET /v1/nothing", "404 not_found "),
        ("GET /v1/me", "404 not_found "),
        // Security case 16: no prefix is ever cut off, so this is a path like any other.
        ("GET /v1/rates../me", "404 not_found "),
        ("DELETE /v1/rates", "405 method_not_allowed GET, HEAD"),
        ("TRACE /v1/rates", "405 method_not_allowed GET, HEAD"),
        ("CONNECT /v1/rates", "405 method_not_allowed GET, HEAD"),
        ("GET /v1/../v1/rates", "400 bad_path "),
        (&long, "414 bad_path "),
    ] {
        assert_eq!(ask(request, Some("h"), &[]), expected, "{request}");
    }
}

/// Security case 17: a preflight is for the route that it asks about, and tells of no other.
#[test]
fn gateway_17_a_preflight_finds_the_route_it_asks_for() {
    let origin = ("origin", "https://app.test");
    let asking = |method| [origin, ("access-control-request-method", method)];
    for (request, headers, expected) in [
        (
            "OPTIONS /v1/rates",
            &asking("GET")[..],
            "rates.list h/v1/rates (preflight)",
        ),
        (
            "OPTIONS /v1/rates",
            &asking("DELETE"),
            "405 method_not_allowed GET, HEAD",
        ),
        ("OPTIONS /v1/nothing", &asking("GET"), "404 not_found "),
        (
            "OPTIONS /v1/rates",
            &[origin],
            "405 method_not_allowed GET, HEAD",
        ),
        ("GET /v1/rates", &asking("DELETE"), "rates.list h/v1/rates"),
        ("OPTIONS /v1/odd", &asking("POST"), "odd h/v1/odd"),
    ] {
        assert_eq!(
            ask(request, Some("h"), headers),
            expected,
            "{request} {headers:?}"
        );
    }
}

#[test]
fn a_public_route_knows_nobody() {
    let (method, headers) = (Method::GET, HeaderMap::new());
    let head = |path| RawHead {
        method: &method,
        authority: Some("h"),
        path,
        query: None,
        headers: &headers,
    };
    let who = |roles: &[&str]| table::Caller {
        roles: roles.iter().map(ToString::to_string).collect(),
        ..table::Caller::default()
    };
    for (path, caller, status) in [
        ("/v1/rates", None, None),
        ("/v1/rates", Some(who(&["user"])), None),
        ("/v1/me/name", None, Some(401)),
        ("/v1/me/name", Some(who(&["guest"])), Some(403)),
        ("/v1/me/name", Some(who(&["guest", "user"])), None),
    ] {
        let decision = decide(plan(), &head(path), &Asker::new(None, caller.as_ref(), 0));
        assert_eq!(decision.status(), status, "{path} {caller:?}");
    }
}
