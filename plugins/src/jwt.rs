//! Knows a caller by a signed access token (RFC 9068) in `Authorization: Bearer`.
//!
//! ```yaml
//! jwt:
//!   issuer: https://id.example.com
//!   audience: api
//!   jwks: https://id.example.com/.well-known/jwks.json # or $file:keys/jwks.json
//!   algs: [EdDSA, ES256]
//!   stale_keys: 1h # how long known keys are trusted while the issuer can't be reached
//! ```
//!
//! A request without a token goes on as nobody's: whether that will do is the route's to say. A
//! token that is not good is a 401. Keys that can't be had are our trouble and not the caller's:
//! a 503, so that no client throws a good token away.
//!
//! A token that was found good is remembered whole until it expires or the keys change, so that a
//! signature is checked once and not with each request.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use plugin_sdk::{
    BuildError, Clock, Env, Flow, Head, Later, Period, Principal, Reply, Request, Stage,
};
use schemars::JsonSchema;
use serde::Deserialize;

mod alg;
mod claims;
mod keys;
mod refresh;
mod token;

pub use alg::Alg;

use claims::Policy;
use keys::KeySet;
use refresh::Keys;
use token::{Fault, Token};

/// A longer token than this is refused unread, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest that a request waits for keys.
const KEYS_WITHIN: Duration = Duration::from_secs(2);

/// Clocks that differ by more are broken, and tokens would live that much longer.
const MAX_LEEWAY: Duration = Duration::from_secs(120);

/// Whose tokens are believed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The `iss` of the tokens, compared whole.
    pub issuer: String,
    /// Must be the `aud` of the tokens or one of them.
    pub audience: String,
    /// Where the issuer's public keys are: a URL, or `$file:` and a path.
    pub jwks: String,
    /// The algorithms that the issuer signs with. Those of a shared secret can't be named.
    #[schemars(length(min = 1))]
    pub algs: Vec<Alg>,
    /// How long known keys are trusted while the issuer can't be reached. Then 503.
    pub stale_keys: Period,
    /// Between two fetches of the keys. Default: `5m`.
    #[serde(default = "five_minutes")]
    pub refresh: Period,
    /// How much the issuer's clock may differ from ours; at most `2m`. Default: `30s`.
    #[serde(default = "thirty_seconds")]
    pub leeway: Period,
}

fn five_minutes() -> Period {
    Period(Duration::from_secs(300))
}

fn thirty_seconds() -> Period {
    Period(Duration::from_secs(30))
}

/// The plugin.
pub struct Plugin {
    policy: Policy,
    algs: Vec<Alg>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
}

/// What an `Authorization` header comes to.
enum Verdict {
    Nobody,
    Known(Arc<Principal>),
    TwoHeaders,
    NoKeys,
    Refused(Fault),
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "jwt";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        check(&config)?;
        Ok(Self {
            keys: keys(&config, env)?,
            policy: Policy {
                leeway_s: i64::try_from(config.leeway.0.as_secs()).unwrap_or(0),
                issuer: config.issuer,
                audience: config.audience,
            },
            algs: config.algs,
            clock: Arc::clone(&env.clock),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        match self.judge(&request.head) {
            // New keys may be out: a fetch decides, unless the last one is too fresh.
            Verdict::NoKeys | Verdict::Refused(Fault::UnknownKey) if self.keys.want() => Flow::Wait,
            verdict => answer(verdict, request),
        }
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            self.keys.fetched(KEYS_WITHIN).await;
            answer(self.judge(&request.head), request)
        })
    }
}

impl Plugin {
    fn judge(&self, head: &Head<'_>) -> Verdict {
        let mut values = head.headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next(), values.next()) else {
            return Verdict::TwoHeaders;
        };
        let Some(value) = value else {
            return Verdict::Nobody;
        };
        let Some(token) = value.to_str().ok().and_then(bearer) else {
            return Verdict::Nobody;
        };
        let Some(keys) = self.keys.current() else {
            return Verdict::NoKeys;
        };
        let now = self.clock.unix();
        if let Some(who) = keys.recall(token, now) {
            return Verdict::Known(who);
        }
        match self.verify(token, &keys, now) {
            Ok(who) => Verdict::Known(who),
            Err(fault) => Verdict::Refused(fault),
        }
    }

    fn verify(&self, text: &str, keys: &KeySet, now: i64) -> Result<Arc<Principal>, Fault> {
        let token = Token::parse(text, &self.algs)?;
        let key = keys
            .find(token.kid.as_deref(), token.alg)
            .ok_or(Fault::UnknownKey)?;
        // The claims are looked at only once the signature holds.
        let claims = token.verify(key)?;
        let (who, until) = self.policy.judge(&claims, now)?;
        let who = Arc::new(who);
        keys.remember(text, Arc::clone(&who), until);
        Ok(who)
    }
}

/// The token of a header value, when the scheme is ours; another scheme is another plugin's.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

fn answer(verdict: Verdict, request: &mut Request<'_>) -> Flow {
    let reply = match verdict {
        Verdict::Nobody => return Flow::Continue,
        Verdict::Known(who) => {
            request.facts.principal = Some(who);
            return Flow::Continue;
        }
        Verdict::TwoHeaders => Reply::problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "The request is not clear",
        )
        .detail("there is more than one Authorization header"),
        Verdict::NoKeys => Reply::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "auth_keys_unavailable",
            "Tokens can't be checked at the moment",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("5")),
        Verdict::Refused(fault) => {
            tracing::debug!(route = %request.facts.route, %fault, "a token was refused");
            match fault {
                // The one thing that a client can mend by itself.
                Fault::Expired => Reply::invalid_token().detail("the token has expired"),
                _ => Reply::invalid_token(),
            }
        }
    };
    Flow::Reply(Box::new(reply))
}

fn check(config: &Config) -> Result<(), BuildError> {
    for (at, text) in [("issuer", &config.issuer), ("audience", &config.audience)] {
        if text.is_empty() {
            return Err(BuildError::new(at, "must not be empty"));
        }
    }
    if config.algs.is_empty() {
        return Err(
            BuildError::new("algs", "the list is empty: no token would do")
                .hint("name what the issuer signs with, such as `[EdDSA]`"),
        );
    }
    if config.leeway.0 > MAX_LEEWAY {
        return Err(BuildError::new("leeway", "more than `2m`"));
    }
    if config.refresh.0 < Duration::from_secs(1) {
        return Err(BuildError::new("refresh", "less than `1s`"));
    }
    if config.stale_keys < config.refresh {
        return Err(BuildError::new(
            "stale_keys",
            format!(
                "shorter than the time between two fetches, {}",
                config.refresh
            ),
        )
        .hint("keys would go stale while all is well"));
    }
    Ok(())
}

fn keys(config: &Config, env: &Env) -> Result<Arc<Keys>, BuildError> {
    if let Some(path) = config.jwks.strip_prefix("$file:") {
        let path = env.path(path);
        let fault = |why: String| BuildError::new("jwks", format!("{}: {why}", path.display()));
        let document = std::fs::read(&path).map_err(|error| fault(error.to_string()))?;
        let set = KeySet::parse(document.into(), &config.algs)
            .map_err(|error| fault(error.to_string()))?;
        return Ok(Arc::new(Keys::fixed(set)));
    }
    if !config.jwks.starts_with("https://") && !config.jwks.starts_with("http://") {
        return Err(BuildError::new("jwks", "is neither a URL nor a file")
            .hint("write `https://…` or `$file:path`"));
    }
    // Remembered tokens belong to the keys: another configuration must not find them.
    let keys = env.keep(&format!("jwt {config:?}"), || Keys::remote(config, env));
    keys.start(env);
    Ok(keys)
}

#[cfg(test)]
mod tests;
