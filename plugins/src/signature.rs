//! Knows a caller by a signature of the request (RFC 9421), as partners' servers make it: with a
//! shared secret (`hmac-sha256`) or a key of their own (`ed25519`).
//!
//! ```yaml
//! signature:
//!   keys: $file:partners.json # keyid to key and caller; an edit of the file is taken at once
//!   cover: ["@method", "@authority", "@path", "@query", "content-digest"]
//!   max_age: 5m # from `created`
//! ```
//!
//! The file of keys:
//!
//! ```json
//! { "acme-2026": { "alg": "hmac-sha256", "secret": "<base64, 32 bytes at least>",
//!                  "sub": "acme", "roles": [], "scopes": ["transfers:read"] },
//!   "beta-1": { "alg": "ed25519", "public_key": "<base64>", "sub": "beta" } }
//! ```
//!
//! A request carries one signature, over all of `cover`, with `created` and `keyid`. What could be
//! read in two ways is refused: two signatures, fields that are not in canonical form (RFC 8941 §4.1),
//! a component named twice. A body is signed by its `Content-Digest` (RFC 9530), which is held
//! against the very bytes that the upstream gets; it is at most 64 KiB long. `@path` is the canonical
//! path, the one that is routed.
//!
//! No signature is taken twice by one gateway: what was taken is remembered until it is too old to
//! be taken at all. Put a `nonce` in when the same request may be sent twice within a second.
//! Gateways don't tell each other: who has broken TLS could bring a request to each of them once.
//!
//! A request without a signature goes on as nobody's, and so does one by a key that is not in the
//! file. A signature that does not hold is a 401; too many at a time to remember are a 503.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use plugin_sdk::{
    BodyError, BuildError, Clock, Env, Flow, Form, Head, Later, Period, Proof, Reply, Request,
    Stage,
};
use schemars::JsonSchema;
use serde::Deserialize;

mod base;
mod digest;
mod input;
mod keys;
mod replay;

use input::Input;
use keys::{Keys, Known};
use replay::{Moment, Replays, Taken, Terms};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// The longest body that can be signed: what the transport can hand on after it was read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The longest that a signature may be good, and so be remembered.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Clocks that differ by more are broken.
const MAX_SKEW: Duration = Duration::from_secs(120);

/// What every signature covers: who leaves one of them out leaves it to whoever is on the way.
const ALWAYS: [&str; 4] = ["@method", "@path", "@query", digest::NAME];

/// Whose signatures are believed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The keys: `$file:` and the path of a JSON file of `keyid` to key and caller.
    pub keys: String,
    /// What a signature must cover: derived components (`@method`) and headers. `content-digest`
    /// goes for requests with a body. Default: as in the example.
    #[serde(default = "everything")]
    #[schemars(length(min = 1))]
    pub cover: Vec<String>,
    /// How long a signature is good from its `created` on; at most `1h`. Default: `5m`.
    #[serde(default = "five_minutes")]
    pub max_age: Period,
    /// How much the signer's clock may differ from ours; at most `2m`. Default: `30s`.
    #[serde(default = "thirty_seconds")]
    pub skew: Period,
    /// How many signatures are remembered while they are good. Default: 100000.
    #[serde(default = "hundred_thousand")]
    pub remembered: std::num::NonZeroUsize,
}

fn everything() -> Vec<String> {
    let cover = ["@method", "@authority", "@path", "@query", digest::NAME];
    cover.map(String::from).to_vec()
}

fn five_minutes() -> Period {
    Period(Duration::from_secs(300))
}

fn thirty_seconds() -> Period {
    Period(Duration::from_secs(30))
}

fn hundred_thousand() -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::new(100_000).expect("it is more than nothing")
}

/// The plugin.
pub struct Plugin {
    way: Arc<str>,
    keys: Keys,
    cover: Vec<String>,
    /// What we would take (RFC 9421 §5.1).
    wanted: HeaderValue,
    max_age_s: i64,
    skew_s: i64,
    replays: Arc<Replays>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    env: Env,
}

/// Why a signature is not believed. The caller is told, since none of it helps to forge one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("there is more than one {0} header, or one that is not text")]
    Header(&'static str),
    #[error("the fields are not those of one signature, in canonical form")]
    Form,
    #[error("a component is covered twice, or with parameters, or there are too many")]
    Components,
    #[error("`{0}` is not covered")]
    Uncovered(String),
    #[error("the covered component `{0}` is not there, or can't be covered")]
    Absent(String),
    #[error("`created` and `keyid` must be there, in their form")]
    Parameters,
    #[error("`alg` is not the key's algorithm")]
    Algorithm,
    #[error("created too long ago, or expired")]
    Old,
    #[error("created in the future")]
    Early,
    #[error("the signature does not hold")]
    Broken,
    #[error("the body is not that of its Content-Digest, or has none")]
    Digest,
    #[error("this signature was taken before")]
    Replayed,
}

/// A signature that holds. The body has not been looked at.
struct Held<'a> {
    known: &'a Known,
    created: i64,
    until: i64,
    /// The `Content-Digest`, if it is covered.
    digest: Option<&'a str>,
    /// What tells this signature from all others.
    once: replay::Id,
}

enum Verdict<'a> {
    Nobody,
    Unclaimed,
    Held(Held<'a>),
    Refused(Fault),
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "signature";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        check(&config)?;
        let keys = Keys::read(&config.keys, env)?;
        let seconds = |period: Period| i64::try_from(period.0.as_secs()).unwrap_or(0);
        let names: Vec<String> = config
            .cover
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        let wanted = format!("sig=({});created;keyid", names.join(" "));
        let (max_age_s, skew_s) = (seconds(config.max_age), seconds(config.skew));
        let terms = Terms {
            good_for_s: max_age_s.saturating_add(skew_s),
            window: config.max_age.0 + 2 * config.skew.0 + Duration::from_secs(2),
            most: config.remembered.get(),
        };
        Ok(Self {
            way: env.entry().into(),
            keys,
            wanted: HeaderValue::from_str(&wanted)
                .map_err(|_| BuildError::new("cover", "a name is not ASCII"))?,
            cover: config.cover,
            max_age_s,
            skew_s,
            // Outlives a reload, whatever was edited: else old signatures would be let in again.
            replays: env.keep(&format!("signatures of {}", env.name()), Replays::default),
            terms,
            clock: Arc::clone(&env.clock),
            env: env.clone(),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        match self.judge(&request.head) {
            Verdict::Held(_) if request.has_body() => Flow::Wait,
            Verdict::Held(held) => self.take(held, &Bytes::new(), request),
            verdict => self.refuse(verdict, request),
        }
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            let body = match request.body(MAX_BODY_BYTES).await {
                Ok(body) => body,
                Err(error) => return unread(error),
            };
            let head = request.head;
            match self.judge(&head) {
                Verdict::Held(held) => self.take(held, &body, request),
                verdict => self.refuse(verdict, request),
            }
        })
    }

    fn credentials(&self) -> Vec<HeaderName> {
        vec![SIGNATURE, SIGNATURE_INPUT]
    }
}

impl Plugin {
    fn judge<'a>(&'a self, head: &Head<'a>) -> Verdict<'a> {
        if !head.headers.contains_key(SIGNATURE) && !head.headers.contains_key(SIGNATURE_INPUT) {
            return Verdict::Nobody;
        }
        let input = match Input::read(head) {
            Ok(input) => input,
            Err(fault) => return Verdict::Refused(fault),
        };
        let Some(known) = self.keys.find(&input.key_id) else {
            return Verdict::Unclaimed;
        };
        match self.hold(head, &input, known) {
            Ok(held) => Verdict::Held(held),
            Err(fault) => Verdict::Refused(fault),
        }
    }

    fn hold<'a>(
        &'a self,
        head: &Head<'a>,
        input: &Input<'_>,
        known: &'a Known,
    ) -> Result<Held<'a>, Fault> {
        if input.alg.as_deref().is_some_and(|alg| alg != known.alg()) {
            return Err(Fault::Algorithm);
        }
        let covers = |name: &str| input.components.iter().any(|covered| covered == name);
        let asked = self.cover.iter().filter(|name| *name != digest::NAME);
        if let Some(missing) = asked.into_iter().find(|name| !covers(name)) {
            return Err(Fault::Uncovered(missing.clone()));
        }
        let now = self.clock.unix();
        let until = input.created.saturating_add(self.max_age_s);
        let until = input.expires.map_or(until, |expires| expires.min(until));
        if now > until.saturating_add(self.skew_s) {
            return Err(Fault::Old);
        }
        if input.created > now.saturating_add(self.skew_s) {
            return Err(Fault::Early);
        }
        let base = base::write(head, input)?;
        if !known.verify(base.as_bytes(), &input.signature) {
            return Err(Fault::Broken);
        }
        let digest = covers(digest::NAME)
            .then(|| {
                head.single(&HeaderName::from_static(digest::NAME))
                    .ok_or(Fault::Digest)
            })
            .transpose()?;
        Ok(Held {
            known,
            created: input.created,
            until,
            digest,
            once: replay::id(&input.key_id, input.nonce.as_deref(), &input.signature),
        })
    }

    /// Lets the caller in, when the body is the signed one and all of it is new.
    fn take(&self, held: Held<'_>, body: &Bytes, request: &mut Request<'_>) -> Flow {
        let whole = match held.digest {
            Some(said) => digest::fits(said, body),
            None => body.is_empty(),
        };
        if !whole {
            return self.refuse(Verdict::Refused(Fault::Digest), request);
        }
        let now = Moment {
            unix: self.clock.unix(),
            monotonic: self.clock.monotonic(),
        };
        let taken = self.replays.take(held.once, held.created, now, self.terms);
        match taken {
            Taken::First => {}
            Taken::Forgotten => return self.refuse(Verdict::Refused(Fault::Old), request),
            Taken::Again => return self.refuse(Verdict::Refused(Fault::Replayed), request),
            Taken::Full => {
                self.env.count("signatures_full");
                return Flow::Reply(Box::new(full()));
            }
        }
        let proof = Proof {
            way: self.way.clone(),
            form: Form::Signature,
            key: Some(held.known.id.clone()),
            issued_at: held.created,
            expires_at: Some(held.until),
            claims: serde_json::Map::new(),
        };
        request.facts.know(held.known.who.clone(), Arc::new(proof));
        Flow::Continue
    }

    fn refuse(&self, verdict: Verdict<'_>, request: &mut Request<'_>) -> Flow {
        match verdict {
            Verdict::Refused(fault) => {
                tracing::debug!(route = %request.facts.route, %fault, "a signature was refused");
                let reply = Reply::problem(
                    StatusCode::UNAUTHORIZED,
                    "invalid_signature",
                    "The signature is not valid",
                );
                let reply = reply
                    .detail(fault.to_string())
                    .header(WWW_AUTHENTICATE, HeaderValue::from_static("Signature"));
                let wanted = HeaderName::from_static("accept-signature");
                Flow::Reply(Box::new(reply.header(wanted, self.wanted.clone())))
            }
            Verdict::Unclaimed => {
                request.facts.unclaimed = true;
                Flow::Continue
            }
            Verdict::Nobody | Verdict::Held(_) => Flow::Continue,
        }
    }
}

fn full() -> Reply {
    Reply::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Too many signed requests at the moment",
    )
    .header(RETRY_AFTER, HeaderValue::from_static("5"))
}

fn unread(error: BodyError) -> Flow {
    let reply = match error {
        BodyError::TooLong { limit } => Reply::problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body is too large",
        )
        .detail(format!("a signed body has at most {limit} bytes")),
        BodyError::Incomplete => Reply::problem(
            StatusCode::BAD_REQUEST,
            "bad_body",
            "The body did not arrive",
        ),
    };
    Flow::Reply(Box::new(reply))
}

fn check(config: &Config) -> Result<(), BuildError> {
    for (index, name) in config.cover.iter().enumerate() {
        if !base::can_cover(name) {
            let at = format!("cover.{index}");
            return Err(
                BuildError::new(&at, format!("`{name}` can't be covered")).hint(format!(
                    "headers in lower case, and {}",
                    base::DERIVED.join(", ")
                )),
            );
        }
    }
    if let Some(missing) = ALWAYS
        .iter()
        .find(|name| !config.cover.iter().any(|it| it == *name))
    {
        return Err(BuildError::new("cover", format!("leaves `{missing}` out"))
            .hint("whoever is on the way could change it"));
    }
    if config.max_age.0 < Duration::from_secs(1) || config.max_age.0 > MAX_AGE {
        return Err(BuildError::new("max_age", "is not between `1s` and `1h`"));
    }
    if config.skew.0 > MAX_SKEW {
        return Err(BuildError::new("skew", "more than `2m`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
