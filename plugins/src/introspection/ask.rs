use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode, Uri};
use plugin_sdk::{BuildError, Env, FetchError, Form, Proof, parse_json};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::form_urlencoded;

use super::config::{Config, TokenType};
use super::memory::Outcome;
use crate::jwt::{self, Claims, Fault, Good, Policy};

/// A longer answer than this is none, in bytes.
const MAX_ANSWER_BYTES: usize = 32 * 1024;

/// Answers nest no deeper than this.
const MAX_DEPTH: usize = 8;

/// Who is asked, as whom, and what the answer must be.
pub(super) struct Endpoint {
    uri: Uri,
    authorization: HeaderValue,
    policy: Policy,
    token_types: Vec<TokenType>,
    way: Arc<str>,
    /// How many questions may be under way.
    slots: Semaphore,
    /// Whether the last question came to nothing: told once, not with each request.
    away: AtomicBool,
    env: Env,
}

/// Why the issuer has not said what a token stands for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer was {0}")]
    Status(StatusCode),
    #[error("the answer was {0}: it does not take our `client_id` and `client_secret`")]
    Credentials(StatusCode),
    #[error("the answer is none (RFC 7662 §2.2)")]
    Malformed,
    #[error("there was no answer in time")]
    Late,
}

impl Endpoint {
    pub(super) fn new(config: &Config, policy: Policy, env: &Env) -> Result<Self, BuildError> {
        let uri = config.address()?;
        let secret = config
            .client_secret
            .read(env)
            .map_err(|error| BuildError::new("client_secret", error.to_string()))?;
        let secret = secret.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(BuildError::new("client_secret", "is empty"));
        }
        Ok(Self {
            uri,
            authorization: basic(&config.client_id, secret),
            policy,
            token_types: config.token_type.clone(),
            way: jwt::way(env),
            slots: Semaphore::new(usize::from(config.max_in_flight.get())),
            away: AtomicBool::new(false),
            env: env.clone(),
        })
    }

    /// Asks what a token stands for.
    pub(super) async fn ask(&self, token: &str) -> Result<Outcome, AskError> {
        // Never closed; were it, nothing could be asked.
        let _slot = self.slots.acquire().await.map_err(|_| AskError::Late)?;
        self.env.count("introspection_asked");
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let mut request = Request::post(self.uri.clone())
            .header(AUTHORIZATION, &self.authorization)
            .header(ACCEPT, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| FetchError(error.to_string()))?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        let answer = self.env.fetch.send(request, MAX_ANSWER_BYTES).await?;
        match answer.status() {
            StatusCode::OK => self.judge(answer.body()),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(AskError::Credentials(status))
            }
            status => Err(AskError::Status(status)),
        }
    }

    /// Takes down what came of a question; `None` when no answer came in time.
    pub(super) fn take_down(&self, asked: Option<Result<Outcome, AskError>>) -> Outcome {
        match asked.unwrap_or(Err(AskError::Late)) {
            Ok(outcome) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(way = %self.way, "the issuer answers again about tokens");
                }
                outcome
            }
            Err(error) => {
                self.env.count("introspection_failed");
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(way = %self.way, %error, "the issuer can't be asked about tokens");
                }
                Outcome::Away
            }
        }
    }

    fn judge(&self, body: &[u8]) -> Result<Outcome, AskError> {
        let Ok(Value::Object(claims)) = parse_json(body, MAX_DEPTH) else {
            return Err(AskError::Malformed);
        };
        Ok(match claims.get("active").and_then(Value::as_bool) {
            None => return Err(AskError::Malformed),
            Some(false) => Outcome::Bad(Fault::Inactive),
            Some(true) => match self.believe(claims) {
                Ok(good) => Outcome::Good(good),
                Err(fault) => Outcome::Bad(fault),
            },
        })
    }

    fn believe(&self, claims: Claims) -> Result<Good, Fault> {
        let said = claims.get("token_type");
        let known = self.token_types.iter().any(|known| match known {
            TokenType::Bearer => said
                .and_then(Value::as_str)
                .is_some_and(|said| said.eq_ignore_ascii_case("bearer")),
            TokenType::Absent => said.is_none_or(Value::is_null),
        });
        if !known {
            return Err(Fault::Purpose);
        }
        let judged = self.policy.judge_answer(&claims, self.env.clock.unix())?;
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
            until: judged.expires_at.unwrap_or(i64::MAX),
        })
    }
}

/// The credentials of a client (RFC 6749 §2.3.1): encoded as in a form, and then as Basic.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {pair}"))
        .expect("base64 is ASCII without control characters");
    value.set_sensitive(true);
    value
}
