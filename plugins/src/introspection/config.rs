use std::num::NonZeroU16;
use std::time::Duration;

use http::Uri;
use plugin_sdk::{BuildError, OneOrMany, Period, Reference};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::memory::Times;
use crate::jwt::{Mapping, Policy, is_loopback};

/// An answer that is older is no answer.
const MAX_CACHE: Duration = Duration::from_secs(3_600);

/// Longer than that no token is taken unasked.
const MAX_STALE: Duration = Duration::from_secs(86_400);

/// Nothing that is asked elsewhere takes longer.
const MAX_WITHIN: Duration = Duration::from_secs(5);

/// How far the issuer's clock may differ from ours, in seconds.
const LEEWAY_S: i64 = 30;

/// Who is asked about tokens, and which answers will do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the issuer takes questions (RFC 7662 §2): `https`, or `http` on this very machine.
    pub endpoint: String,
    /// Who we are to the issuer.
    pub client_id: String,
    /// What proves that: `$file:path` or `$env:NAME`. Sent in `Authorization: Basic`.
    pub client_secret: Reference,
    /// The `iss` that answers must have. Default: it is not looked at.
    #[serde(default)]
    pub issuer: Option<String>,
    /// One of these must be the `aud` of an answer or among them. This or `clients` must be named.
    #[serde(default)]
    pub audience: Option<OneOrMany>,
    /// The clients whose tokens are taken: `client_id` or `azp`. Default: any of the issuer's.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Which tokens are asked about: `opaque`, those that are not signed, or `any`. Default:
    /// `opaque`.
    #[serde(default)]
    pub tokens: Tokens,
    /// What answers may say of the token's type. `absent` is for issuers that say nothing; then
    /// see to it that they call no refresh token active. Default: `[Bearer]`.
    #[serde(default = "bearer_only")]
    #[schemars(length(min = 1))]
    pub token_type: Vec<TokenType>,
    /// Where the answers say who somebody is and what they may.
    #[serde(default)]
    pub claims: Mapping,
    /// How long a good answer is remembered, and a token that was revoked is still taken; at most
    /// `1h`, and never beyond the token's end. Default: `30s`.
    #[serde(default = "thirty_seconds")]
    pub cache: Period,
    /// How long a bad answer is remembered; at most `1h`. Default: `10s`.
    #[serde(default = "ten_seconds")]
    pub negative_cache: Period,
    /// For how much longer a good answer holds while the issuer can't be asked; at most `1d`.
    /// Default: not at all, which is a 503.
    #[serde(default)]
    pub stale: Option<Period>,
    /// The longest that a request waits for an answer; at most `5s`. Default: `2s`.
    #[serde(default = "two_seconds")]
    pub within: Period,
    /// How many questions the issuer gets at once. More wait their turn, a thousand at most, and
    /// not longer than `within`. Default: 32.
    #[serde(default = "some")]
    pub max_in_flight: NonZeroU16,
}

/// Which tokens are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Those that are not signed: a signed one has an issuer, and is its way's to judge.
    #[default]
    Opaque,
    /// Whatever no way before took.
    Any,
}

/// What an answer says of a token's type (RFC 7662 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TokenType {
    /// Whoever bears it may use it.
    Bearer,
    /// Nothing.
    #[serde(rename = "absent")]
    Absent,
}

fn bearer_only() -> Vec<TokenType> {
    vec![TokenType::Bearer]
}

fn thirty_seconds() -> Period {
    Period(Duration::from_secs(30))
}

fn ten_seconds() -> Period {
    Period(Duration::from_secs(10))
}

fn two_seconds() -> Period {
    Period(Duration::from_secs(2))
}

fn some() -> NonZeroU16 {
    NonZeroU16::new(32).unwrap_or(NonZeroU16::MIN)
}

impl Config {
    /// What an answer must say.
    pub(super) fn policy(&self) -> Result<Policy, BuildError> {
        let audience = self
            .audience
            .as_ref()
            .map_or(&[][..], |audience| &audience.0);
        for (at, texts) in [
            ("issuer", self.issuer.as_slice()),
            ("audience", audience),
            ("clients", &self.clients),
            ("client_id", std::slice::from_ref(&self.client_id)),
        ] {
            if texts.iter().any(String::is_empty) {
                return Err(BuildError::new(at, "must not be empty"));
            }
        }
        if audience.is_empty() && self.clients.is_empty() {
            let message = "takes tokens that were issued for anything to anybody";
            return Err(BuildError::new("", message)
                .hint("add `audience: …`, or `clients: [..]` where the answers have no `aud`"));
        }
        if self.token_type.is_empty() {
            return Err(
                BuildError::new("token_type", "the list is empty: no token would do")
                    .hint("write `[Bearer]` or leave the key out"),
            );
        }
        let paths = self.claims.compile().map_err(|key| {
            BuildError::new(&format!("claims.{key}"), "is no path of names")
                .hint("write the claim's name, such as `realm_access.roles`")
        })?;
        Ok(Policy {
            issuer: self.issuer.clone(),
            audience: audience.to_vec(),
            clients: self.clients.clone(),
            leeway_s: LEEWAY_S,
            paths,
        })
    }

    /// How long answers hold.
    pub(super) fn times(&self) -> Result<Times, BuildError> {
        let stale = self.stale.unwrap_or(Period(Duration::ZERO));
        for (at, period, most) in [
            ("cache", self.cache, MAX_CACHE),
            ("negative_cache", self.negative_cache, MAX_CACHE),
            ("stale", stale, MAX_STALE),
            ("within", self.within, MAX_WITHIN),
        ] {
            if period.0 > most {
                let message = format!("more than `{}`", Period(most));
                return Err(BuildError::new(at, message));
            }
        }
        if self.within.0 < Duration::from_millis(50) {
            return Err(BuildError::new(
                "within",
                "less than `50ms`: no issuer is that quick",
            ));
        }
        Ok(Times {
            good: self.cache.0,
            bad: self.negative_cache.0,
            stale: stale.0,
            within: self.within.0,
        })
    }

    /// Where to ask: a place that nobody between can read our secret at.
    pub(super) fn address(&self) -> Result<Uri, BuildError> {
        let fault = |message: &str| BuildError::new("endpoint", message);
        let url = Url::parse(&self.endpoint).ok();
        let url = url.filter(|url| ["https", "http"].contains(&url.scheme()) && url.has_host());
        let (Some(url), Ok(uri)) = (url, self.endpoint.parse::<Uri>()) else {
            return Err(fault("is no URL").hint("write `https://…`"));
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(fault("has more than a host, a path and a query"));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(
                fault("is not `https`: the secret and all tokens would be readable")
                    .hint("write `https://…`"),
            );
        }
        Ok(uri)
    }
}
