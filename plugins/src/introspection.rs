//! Knows a caller by a token that only its issuer can read: asks the issuer what it stands for
//! (RFC 7662), and remembers the answer for a while.
//!
//! ```yaml
//! introspection:
//!   endpoint: https://id.example.com/introspect
//!   client_id: gateway
//!   client_secret: $file:example.secret
//!   audience: api
//!   cache: 30s # so long a token that was revoked is still taken
//!   stale: 5m # so much longer while the issuer can't be reached; without it, 503
//! ```
//!
//! Beside a `jwt` on one route each takes its own: signed tokens are that issuer's, all others are
//! asked about here. With `tokens: any` signed ones are asked about too, whatever no way before
//! took; such a way stands last.
//!
//! A token that is not active, or not for us, is a 401. An issuer that can't be asked, is slow or
//! talks nonsense is our trouble and not the caller's: a 503 within `within`.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use plugin_sdk::{BuildError, Env, Flow, Form, Later, Reply, Request, Stage, Takes};

use crate::jwt::{self, Fault, MAX_TOKEN_BYTES};

mod ask;
mod config;
mod memory;

pub use config::{Config, TokenType, Tokens};

use ask::Endpoint;
use memory::{Boarding, Digest, Memory, Outcome, Recalled};

/// The plugin.
pub struct Plugin {
    tokens: Tokens,
    sub_prefix: String,
    within: Duration,
    endpoint: Arc<Endpoint>,
    memory: Arc<Memory>,
    env: Env,
}

/// What the head of a request comes to.
enum Glance<'a> {
    Nobody,
    /// There is a token, and it is another way's.
    Foreign,
    TwoHeaders,
    Malformed,
    Remembered(Outcome),
    /// The issuer is to be asked.
    Unknown(Digest, &'a str),
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "introspection";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let policy = config.policy()?;
        let times = config.times()?;
        // What is remembered says by which way it came, and holds for this configuration only.
        let name = format!("introspection {} {config:?}", env.name());
        Ok(Self {
            tokens: config.tokens,
            sub_prefix: policy.paths.sub_prefix().to_owned(),
            within: times.within,
            memory: env.keep(&name, || Memory::new(times)),
            endpoint: Arc::new(Endpoint::new(&config, policy, env)?),
            env: env.clone(),
        })
    }

    fn takes(&self) -> Option<Takes> {
        Some(Takes {
            form: Form::Bearer,
            of: match self.tokens {
                Tokens::Opaque => Some("opaque tokens".to_owned()),
                Tokens::Any => None,
            },
            sub_prefix: Some(self.sub_prefix.clone()),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let outcome = match self.glance(request) {
            Glance::Unknown(..) => return Flow::Wait,
            Glance::Remembered(outcome) => outcome,
            Glance::Malformed => Outcome::Bad(Fault::Opaque),
            Glance::TwoHeaders => return Flow::Reply(Box::new(jwt::two_headers())),
            Glance::Nobody => return Flow::Continue,
            Glance::Foreign => {
                request.facts.unclaimed = true;
                return Flow::Continue;
            }
        };
        answer(outcome, request)
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            let outcome = match self.glance(request) {
                Glance::Unknown(digest, token) => self.ask(digest, token).await,
                Glance::Remembered(outcome) => outcome,
                // The head is the same as a moment ago.
                _ => Outcome::Away,
            };
            answer(outcome, request)
        })
    }
}

impl Plugin {
    fn glance<'a>(&self, request: &Request<'a>) -> Glance<'a> {
        let token = match jwt::bearer(request.head.headers) {
            Ok(Some(token)) => token,
            Ok(None) => return Glance::Nobody,
            Err(jwt::TwoHeaders) => return Glance::TwoHeaders,
        };
        let clock = &self.env.clock;
        let digest = memory::digest(token);
        match self.memory.recall(&digest, clock.unix(), clock.monotonic()) {
            Recalled::Fresh(outcome) => Glance::Remembered(outcome),
            _ if !is_token(token) => Glance::Malformed,
            _ if self.tokens == Tokens::Opaque && jwt::is_signed_token(token) => Glance::Foreign,
            _ => Glance::Unknown(digest, token),
        }
    }

    /// Asks the issuer, or waits for somebody who already asks about the same token.
    async fn ask(&self, digest: Digest, token: &str) -> Outcome {
        let mut landing = match self.memory.board(digest) {
            Boarding::Joined(landing) => landing,
            Boarding::First(flight) => {
                let landing = flight.landing();
                let (endpoint, token) = (Arc::clone(&self.endpoint), token.to_owned());
                let (clock, within) = (Arc::clone(&self.env.clock), self.within);
                // Beside the request: when this client goes away, the others still get to know.
                self.env.spawn(async move {
                    let asked = tokio::time::timeout(within, endpoint.ask(&token)).await;
                    let outcome = endpoint.take_down(asked.ok());
                    flight.land(outcome, clock.monotonic());
                });
                landing
            }
            Boarding::Full => {
                self.env.count("introspection_crowded");
                return self.stale(&digest);
            }
        };
        let landed = tokio::time::timeout(self.within, landing.wait_for(Option::is_some)).await;
        match landed {
            Ok(Ok(outcome)) => match &*outcome {
                None | Some(Outcome::Away) => self.stale(&digest),
                Some(outcome) => outcome.clone(),
            },
            _ => self.stale(&digest),
        }
    }

    /// What was known of a token before its issuer could no longer be asked.
    fn stale(&self, digest: &Digest) -> Outcome {
        let clock = &self.env.clock;
        match self.memory.recall(digest, clock.unix(), clock.monotonic()) {
            Recalled::Fresh(outcome) => outcome,
            Recalled::Stale(outcome) => {
                self.env.count("introspection_stale");
                outcome
            }
            Recalled::Nothing => Outcome::Away,
        }
    }
}

/// Whether a text may be a token at all (RFC 6750 §2.1): what is none is not asked about.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && text.len() <= MAX_TOKEN_BYTES && body.bytes().all(legal)
}

fn answer(outcome: Outcome, request: &mut Request<'_>) -> Flow {
    let reply = match outcome {
        Outcome::Good(good) => {
            if jwt::is_bearers(&good.proof.claims, request.head.connection) {
                request.facts.know(good.who, good.proof);
                return Flow::Continue;
            }
            jwt::refuse(Fault::Unbound, &request.facts.route)
        }
        Outcome::Bad(fault) => jwt::refuse(fault, &request.facts.route),
        Outcome::Away => Reply::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "auth_unavailable",
            "Tokens can't be checked at the moment",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("5")),
    };
    Flow::Reply(Box::new(reply))
}

#[cfg(test)]
mod tests;
