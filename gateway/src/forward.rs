//! What the upstream gets to see: hop-by-hop fields and everything that a client says about
//! identity go out, ours is written last.
//!
//! Plain functions on plain heads, so that every transport forwards alike.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use identity::{Principal, Statement};

use crate::plan::{Claim, Identity, Network};

mod cookies;
mod trace;

pub use trace::Trace;

/// What proxies say to each other: of these we write three and believe none.
const X_FORWARDED: &str = "x-forwarded-";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_IDENTITY: HeaderName = HeaderName::from_static(identity::HEADER);

/// Names that are ours or the transport's to write, and that some server would also read from
/// `X_Real_Ip` or `Content_Length`.
const NEVER_RESPELT: [&str; 5] = [
    "authorization",
    "content-length",
    "content-type",
    "transfer-encoding",
    "x-real-ip",
];

/// Fields that concern one connection only (RFC 9110 §7.6.1), besides those that it nominates.
const HOP_BY_HOP: [&str; 6] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "upgrade",
];

/// The names of the headers that a client has no say in: every spelling of an identity header
/// (some servers read `X_User.Id` as `x-user-id`), other spellings of what decides, and all that
/// begins with `x-forwarded-`: behind another proxy `x-forwarded-user` is an identity header too.
///
/// The fields that the client's `Connection` nominates are among them: the next hop must not get
/// them, so no plugin should judge them either.
pub fn foreign(headers: &HeaderMap, identity: &Identity) -> Vec<HeaderName> {
    let nominated = |name: &HeaderName| {
        headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|b| *b == b','))
            .map(<[u8]>::trim_ascii)
            .any(|token| {
                token.eq_ignore_ascii_case(name.as_str().as_bytes())
                    && !HOP_BY_HOP.contains(&name.as_str())
            })
    };
    headers
        .keys()
        .filter(|name| is_foreign(name, identity) || nominated(name))
        .cloned()
        .collect()
}

/// Whether a client has no say in a header of this name. What its `Connection` nominates comes to
/// that with each request.
pub(crate) fn is_foreign(name: &HeaderName, identity: &Identity) -> bool {
    let name = name.as_str();
    speaks_of_identity(name, identity) || is_respelt(name) || is_forwarded(name)
}

/// Whether a header concerns one connection only.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

fn speaks_of_identity(name: &str, identity: &Identity) -> bool {
    same_spelling(name, identity::HEADER)
        || identity
            .plain
            .iter()
            .any(|(plain, _)| same_spelling(name, plain.as_str()))
}

fn is_respelt(name: &str) -> bool {
    NEVER_RESPELT
        .iter()
        .any(|ours| name != *ours && same_spelling(name, ours))
}

fn is_forwarded(name: &str) -> bool {
    name.get(..X_FORWARDED.len())
        .is_some_and(|start| same_spelling(start, X_FORWARDED))
}

/// Whether some server may take one name for the other. Both are in lower case.
fn same_spelling(name: &str, ours: &str) -> bool {
    name.len() == ours.len()
        && name
            .bytes()
            .zip(ours.bytes())
            .all(|(b, our)| b == our || (our == b'-' && matches!(b, b'_' | b'.')))
}

/// The address that counts as the client's: the socket's, unless that is a trusted proxy. Then it
/// is the last address in `X-Forwarded-For` that is not a trusted proxy itself.
pub fn client(socket: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let socket = socket.to_canonical();
    if !is_trusted(socket) {
        return socket;
    }
    let mut client = socket;
    let said: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    for value in said.into_iter().rev() {
        let Ok(text) = value.to_str() else {
            return client;
        };
        for hop in text.rsplit(',') {
            // What can't be read was not written by a proxy that we trust.
            let Ok(address) = hop.trim().parse::<IpAddr>() else {
                return client;
            };
            client = address.to_canonical();
            if !is_trusted(client) {
                return client;
            }
        }
    }
    client
}

/// What one forwarded request says, besides what its client said.
#[derive(Clone, Copy)]
pub struct Forward<'a> {
    /// How a caller is told to the upstreams.
    pub identity: &'a Identity,
    /// Who calls; `None` on a public route.
    pub principal: Option<&'a Principal>,
    /// The upstream: the audience of the statement.
    pub upstream: &'a str,
    /// The route that let it through.
    pub route: &'a str,
    /// The id that every log line shares.
    pub request_id: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The address at the other end of the socket, when that is a trusted proxy.
    pub via: Option<IpAddr>,
    /// `Host` or `:authority`, as it came.
    pub authority: &'a str,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// The trace, with this hop's own span.
    pub trace: &'a Trace,
    /// The cookies that stay between us and browsers.
    pub cookies: &'a [Box<str>],
    /// The headers that credentials come in, beside `Authorization`.
    pub credentials: &'a [HeaderName],
    /// Whether the upstream judges `Authorization` by itself.
    pub pass_authorization: bool,
    /// Whether the route lets a WebSocket through and this request asks for one.
    pub websocket: bool,
    /// Whether the upstream is spoken to in HTTP/2.
    pub h2: bool,
    /// The time, in Unix seconds.
    pub now: i64,
}

/// Turns the headers that came into those that the upstream gets. May be run again for another
/// attempt on the headers as they came.
pub fn write(headers: &mut HeaderMap, forward: &Forward<'_>) {
    let trailers = forward.h2 && takes_trailers(headers);
    drop_hop_by_hop(headers, forward.websocket);
    cookies::keep_back(headers, forward.cookies);
    if trailers {
        // The one value that HTTP/2 knows (RFC 9113 §8.2.2). gRPC servers insist on it.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    merge_cookies(headers);
    headers.remove(header::FORWARDED);
    headers.remove("x-real-ip");
    // Credentials are ours to judge: a backend that saw them could judge again, or leak them.
    if !forward.pass_authorization {
        headers.remove(header::AUTHORIZATION);
    }
    for name in forward.credentials {
        headers.remove(name);
    }
    headers.insert(X_FORWARDED_FOR, forwarded_for(forward));
    headers.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(if forward.tls { "https" } else { "http" }),
    );
    if let Ok(host) = HeaderValue::from_str(forward.authority) {
        headers.insert(X_FORWARDED_HOST, host.clone());
        headers.insert(header::HOST, host);
    }
    forward.trace.write(headers);
    write_identity(headers, forward);
}

/// Takes from an answer what concerned the upstream's connection only, a statement that an
/// upstream echoes, which is not for the client, and the cookies that are ours alone to set.
pub fn clean_answer(headers: &mut HeaderMap, cookies: &[Box<str>]) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(X_IDENTITY);
    cookies::refuse(headers, cookies);
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::TE).iter();
    said.flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

fn drop_hop_by_hop(headers: &mut HeaderMap, websocket: bool) {
    for name in HOP_BY_HOP {
        if !(websocket && matches!(name, "connection" | "upgrade")) {
            headers.remove(name);
        }
    }
    if websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// HTTP/2 clients send cookies in crumbs; an HTTP/1 server reads one line (RFC 9113 §8.2.3).
fn merge_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, whole);
    }
}

fn forwarded_for(forward: &Forward<'_>) -> HeaderValue {
    let text = match forward.via {
        Some(via) if via != forward.client => format!("{}, {via}", forward.client),
        _ => forward.client.to_string(),
    };
    HeaderValue::from_str(&text).expect("addresses are visible ASCII")
}

fn write_identity(headers: &mut HeaderMap, forward: &Forward<'_>) {
    // A plugin has no say in it either.
    for name in foreign_identity(headers, forward.identity) {
        headers.remove(name);
    }
    let statement = Statement {
        who: forward.principal.cloned(),
        client: Some(forward.client),
        aud: forward.upstream.to_owned(),
        route: forward.route.to_owned(),
        request_id: forward.request_id.to_owned(),
        iat: forward.now,
        exp: forward.now + forward.identity.ttl_s.min(identity::MAX_TTL_S),
    };
    let sealed = identity::seal(&forward.identity.keys, &statement);
    headers.insert(
        X_IDENTITY,
        HeaderValue::from_str(&sealed).expect("a seal is base64url and dots"),
    );
    let Some(principal) = forward.principal else {
        return;
    };
    for (name, claim) in &forward.identity.plain {
        let text = match claim {
            Claim::Sub => Some(principal.sub.clone()),
            Claim::Roles => listed(&principal.roles),
            Claim::Sid => principal.sid.clone(),
        };
        // A claim that does not go into a header is left out: the seal carries it whole.
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Roles with commas between; `None` when one of them would read as two.
fn listed(roles: &[String]) -> Option<String> {
    let one = |role: &String| !role.contains(',');
    roles.iter().all(one).then(|| roles.join(","))
}

fn foreign_identity(headers: &HeaderMap, identity: &Identity) -> Vec<HeaderName> {
    headers
        .keys()
        .filter(|name| speaks_of_identity(name.as_str(), identity))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
