use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use plugin_sdk::Principal;
use serde_json::{Value as Json, json};

use super::Target;
use super::wire::Answer;
use crate::decide::{self, Asker, RawHead};
use crate::plan::{Plan, Route};
use crate::router::Sample;

/// A request, and what must become of it.
pub(super) struct Attempt {
    pub(super) name: String,
    pub(super) request: String,
    /// The host that a connection for it is made to, where it is not the edge's own.
    pub(super) host: Option<String>,
    pub(super) expect: Expect,
}

/// What must become of a request.
pub(super) enum Expect {
    /// One of these statuses.
    Status(Vec<u16>),
    /// Whatever it is, no page of another origin may read it.
    NoForeignOrigin,
}

impl Expect {
    pub(super) fn fits(&self, status: u16, answer: &Answer) -> bool {
        match self {
            Self::Status(known) => known.contains(&status),
            Self::NoForeignOrigin => !answer.allows_origin,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(known) => {
                let names: Vec<String> = known.iter().map(u16::to_string).collect();
                f.write_str(&names.join(" or "))
            }
            Self::NoForeignOrigin => f.write_str("no Access-Control-Allow-Origin"),
        }
    }
}

/// A token of somebody who is not allowed everything, and what it says of them.
#[derive(Debug)]
pub struct Token {
    text: String,
    who: Principal,
}

impl Token {
    /// Reads what a JWT says. Whether it is good is for the edge to tell.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let claims = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
        let claims: Json = serde_json::from_slice(&claims).ok()?;
        let texts = |value: &Json| match value {
            Json::String(words) => words.split(' ').map(String::from).collect(),
            Json::Array(items) => items
                .iter()
                .filter_map(|item| item.as_str().map(String::from))
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            who: Principal {
                sub: claims["sub"].as_str()?.to_owned(),
                roles: texts(&claims["roles"]),
                scopes: texts(&claims["scope"]),
                sid: None,
                acr: claims["acr"].as_str().map(String::from),
                auth_time: claims["auth_time"].as_i64(),
            },
            text: text.to_owned(),
        })
    }
}

/// Everything that is to be tried.
pub(super) fn all(plan: &Plan, target: &Target, token: Option<&Token>) -> Vec<Attempt> {
    let mut attempts = general(plan, target);
    for route in plan.routes.values() {
        for sample in route.rule.samples() {
            attempts.extend(of_stranger(plan, target, route, &sample));
            if let Some(token) = token {
                attempts.extend(of_token(plan, target, route, &sample, token));
            }
        }
        attempts.extend(wrong_method(plan, target, route));
        attempts.extend(long_body(plan, target, route));
    }
    attempts
}

/// What no edge may let pass, whatever its routes are.
fn general(plan: &Plan, target: &Target) -> Vec<Attempt> {
    let host = target.host();
    let long = "a".repeat(
        plan.listeners
            .values()
            .map(|it| it.max_header)
            .max()
            .unwrap_or(0),
    );
    let tricks = [
        (
            "Content-Length beside Transfer-Encoding",
            "POST",
            "/",
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
            400,
        ),
        (
            "two Content-Lengths",
            "POST",
            "/",
            "content-length: 0\r\ncontent-length: 0\r\n",
            "",
            400,
        ),
        (
            "a coding that is none",
            "POST",
            "/",
            "transfer-encoding: xchunked\r\n",
            "",
            400,
        ),
        ("two hosts", "GET", "/", "host: other.example\r\n", "", 400),
        ("a path upwards", "GET", "/probe/../", "", "", 400),
        (
            "a path upwards, encoded",
            "GET",
            "/probe/%2e%2e/",
            "",
            "",
            400,
        ),
        ("an encoded slash", "GET", "/probe%2fx", "", "", 400),
        ("an encoded backslash", "GET", "/probe%5cx", "", "", 400),
        ("an encoded zero byte", "GET", "/probe%00x", "", "", 400),
        ("an empty segment", "GET", "//probe", "", "", 400),
        ("a path parameter", "GET", "/probe;x=1", "", "", 400),
        ("TRACE", "TRACE", "/", "", "", 405),
    ];
    let mut attempts: Vec<Attempt> = tricks
        .into_iter()
        .map(|(name, method, path, headers, body, status)| Attempt {
            name: name.into(),
            request: head(method, path, &host, headers) + body,
            host: None,
            expect: Expect::Status(vec![status]),
        })
        .collect();
    attempts.push(Attempt {
        name: "a head that is too long".into(),
        request: head("GET", "/", &host, &format!("x-probe: {long}\r\n")),
        host: None,
        expect: Expect::Status(vec![400, 431]),
    });
    attempts.push(Attempt {
        name: "a page of another origin".into(),
        request: head("GET", "/", &host, "origin: https://probe.invalid\r\n"),
        host: None,
        expect: Expect::NoForeignOrigin,
    });
    attempts
}

/// What somebody unknown gets, and still gets when they say that they are somebody.
fn of_stranger(plan: &Plan, target: &Target, route: &Route, sample: &Sample) -> Vec<Attempt> {
    let Some(status) = refusal(plan, target, route, sample, &Asker::nobody()) else {
        return Vec::new();
    };
    let spoofed: String = ["x-identity", "X-Identity", "x_identity"]
        .into_iter()
        .chain(plan.identity.plain.iter().map(|(name, _)| name.as_str()))
        .map(|name| format!("{name}: admin\r\n"))
        .collect();
    let forged = format!("authorization: Bearer {}\r\n", forged());
    [
        ("a stranger", String::new(), vec![status]),
        ("a stranger with spoofed identity", spoofed, vec![status]),
        // Where a way does not take it for its own, the answer is that of a stranger.
        ("a forged token", forged, vec![401, status]),
    ]
    .into_iter()
    .map(|(name, headers, statuses)| attempt(target, route, sample, name, &headers, statuses))
    .collect()
}

/// What somebody known may not do.
fn of_token(
    plan: &Plan,
    target: &Target,
    route: &Route,
    sample: &Sample,
    token: &Token,
) -> Option<Attempt> {
    let asker = Asker::known_as(None, Some(token.who.clone()), 0);
    let status = refusal(plan, target, route, sample, &asker)?;
    let headers = format!("authorization: Bearer {}\r\n", token.text);
    let name = format!("the bearer ({})", token.who.roles.join(", "));
    Some(attempt(
        target,
        route,
        sample,
        &name,
        &headers,
        vec![status],
    ))
}

/// The status with which the route refuses the request; `None` when it would let it pass, or
/// another route takes it.
fn refusal(
    plan: &Plan,
    target: &Target,
    route: &Route,
    sample: &Sample,
    asker: &Asker,
) -> Option<u16> {
    let host = authority(target, sample);
    let decision = decide::decide(plan, &raw(sample, &sample.method, &host), asker);
    decision
        .status()
        .filter(|_| decision.route() == Some(&route.id))
}

fn attempt(
    target: &Target,
    route: &Route,
    sample: &Sample,
    name: &str,
    headers: &str,
    statuses: Vec<u16>,
) -> Attempt {
    let mut all: String = sample
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    all += headers;
    let bare = matches!(sample.method, Method::GET | Method::HEAD | Method::DELETE);
    if !bare && !headers.contains("content-length:") {
        all += "content-length: 0\r\n";
    }
    let path = match &sample.query {
        Some(query) => format!("{}?{query}", sample.path),
        None => sample.path.clone(),
    };
    Attempt {
        name: format!("{} {} ({}), {name}", sample.method, sample.path, route.id),
        request: head(
            sample.method.as_str(),
            &path,
            &authority(target, sample),
            &all,
        ),
        host: sample.host.clone(),
        expect: Expect::Status(statuses),
    }
}

/// A method that none of the routes of this path takes.
fn wrong_method(plan: &Plan, target: &Target, route: &Route) -> Option<Attempt> {
    let sample = route.rule.samples().next()?;
    let host = authority(target, &sample);
    let untaken = [Method::DELETE, Method::PUT, Method::PATCH, Method::POST];
    let taken: BTreeSet<&str> = plan
        .routes
        .values()
        .filter(|other| other.rule.path == route.rule.path)
        .flat_map(|other| other.rule.methods.iter().map(Method::as_str))
        .collect();
    let method = untaken
        .into_iter()
        .find(|it| !taken.contains(it.as_str()))?;
    let head = raw(&sample, &method, &host);
    let status = decide::decide(plan, &head, &Asker::nobody()).status()?;
    let wrong = Sample { method, ..sample };
    Some(attempt(
        target,
        route,
        &wrong,
        "a method that it has not",
        "",
        vec![status],
    ))
}

/// A body that says that it is too long, of which no byte follows.
fn long_body(plan: &Plan, target: &Target, route: &Route) -> Option<Attempt> {
    let sample = route
        .rule
        .samples()
        .find(|sample| matches!(sample.method, Method::POST | Method::PUT | Method::PATCH))?;
    let host = authority(target, &sample);
    let located = decide::locate(plan, &raw(&sample, &sample.method, &host)).ok()?;
    if located.route.id != route.id {
        return None;
    }
    let headers = format!("content-length: {}\r\n", route.max_body.saturating_add(1));
    let name = "a body that is too long";
    Some(attempt(target, route, &sample, name, &headers, vec![413]))
}

fn raw<'a>(sample: &'a Sample, method: &'a Method, host: &'a str) -> RawHead<'a> {
    RawHead {
        method,
        authority: Some(host),
        path: &sample.path,
        query: sample.query.as_deref(),
        headers: &sample.headers,
    }
}

fn authority(target: &Target, sample: &Sample) -> String {
    sample.host.clone().unwrap_or_else(|| target.host())
}

fn head(method: &str, path: &str, host: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: gateway-probe\r\n\
         connection: close\r\n{headers}\r\n"
    )
}

/// A token that nobody has signed, for somebody who may everything.
fn forged() -> String {
    let part = |value: Json| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({ "alg": "none", "typ": "at+jwt" }));
    let claims = part(json!({
        "sub": "probe", "roles": ["admin"], "scope": "*", "exp": 4_102_444_800_u64,
    }));
    format!("{head}.{claims}.")
}
