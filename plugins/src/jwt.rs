//! Knows a caller by a signed access token (RFC 9068) in `Authorization: Bearer`.
//!
//! ```yaml
//! jwt:
//!   issuer: https://id.example.com
//!   audience: api
//!   discovery: true # or jwks: https://… or $file:…; keys: $file:id.pem; secret: $file:…
//!   algs: [EdDSA, ES256]
//!   stale_keys: 1h # how long known keys are trusted while the issuer can't be reached
//!   claims: { roles: realm_access.roles, sub_prefix: "partner:" } # where it says what
//! ```
//!
//! A request without a token goes on as nobody's, and so does one whose token names another issuer:
//! a route may take several. Whether that will do is the route's to say. A token of this issuer that
//! is not good is a 401. Keys that can't be had are our trouble and not the caller's: a 503, so
//! that no client throws a good token away.
//!
//! A token that was found good is remembered whole until it expires or the keys change, so that a
//! signature is checked once and not with each request.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use plugin_sdk::{BuildError, Clock, Env, Flow, Form, Later, Proof, Reply, Request, Stage, Takes};

mod alg;
mod claims;
mod config;
mod discovery;
mod jwk;
mod keys;
mod refresh;
mod token;

pub use alg::Alg;
pub use claims::Mapping;
pub use config::{Config, Typ};

pub(crate) use claims::{Claims, Paths, Policy, is_bearers};
pub(crate) use config::Times;
pub(crate) use discovery::{check_issuer, endpoint, is_loopback};
pub(crate) use keys::Good;
pub(crate) use refresh::{Keys, Origin};
pub(crate) use token::{Fault, Token};

use keys::KeySet;

/// A longer token than this is refused unread, in bytes.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest that a request waits for keys.
const KEYS_WITHIN: Duration = Duration::from_secs(2);

/// The plugin.
pub struct Plugin {
    way: Arc<str>,
    policy: Policy,
    algs: Vec<Alg>,
    types: Vec<Typ>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
}

/// What an `Authorization` header comes to.
enum Verdict {
    /// There is no token.
    Nobody,
    /// There is one, and it is not this issuer's.
    Foreign,
    Known(Good),
    TwoHeaders,
    NoKeys,
    Refused(Fault),
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "jwt";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let policy = config.policy()?;
        let source = config.source()?;
        config.check_algs(&source)?;
        let times = config.times(&source)?;
        Ok(Self {
            way: way(env),
            policy,
            keys: source.keys(&config, times, env)?,
            algs: config.algs,
            types: config.typ,
            clock: Arc::clone(&env.clock),
        })
    }

    fn takes(&self) -> Option<Takes> {
        Some(Takes {
            form: Form::Bearer,
            of: self
                .policy
                .issuer
                .as_ref()
                .map(|issuer| format!("tokens of `{issuer}`")),
            sub_prefix: Some(self.policy.paths.sub_prefix().to_owned()),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        match self.judge(request) {
            // New keys may be out: a fetch decides, unless the last one is too fresh.
            Verdict::NoKeys | Verdict::Refused(Fault::UnknownKey) if self.keys.want() => Flow::Wait,
            verdict => answer(verdict, request),
        }
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            self.keys.fetched(KEYS_WITHIN).await;
            answer(self.judge(request), request)
        })
    }
}

impl Plugin {
    fn judge(&self, request: &Request<'_>) -> Verdict {
        let text = match bearer(request.head.headers) {
            Ok(Some(text)) => text,
            Ok(None) => return Verdict::Nobody,
            Err(TwoHeaders) => return Verdict::TwoHeaders,
        };
        let now = self.clock.unix();
        let keys = self.keys.current();
        let known = keys.as_ref().and_then(|keys| keys.recall(text, now));
        let good = match known {
            Some(good) => good,
            None => match self.verify(text, keys.as_deref(), now) {
                Ok(good) => good,
                Err(verdict) => return verdict,
            },
        };
        match is_bearers(&good.proof.claims, request.head.connection) {
            true => Verdict::Known(good),
            false => Verdict::Refused(Fault::Unbound),
        }
    }

    fn verify(&self, text: &str, keys: Option<&KeySet>, now: i64) -> Result<Good, Verdict> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Verdict::Refused(Fault::TooLong));
        }
        let token = Token::read(text).ok_or(Verdict::Foreign)?;
        // Before anything is believed: whose it is to judge, and nothing else, hangs on this.
        if token.issuer() != self.policy.issuer.as_deref() {
            return Err(Verdict::Foreign);
        }
        let keys = keys.ok_or(Verdict::NoKeys)?;
        let good = self.believe(token, keys, now).map_err(Verdict::Refused)?;
        keys.remember(text, good.clone());
        Ok(good)
    }

    fn believe(&self, token: Token<'_>, keys: &KeySet, now: i64) -> Result<Good, Fault> {
        let (alg, kid) = token.signed_with(&self.algs, &self.types)?;
        let candidates = keys.find(kid, alg);
        // The claims are looked at only once the signature holds.
        let claims = token.verify(alg, &candidates)?;
        let judged = self.policy.judge(&claims, now)?;
        let expires_at = judged.expires_at.unwrap_or(now);
        let proof = Proof {
            way: Arc::clone(&self.way),
            form: Form::Bearer,
            key: judged.who.sid.as_deref().map(Arc::from),
            issued_at: judged.issued_at,
            expires_at: judged.expires_at,
            claims,
        };
        Ok(Good {
            who: Arc::new(judged.who),
            proof: Arc::new(proof),
            until: expires_at.saturating_add(self.policy.leeway_s),
        })
    }
}

/// The name of the way that is being built, as a route says it: `user`, of `auth.user.jwt`.
pub(crate) fn way(env: &Env) -> Arc<str> {
    env.entry().into()
}

/// There are several `Authorization` headers: of two credentials none is chosen.
#[derive(Debug)]
pub(crate) struct TwoHeaders;

/// The token of the `Authorization` header, when the scheme is ours; another scheme is another
/// way's. A token in a query, a form or a cookie is none (RFC 9700 §4.3.2).
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, TwoHeaders> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(TwoHeaders);
    };
    let parts = value
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '));
    Ok(parts
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_start_matches(' ')))
}

/// Whether a text is a signed token of claims, whoever signed it.
pub(crate) fn is_signed_token(text: &str) -> bool {
    text.len() <= MAX_TOKEN_BYTES && Token::read(text).is_some()
}

fn answer(verdict: Verdict, request: &mut Request<'_>) -> Flow {
    let reply = match verdict {
        Verdict::Nobody => return Flow::Continue,
        Verdict::Foreign => {
            request.facts.unclaimed = true;
            return Flow::Continue;
        }
        Verdict::Known(good) => {
            request.facts.know(good.who, good.proof);
            return Flow::Continue;
        }
        Verdict::TwoHeaders => two_headers(),
        Verdict::NoKeys => Reply::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "auth_keys_unavailable",
            "Tokens can't be checked at the moment",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("5")),
        Verdict::Refused(fault) => refuse(fault, &request.facts.route),
    };
    Flow::Reply(Box::new(reply))
}

/// 400: which credential is meant is not clear.
pub(crate) fn two_headers() -> Reply {
    Reply::problem(
        StatusCode::BAD_REQUEST,
        "bad_request",
        "The request is not clear",
    )
    .detail("there is more than one Authorization header")
}

/// 401, and the log learns why.
pub(crate) fn refuse(fault: Fault, route: &str) -> Reply {
    tracing::debug!(route, %fault, "a token was refused");
    let reply = Reply::invalid_token();
    match fault {
        // The one thing that a client can mend by itself.
        Fault::Expired => reply.detail("the token has expired"),
        _ => reply,
    }
}

#[cfg(test)]
mod tests;
