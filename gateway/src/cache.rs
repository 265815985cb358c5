//! When an answer is kept, under which key and for how long.
//!
//! The transport's cache does the protocol (conditional requests, ranges, one fetch for many that
//! wait); what it takes too lightly is decided here: it would keep `Set-Cookie` and `Vary: *`, and
//! believe that an answer which is old when it arrives is new.

mod memory;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use pingora::cache::cache_control::{CacheControl, Cacheable, DirectiveKey, InterpretCacheControl};
use pingora::cache::filters::calculate_fresh_until;
use pingora::cache::key::HashBinary;
use pingora::cache::lock::{CacheKeyLockImpl, CacheLock};
use pingora::cache::{
    CacheKey, CacheMeta, CacheMetaDefaults, CachePhase, NoCacheReason, RespCacheable,
    VarianceBuilder,
};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::plan::CachePolicy;
use memory::Memory;

/// How long others wait for the one that fetches, before they fetch for themselves.
const SINGLE_FLIGHT: Duration = Duration::from_secs(3);
/// No answer may take more than this part of a policy's room.
const LARGEST_PART: u64 = 8;

static LOCK: LazyLock<Box<CacheKeyLockImpl>> =
    LazyLock::new(|| CacheLock::new_boxed(SINGLE_FLIGHT));
/// Where the upstream says nothing of freshness the policy does, not the transport.
static NO_DEFAULTS: CacheMetaDefaults = CacheMetaDefaults::new(|_| None, 0, 0);

/// The rooms that answers are kept in, one per policy.
#[derive(Default)]
pub struct Caches {
    /// By the policy's name and size. The transport wants rooms that live for ever: one is made for
    /// each policy that a table ever had, and emptied when it has no policy any more.
    rooms: Mutex<HashMap<(Arc<str>, u64), &'static Memory>>,
}

impl Caches {
    /// Turns the cache on for a request, unless its answer can't be shared.
    pub fn enable(&self, session: &mut Session, policy: &CachePolicy) {
        // Over HTTP/2 a body may come without a header that says so.
        let bodiless = session.as_downstream_mut().is_body_empty();
        let request = session.req_header();
        if !bodiless || !may_share(&request.method, &request.headers, policy) {
            return;
        }
        let room = self.room(policy);
        session.cache.enable(room, None, None, Some(&**LOCK), None);
        let largest = usize::try_from(policy.max_size / LARGEST_PART).unwrap_or(usize::MAX);
        session.cache.set_max_file_size_bytes(largest);
    }

    /// Empties the rooms of policies that are no more.
    pub fn apply<'a>(&self, policies: impl Iterator<Item = &'a CachePolicy>) {
        let wanted: Vec<_> = policies
            .map(|policy| (&*policy.name, policy.max_size))
            .collect();
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for ((name, size), room) in rooms.iter() {
            if !wanted.contains(&(&**name, *size)) {
                room.clear();
            }
        }
    }

    fn room(&self, policy: &CachePolicy) -> &'static Memory {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms
            .entry((policy.name.clone(), policy.max_size))
            .or_insert_with(|| Box::leak(Box::new(Memory::new(policy.max_size))))
    }
}

/// Whether a request's answer may be kept and given to others, as far as its head tells: a caller's
/// credentials or cookies may have shaped it.
fn may_share(method: &Method, headers: &HeaderMap, policy: &CachePolicy) -> bool {
    let cookie_is_keyed = policy.vary.contains(&header::COOKIE);
    matches!(*method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::AUTHORIZATION)
        && (cookie_is_keyed || !headers.contains_key(header::COOKIE))
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && headers
            .get(header::CONTENT_LENGTH)
            .is_none_or(|length| length == "0")
        && !headers.contains_key(header::UPGRADE)
}

/// The key of a request: every part under its length, so that no two requests share one.
/// `GET` and `HEAD` do. Two routes never do: of one path they may be told apart by a header.
pub fn key(
    policy: &CachePolicy,
    route: &str,
    tls: bool,
    host: &str,
    path: &str,
    query: Option<&str>,
) -> CacheKey {
    let mut pairs: Vec<&str> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .collect();
    // A stable sort: `a=1&a=2` and `a=2&a=1` may mean different things.
    pairs.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(name, _)| name));
    let scheme = if tls { "https" } else { "http" };
    let asked = if query.is_some() { "?" } else { "" };
    let parts = [&*policy.name, route, scheme, host, path, asked]
        .into_iter()
        .chain(pairs);
    let mut primary = Vec::with_capacity(128);
    for part in parts {
        primary.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        primary.extend_from_slice(part.as_bytes());
    }
    CacheKey::new(primary, "")
}

/// Tells apart the answers to requests that differ in the headers that the policy names.
pub fn variance(policy: &CachePolicy, headers: &HeaderMap) -> Option<HashBinary> {
    let mut variance = VarianceBuilder::new();
    for name in &policy.vary {
        let mut value = Vec::new();
        for one in headers.get_all(name) {
            value.extend_from_slice(&u64::try_from(one.len()).unwrap_or(u64::MAX).to_be_bytes());
            value.extend_from_slice(one.as_bytes());
        }
        variance.add_owned_value(name.as_str(), value);
    }
    variance.finalize()
}

/// Judges an answer: kept until when, or why not.
pub fn judge(policy: &CachePolicy, answer: &ResponseHeader, now: SystemTime) -> RespCacheable {
    let refuse = |why| RespCacheable::Uncacheable(NoCacheReason::Custom(why));
    let keepable = [
        StatusCode::OK,
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::PERMANENT_REDIRECT,
        // The answer to a revalidation: it is merged into what is kept.
        StatusCode::NOT_MODIFIED,
    ];
    if !keepable.contains(&answer.status) {
        return refuse("status");
    }
    if answer.headers.contains_key(header::SET_COOKIE) {
        return refuse("set-cookie");
    }
    if !varies_as_named(policy, &answer.headers) {
        return refuse("vary");
    }
    let control = CacheControl::from_resp_headers(answer);
    // `no-cache` would be kept to be asked about each time; that saves little, and is stale for as
    // long as the policy serves what is stale. `private="x"` is rare enough to be taken whole.
    if control.as_ref().is_some_and(|control| {
        control.is_cacheable() == Cacheable::No
            || control.has_directive(&DirectiveKey::NoCache)
            || control.has_directive(&DirectiveKey::Private)
    }) {
        return refuse("cache-control");
    }
    let age = age(&answer.headers);
    let said = calculate_fresh_until(now, control.as_ref(), answer, false, &NO_DEFAULTS);
    let until = said.unwrap_or(now + policy.ttl).checked_sub(age);
    let (Some(fresh_until), Some(created)) = (until, now.checked_sub(age)) else {
        return refuse("age");
    };
    if !age.is_zero() && fresh_until < now {
        return refuse("age");
    }
    let mut kept = answer.clone();
    kept.remove_header(&header::AGE);
    let stale = |said: Option<Duration>| {
        u32::try_from(said.unwrap_or(policy.stale).as_secs()).unwrap_or(u32::MAX)
    };
    let control = control.as_ref();
    RespCacheable::Cacheable(CacheMeta::new(
        fresh_until,
        created,
        stale(control.and_then(InterpretCacheControl::serve_stale_while_revalidate_duration)),
        stale(control.and_then(InterpretCacheControl::serve_stale_if_error_duration)),
        kept,
    ))
}

fn varies_as_named(policy: &CachePolicy, headers: &HeaderMap) -> bool {
    headers.get_all(header::VARY).iter().all(|value| {
        value.as_bytes().split(|b| *b == b',').all(|name| {
            let name = name.trim_ascii();
            name.is_empty()
                || policy
                    .vary
                    .iter()
                    .any(|known| name.eq_ignore_ascii_case(known.as_str().as_bytes()))
        })
    })
}

/// How old the answer was when it came (RFC 9111 §5.1).
fn age(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// What the cache did, in one word for logs and metrics; empty when it was not asked.
pub fn outcome(phase: CachePhase) -> &'static str {
    match phase {
        CachePhase::Hit => "hit",
        CachePhase::Miss => "miss",
        CachePhase::Stale | CachePhase::StaleUpdating => "stale",
        CachePhase::Expired => "expired",
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => "revalidated",
        CachePhase::Bypass => "bypass",
        CachePhase::Disabled(NoCacheReason::NeverEnabled) => "",
        CachePhase::Disabled(_) => "uncacheable",
        CachePhase::Uninit | CachePhase::CacheKey => "",
    }
}

/// The `Cache-Status` of an answer (RFC 9211); `None` when the route has no cache.
pub fn status(session: &Session) -> Option<String> {
    let ttl = || {
        let meta = session.cache.maybe_cache_meta();
        let left = meta.map_or(Duration::ZERO, |meta| {
            meta.fresh_until()
                .duration_since(SystemTime::now())
                .unwrap_or_default()
        });
        left.as_secs()
    };
    Some(match session.cache.phase() {
        CachePhase::Hit => format!("vorota; hit; ttl={}", ttl()),
        CachePhase::Stale | CachePhase::StaleUpdating => "vorota; hit; ttl=0; detail=stale".into(),
        CachePhase::Miss => format!("vorota; fwd=uri-miss; stored; ttl={}", ttl()),
        CachePhase::Expired => format!("vorota; fwd=stale; stored; ttl={}", ttl()),
        CachePhase::Revalidated => format!("vorota; fwd=stale; fwd-status=304; ttl={}", ttl()),
        CachePhase::RevalidatedNoCache(_) => "vorota; fwd=stale; fwd-status=304".into(),
        CachePhase::Bypass | CachePhase::Disabled(NoCacheReason::NeverEnabled) => {
            "vorota; fwd=bypass".into()
        }
        CachePhase::Disabled(_) => "vorota; fwd=uri-miss".into(),
        CachePhase::Uninit | CachePhase::CacheKey => return None,
    })
}

#[cfg(test)]
mod tests;
