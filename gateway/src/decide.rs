//! The one pure decision: what becomes of a request. Run by the edge and by every verb.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use plugin_sdk::{Params, Reply};

use crate::plan::{Plan, Route};

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
    /// The path, host or method is not one that we forward: 400.
    Malformed {
        /// A stable code.
        code: &'static str,
        /// For people.
        detail: &'static str,
    },
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
    let _ = (plan, head);
    Err(Refusal::NotFound)
}

impl Refusal {
    /// The answer that the client gets.
    pub fn reply(&self) -> Reply {
        Reply::problem(StatusCode::NOT_FOUND, "not_found", "Not found")
    }
}
