//! The one pure decision: what becomes of a request. Run by the edge and by every verb.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plugin_sdk::{Facts, Params, Reply};

use crate::path::{self, PathError};
use crate::plan::{Plan, Route};
use crate::router::Miss;

/// A request's head as it came.
#[derive(Debug, Clone, Copy)]
pub struct RawHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// `Host` or `:authority`, as it came.
    pub authority: Option<&'a str>,
    /// The path as it came.
    pub path: &'a str,
    /// The query as it came, without the `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The route of a request and what its head says in canonical form.
#[derive(Clone)]
pub struct Located {
    /// The route.
    pub route: Arc<Route>,
    /// The host, in lower case, without the port.
    pub host: String,
    /// The canonical path.
    pub path: String,
    /// The path's parameters.
    pub params: Params,
    /// Whether it is a CORS preflight (Fetch §4.8) for this route: only the edge stage runs.
    pub preflight: bool,
}

/// Why a request has no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The path is not one that we forward: 400, or 414 when it is too long.
    Path(PathError),
    /// The host is missing or is none: 400.
    Host,
    /// No route has this path: 404.
    NotFound,
    /// Routes have this path and take other methods: 405.
    MethodNotAllowed {
        /// What they take.
        allow: Vec<Method>,
    },
}

/// Finds the route of a request. Pure: the same plan and head give the same answer.
pub fn locate(plan: &Plan, head: &RawHead<'_>) -> Result<Located, Refusal> {
    let host = host(head.authority).ok_or(Refusal::Host)?;
    let path = path::canonical(head.path).map_err(Refusal::Path)?;
    let find = |method: &Method| plan.router.find(&host, method, &path);
    let (found, preflight) = match (find(head.method), asked_for(head)) {
        // A route that takes OPTIONS itself gets its preflights like any other request.
        (Err(Miss::MethodNotAllowed(_)), Some(asked)) => (find(&asked), true),
        (found, _) => (found, false),
    };
    let found = found.map_err(|miss| match miss {
        Miss::NotFound => Refusal::NotFound,
        Miss::MethodNotAllowed(allow) => Refusal::MethodNotAllowed { allow },
    })?;
    Ok(Located {
        route: found.value.clone(),
        params: found.params,
        path: path.into_owned(),
        host,
        preflight,
    })
}

/// The method that a preflight asks for; `None` when the request is none.
fn asked_for(head: &RawHead<'_>) -> Option<Method> {
    if *head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// The host of an authority in the one form that rules are compared with.
fn host(authority: Option<&str>) -> Option<String> {
    let authority: http::uri::Authority = authority?.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    // `example.com.` and `example.com` name the same host.
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Judges who is calling, once the stage that finds it out has run: `Some` is the refusal.
pub fn admit(route: &Route, facts: &Facts) -> Option<Box<Reply>> {
    if !route.authenticated || facts.principal.is_some() {
        return None;
    }
    let reply = Reply::problem(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "Authentication is required",
    );
    // RFC 9110 §11.6.1 wants a challenge on every 401.
    let bearer = HeaderValue::from_static("Bearer");
    Some(Box::new(reply.header(header::WWW_AUTHENTICATE, bearer)))
}

impl Refusal {
    /// The answer that the client gets.
    pub fn reply(&self) -> Reply {
        match self {
            Self::Path(PathError::TooLong) => {
                Reply::problem(StatusCode::URI_TOO_LONG, "bad_path", "The path is too long")
            }
            Self::Path(error) => {
                Reply::problem(StatusCode::BAD_REQUEST, "bad_path", "The path is refused")
                    .detail(error.to_string())
            }
            Self::Host => Reply::problem(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The host is missing or is none",
            ),
            Self::NotFound => Reply::problem(StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed { allow } => {
                let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
                let allow = HeaderValue::from_str(&names.join(", "))
                    .expect("methods are tokens: http::Method holds nothing else");
                Reply::problem(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "Method not allowed",
                )
                .header(header::ALLOW, allow)
            }
        }
    }
}
