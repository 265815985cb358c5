//! The one pure decision: what becomes of a request. Run by the edge and by every verb.

mod asker;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plugin_sdk::{Chain, Connection, Facts, Head, Link, Params, Principal, Reply, Request, Stage};

use crate::action::{self, Asked};
use crate::path::{self, PathError};
use crate::plan::{Action, Plan, Route, Upstream};
use crate::router::{Miss, Signs};

pub use asker::Asker;

/// What a request that is only thought of comes by.
pub(crate) static NO_CONNECTION: Connection = Connection {
    tls: true,
    server_name: None,
    certificate: None,
};

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
    /// The path under which the upstream gets it, where the route rewrites it.
    pub forwarded: Option<String>,
    /// The path's parameters.
    pub params: Params,
    /// Whether it is a CORS preflight (Fetch §4.8) for this route: only the edge stage runs.
    pub preflight: bool,
    /// Whether it depends on what roles grant or on the rules of an API, and neither is known: the
    /// request is only thought of.
    pub unjudged: bool,
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
    /// What tells the routes of this path apart came more than once: 400.
    Unclear,
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
    let find = |method: &Method, preflight| {
        let signs = Signs {
            headers: head.headers,
            query: head.query,
            preflight,
        };
        plan.router.find(&host, method, &path, &signs)
    };
    let (found, preflight) = match (find(head.method, false), asked_for(head)) {
        // A route that takes OPTIONS itself gets its preflights like any other request.
        (Err(Miss::MethodNotAllowed(_)), Some(asked)) => (find(&asked, true), true),
        (found, _) => (found, false),
    };
    let found = found.map_err(|miss| match miss {
        Miss::NotFound => Refusal::NotFound,
        Miss::Unclear => Refusal::Unclear,
        Miss::MethodNotAllowed(allow) => Refusal::MethodNotAllowed { allow },
    })?;
    let mut located = Located {
        route: found.value.clone(),
        params: found.params,
        path: path.into_owned(),
        forwarded: None,
        host,
        preflight,
        unjudged: false,
    };
    located.forwarded = located.rewritten();
    Ok(located)
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
pub(crate) fn host(authority: Option<&str>) -> Option<String> {
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
    let nobody = route.authenticated && facts.principal.is_none();
    nobody.then(|| match facts.unclaimed {
        true => Box::new(Reply::invalid_token()),
        false => Box::new(Reply::unauthenticated()),
    })
}

/// The upstream that a request goes to, if it goes on: the same one for all requests of a caller
/// or, where nobody is known, of an address (IPv6: a /64, which one client owns).
pub fn upstream<'a>(
    route: &'a Route,
    who: Option<&Principal>,
    client: IpAddr,
) -> Option<&'a Arc<Upstream>> {
    let shares = &route.action.forward()?.shares;
    match (who, client) {
        (Some(who), _) => action::choose(shares, who.sub.as_bytes()),
        (None, IpAddr::V4(address)) => action::choose(shares, &address.octets()),
        (None, IpAddr::V6(address)) => action::choose(shares, &address.octets()[..8]),
    }
}

/// What becomes of a request, as far as its head and its caller tell: limits, validation and the
/// upstream have not been asked.
pub enum Decision {
    /// It has no route.
    NoRoute(Refusal),
    /// Its route refuses it.
    Refused(Located, Box<Reply>),
    /// It is a CORS preflight: the edge answers it, nothing is forwarded.
    Preflight(Located),
    /// It may, and the gateway answers it.
    Answered(Located, Box<Reply>),
    /// It goes on, or a plugin answers it.
    Forward(Located),
}

/// Decides on a request of an asker who is already known, or nobody.
pub fn decide(plan: &Plan, head: &RawHead<'_>, asker: &Asker) -> Decision {
    let mut located = match locate(plan, head) {
        Ok(located) => located,
        Err(refusal) => return Decision::NoRoute(refusal),
    };
    if located.preflight {
        return Decision::Preflight(located);
    }
    match judge(&mut located, head, asker) {
        Some(reply) => Decision::Refused(located, reply),
        None => match answer(&located, head) {
            Some(reply) => Decision::Answered(located, Box::new(reply)),
            None => Decision::Forward(located),
        },
    }
}

/// What the route itself answers.
fn answer(located: &Located, head: &RawHead<'_>) -> Option<Reply> {
    match &located.route.action {
        Action::Redirect(redirect) => Some(redirect.reply(&located.asked(head.query))),
        Action::Respond(respond) => Some(respond.reply()),
        Action::Forward(_) | Action::Answer(_) => None,
    }
}

fn judge(located: &mut Located, head: &RawHead<'_>, asker: &Asker) -> Option<Box<Reply>> {
    let facts = located.facts(asker);
    if let Some(refusal) = admit(&located.route, &facts) {
        return Some(refusal);
    }
    let route = located.route.clone();
    let links = route.chain.links().iter();
    for rule in links.filter(|link| link.plugin.stage() == Stage::Authorize) {
        match authorize(rule, located, head, asker, facts.clone()) {
            Ruling::Refuses(reply) => return Some(reply),
            Ruling::Unjudged => located.unjudged = true,
            Ruling::Passes => {}
        }
    }
    None
}

/// What a rule of the `Authorize` stage says.
pub(crate) enum Ruling {
    /// It lets the request through.
    Passes,
    /// It does as far as can be told: what roles grant, or an API's rules, is not known.
    Unjudged,
    /// It refuses it.
    Refuses(Box<Reply>),
}

/// Asks one rule of the `Authorize` stage.
pub(crate) fn authorize(
    rule: &Link,
    located: &Located,
    head: &RawHead<'_>,
    asker: &Asker,
    mut facts: Facts,
) -> Ruling {
    let chain = Chain::new(vec![rule.clone()]);
    let mut request = Request::new(located.head(head, asker), &mut facts, None);
    // A rule that would have to ask somebody else can't be judged here; it says nothing.
    let asked = chain.request(&mut request, |_| true).now_or_never();
    match asked.flatten() {
        Some(reply) => Ruling::Refuses(reply),
        None if facts.unjudged => Ruling::Unjudged,
        None => Ruling::Passes,
    }
}

impl Located {
    /// What the templates of its route are filled in with.
    pub(crate) fn asked<'a>(&'a self, query: Option<&'a str>) -> Asked<'a> {
        Asked {
            pattern: &self.route.rule.path,
            params: &self.params,
            path: &self.path,
            query,
        }
    }

    /// What the route makes of the path; `None` when it leaves it as it is.
    fn rewritten(&self) -> Option<String> {
        let forward = self.route.action.forward()?;
        match forward.rewrite.path(&self.asked(None)) {
            Cow::Borrowed(same) if same == self.path => None,
            other => Some(other.into_owned()),
        }
    }

    /// What is known once the asker has proven who they are, as far as the route asks for it.
    pub(crate) fn facts(&self, asker: &Asker) -> Facts {
        let mut facts = Facts {
            route: self.route.id.clone(),
            params: self.params.clone(),
            rights: asker.rights(),
            ..Facts::default()
        };
        // Whoever proves nothing on a public route stays nobody there.
        if self.route.authenticated {
            asker.known(&mut facts);
        }
        facts
    }

    /// The head as plugins see it.
    fn head<'a>(&'a self, raw: &RawHead<'a>, asker: &Asker) -> Head<'a> {
        Head {
            method: raw.method,
            host: &self.host,
            authority: raw.authority.unwrap_or_default(),
            path: &self.path,
            forwarded: self.forwarded.as_deref().unwrap_or(&self.path),
            query: raw.query,
            headers: raw.headers,
            client: asker.client,
            connection: &NO_CONNECTION,
        }
    }
}

impl Decision {
    /// What was found of the request, if it has a route.
    pub fn located(&self) -> Option<&Located> {
        match self {
            Self::NoRoute(_) => None,
            Self::Refused(located, _)
            | Self::Answered(located, _)
            | Self::Preflight(located)
            | Self::Forward(located) => Some(located),
        }
    }

    /// The id of the route, if there is one.
    pub fn route(&self) -> Option<&str> {
        self.located().map(|located| &*located.route.id)
    }

    /// The status of the refusal or of the route's own answer, if it is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::NoRoute(refusal) => Some(refusal.reply().status.as_u16()),
            Self::Refused(_, reply) | Self::Answered(_, reply) => Some(reply.status.as_u16()),
            Self::Preflight(_) | Self::Forward(_) => None,
        }
    }
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
            Self::Unclear => Reply::problem(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "A header or parameter that must come once came more than once",
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

#[cfg(test)]
mod tests;
