//! Knows a program by its API key, which the upstream that issued it vouches for.
//!
//! ```yaml
//! api_key:
//!   upstream: users # answers `POST /internal/v1/api-keys/resolve`
//!   header: x-api-key # or `scheme: ApiKey`, for `Authorization: ApiKey gk_…`
//!   prefix: gk_live_
//!   cache: 30s # a key is asked about this often
//!   stale: 5m # a known one is believed for so long while the upstream is away
//! ```
//!
//! A key is `<prefix><id>_<secret><checksum>`, [`identity::ApiKey`]. What is mistyped or made up is
//! told by its checksum and costs nobody a question. The upstream is sent the id and the SHA-256 of
//! the key, never the key; many requests with one key are one question, and only so many questions
//! are under way at a time, and fewer for one client. That there is no such key is remembered for
//! some seconds; a client that brings many such keys is asked about no more for a while (429).
//!
//! A key that is not good is a 401, wherever it is used from a network that it is not meant for as
//! well. While the upstream is away known keys live on for `stale`; about others nobody knows
//! anything: a 503, so that no client throws a good key away. A text with another prefix is another
//! way's. Keys in the query or a cookie are not looked at.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use identity::ApiKey;
use plugin_sdk::{BuildError, Clock, Env, Flow, Head, Later, Period, Reply, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

mod known;
mod lookup;

use known::{Answer, Known};
use lookup::{Lookups, Seen};

/// A longer time would keep a demoted owner's keys alive for as long as that.
const MAX_CACHE: Duration = Duration::from_secs(300);

/// Revocations are remembered by the upstream for this long.
const MAX_STALE: Duration = Duration::from_secs(3600);

/// The longest that a request waits for an answer about a key that nothing is known of, and about
/// one that an older answer is there for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const NEWS_WITHIN: Duration = Duration::from_millis(250);

/// Where keys come in, and who knows them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The upstream that issued the keys.
    pub upstream: String,
    /// The header that they come in. Default: `x-api-key`.
    #[serde(default)]
    pub header: Option<String>,
    /// In place of a header of their own: the scheme under which they come in `Authorization`.
    #[serde(default)]
    pub scheme: Option<String>,
    /// What the keys begin with. Default: `gk_`.
    #[serde(default = "gk")]
    #[schemars(length(min = 1))]
    pub prefix: String,
    /// How long an answer is good: a change of a key is felt within this time, at most `5m`.
    /// Default: `30s`.
    #[serde(default = "thirty_seconds")]
    pub cache: Period,
    /// How long an answer is good while the upstream is away; from `cache` to `1h`. Default: `5m`.
    #[serde(default = "five_minutes")]
    pub stale: Period,
}

fn gk() -> String {
    "gk_".to_owned()
}

fn thirty_seconds() -> Period {
    Period(Duration::from_secs(30))
}

fn five_minutes() -> Period {
    Period(Duration::from_secs(300))
}

/// The plugin.
pub struct Plugin {
    place: Place,
    prefix: String,
    lookups: Arc<Lookups>,
    clock: Arc<dyn Clock>,
}

/// Where keys come in.
enum Place {
    Header(HeaderName),
    Scheme(String),
}

/// What the place holds.
enum Found<'a> {
    Nothing,
    /// A credential of another way's.
    Other,
    /// More than one, or no text.
    Unclear,
    Key(&'a str),
}

/// What a key comes to.
enum Verdict {
    Nobody,
    Unclaimed,
    Unclear,
    Refused(Fault),
    Known(Arc<Known>),
    /// The upstream is to be asked.
    Ask(Question),
    Unavailable,
    /// This client has brought too many keys that were nobody's.
    Guessing,
}

/// A key to be asked about: its id and hash, nothing secret.
pub(crate) struct Question {
    id: String,
    hash: [u8; 32],
}

/// Why a key is not believed. The log tells; the caller learns no more than that it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("mistyped, cut short or made up")]
    Malformed,
    #[error("nobody's, or no longer")]
    Unknown,
    #[error("expired")]
    Expired,
    #[error("used from a network that it is not meant for")]
    Network,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "api_key";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let place = place(&config)?;
        check(&config)?;
        // Answers belong to who gave them: another configuration must not find them.
        let lookups = env.keep(&format!("api_key {} {config:?}", env.name()), || {
            Lookups::new(&config, env)
        });
        Ok(Self {
            place,
            prefix: config.prefix,
            lookups,
            clock: Arc::clone(&env.clock),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        match self.judge(&request.head) {
            Verdict::Ask(_) => Flow::Wait,
            verdict => answer(verdict, request),
        }
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            let verdict = match self.judge(&request.head) {
                Verdict::Ask(question) => self.asked(question, request.head.client).await,
                verdict => verdict,
            };
            answer(verdict, request)
        })
    }

    fn credentials(&self) -> Vec<HeaderName> {
        match &self.place {
            Place::Header(name) => vec![name.clone()],
            Place::Scheme(_) => Vec::new(),
        }
    }
}

impl Plugin {
    /// Judges from memory.
    fn judge(&self, head: &Head<'_>) -> Verdict {
        let text = match self.place.find(head) {
            Found::Nothing => return Verdict::Nobody,
            Found::Other => return Verdict::Unclaimed,
            Found::Unclear => return Verdict::Unclear,
            Found::Key(text) if !text.starts_with(&self.prefix) => return Verdict::Unclaimed,
            Found::Key(text) => text,
        };
        let Some(key) = ApiKey::parse(text, &self.prefix) else {
            return Verdict::Refused(Fault::Malformed);
        };
        let hash = key.hash();
        match self.lookups.remembered(&hash) {
            Seen::Good(known) => self.admit(known, head.client),
            Seen::Bad => Verdict::Refused(Fault::Unknown),
            Seen::Not => Verdict::Ask(Question {
                id: key.id.to_owned(),
                hash,
            }),
        }
    }

    async fn asked(&self, question: Question, client: IpAddr) -> Verdict {
        match self.lookups.ask(question, client).await {
            Answer::Good(known) => self.admit(known, client),
            Answer::Bad => Verdict::Refused(Fault::Unknown),
            Answer::Guessing => Verdict::Guessing,
            Answer::None => Verdict::Unavailable,
        }
    }

    /// Holds a known key against the clock and the client's address, which are other ones with
    /// each request.
    fn admit(&self, known: Arc<Known>, client: IpAddr) -> Verdict {
        if known.expired(self.clock.unix()) {
            return Verdict::Refused(Fault::Expired);
        }
        if !known.good_from(client) {
            return Verdict::Refused(Fault::Network);
        }
        Verdict::Known(known)
    }
}

impl Place {
    fn find<'a>(&self, head: &Head<'a>) -> Found<'a> {
        let name = match self {
            Self::Header(name) => name,
            Self::Scheme(_) => &AUTHORIZATION,
        };
        let mut values = head.headers.get_all(name).iter();
        let Some(value) = values.next() else {
            return Found::Nothing;
        };
        let (Ok(text), None) = (value.to_str(), values.next()) else {
            return Found::Unclear;
        };
        match self {
            Self::Header(_) => Found::Key(text),
            Self::Scheme(scheme) => match text.split_once(' ') {
                Some((said, key)) if said.eq_ignore_ascii_case(scheme) => {
                    Found::Key(key.trim_start_matches(' '))
                }
                _ => Found::Other,
            },
        }
    }
}

fn answer(verdict: Verdict, request: &mut Request<'_>) -> Flow {
    let reply = match verdict {
        Verdict::Nobody => return Flow::Continue,
        Verdict::Unclaimed => {
            request.facts.unclaimed = true;
            return Flow::Continue;
        }
        Verdict::Known(known) => {
            request.facts.know(known.who.clone(), known.proof.clone());
            return Flow::Continue;
        }
        Verdict::Unclear => Reply::problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "The request is not clear",
        )
        .detail("there is more than one API key, or one that is no text"),
        Verdict::Refused(fault) => {
            tracing::debug!(route = %request.facts.route, %fault, "an API key was refused");
            let reply = Reply::problem(
                StatusCode::UNAUTHORIZED,
                "invalid_api_key",
                "The API key is not valid",
            )
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
            match fault {
                // What tells nothing about other keys, and can be mended.
                Fault::Malformed | Fault::Expired => reply.detail(fault.to_string()),
                Fault::Unknown | Fault::Network => reply,
            }
        }
        Verdict::Guessing => Reply::problem(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many API keys that are not valid",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("10")),
        Verdict::Ask(_) | Verdict::Unavailable => Reply::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "auth_unavailable",
            "API keys can't be checked at the moment",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("2")),
    };
    Flow::Reply(Box::new(reply))
}

fn place(config: &Config) -> Result<Place, BuildError> {
    match (&config.header, &config.scheme) {
        (Some(_), Some(_)) => Err(BuildError::new("scheme", "goes without `header`")
            .hint("keys come in one place, so that nobody sends two")),
        (None, Some(scheme)) => {
            let is_token = HeaderName::from_bytes(scheme.as_bytes()).is_ok();
            is_token
                .then(|| Place::Scheme(scheme.clone()))
                .ok_or_else(|| BuildError::new("scheme", "is no scheme of `Authorization`"))
        }
        (header, None) => {
            let name = header.as_deref().unwrap_or("x-api-key");
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| BuildError::new("header", "is no name of a header"))?;
            if name == AUTHORIZATION {
                return Err(
                    BuildError::new("header", "holds a scheme and its credentials")
                        .hint("write `scheme: ApiKey` in place of it"),
                );
            }
            Ok(Place::Header(name))
        }
    }
}

fn check(config: &Config) -> Result<(), BuildError> {
    if config.upstream.is_empty() {
        return Err(BuildError::new("upstream", "must not be empty"));
    }
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !config.prefix.ends_with('_') || !config.prefix.bytes().all(is_good) {
        return Err(BuildError::new("prefix", "is no prefix of a key")
            .hint("letters, digits and `_`, and a `_` at its end: `gk_`"));
    }
    if config.cache.0 < Duration::from_secs(1) || config.cache.0 > MAX_CACHE {
        return Err(BuildError::new("cache", "is not between `1s` and `5m`"));
    }
    if config.stale < config.cache || config.stale.0 > MAX_STALE {
        return Err(BuildError::new("stale", "is not between `cache` and `1h`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
