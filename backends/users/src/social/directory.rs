//! What a provider says of itself (OpenID Connect Discovery), and its keys: remembered, and asked for
//! again when they are old or a key is new to us.

use std::sync::Arc;

use axum::http::StatusCode;
use jsonwebtoken::{DecodingKey, jwk::Jwk};
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;
use url::Url;

use super::http::{Away, Http, endpoint};

/// Asked for again after this time.
const FRESH: Duration = Duration::HOUR;
/// Good for so long when the provider can't be asked.
const STALE: Duration = Duration::DAY;
/// Tokens with keys that nobody knows make us ask no more often than this.
const KEYS_APART: Duration = Duration::seconds(30);
/// After a failure nobody asks for so long: who comes meanwhile is told at once.
const PAUSE: Duration = Duration::seconds(5);

/// What is known of one provider.
pub(super) struct Directory {
    issuer: String,
    at: Url,
    http: Http,
    // Held while it asks, so that a crowd asks once.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    described: Option<(OffsetDateTime, Arc<Description>)>,
    keys: Option<(OffsetDateTime, Vec<Jwk>)>,
    failed_at: Option<OffsetDateTime>,
}

/// Where a provider does what.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) revocation: Option<Url>,
    /// It says who it is when it sends a browser back (RFC 9207).
    pub(super) tells_issuer: bool,
    jwks: Url,
}

#[derive(Deserialize)]
struct Written {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct WrittenKeys {
    keys: Vec<Value>,
}

impl Directory {
    pub(super) fn new(issuer: &str, http: Http) -> anyhow::Result<Self> {
        let base = endpoint(issuer)?;
        let at = format!(
            "{}/.well-known/openid-configuration",
            base.as_str().trim_end_matches('/')
        );
        Ok(Self {
            issuer: issuer.to_owned(),
            at: endpoint(&at)?,
            http,
            state: Mutex::default(),
        })
    }

    pub(super) async fn description(&self, now: OffsetDateTime) -> Result<Arc<Description>, Away> {
        let mut state = self.state.lock().await;
        self.described(&mut state, now).await
    }

    /// The key of that name, or none when the provider has no such key.
    pub(super) async fn key(
        &self,
        kid: &str,
        now: OffsetDateTime,
    ) -> Result<Option<DecodingKey>, Away> {
        let mut state = self.state.lock().await;
        let known = state.find(kid);
        let asked_at = state.keys.as_ref().map(|(at, _)| *at);
        let due = match (&known, asked_at) {
            (_, None) => true,
            (Some(_), Some(at)) => now - at >= FRESH,
            (None, Some(at)) => now - at >= KEYS_APART,
        };
        if !due {
            return Ok(known);
        }
        match self.ask_keys(&mut state, now).await {
            Ok(()) => Ok(state.find(kid)),
            Err(_) if known.is_some() && asked_at.is_some_and(|at| now - at < STALE) => Ok(known),
            Err(away) => Err(away),
        }
    }

    async fn described(
        &self,
        state: &mut State,
        now: OffsetDateTime,
    ) -> Result<Arc<Description>, Away> {
        let known = state.described.clone();
        if let Some((at, known)) = &known
            && now - *at < FRESH
        {
            return Ok(known.clone());
        }
        let asked = match state.pausing(now) {
            Some(away) => Err(away),
            None => {
                let asked = self.ask_description().await;
                state.failed_at = asked.is_err().then_some(now);
                asked
            }
        };
        match (asked, known) {
            (Ok(description), _) => {
                let description = Arc::new(description);
                state.described = Some((now, description.clone()));
                Ok(description)
            }
            (Err(_), Some((at, known))) if now - at < STALE => Ok(known),
            (Err(away), _) => Err(away),
        }
    }

    async fn ask_description(&self) -> Result<Description, Away> {
        let answer = self.http.get(&self.at).await?;
        let unfit = |what: &str| Away(format!("its description is unfit: {what}"));
        let written: Written = (answer.status == StatusCode::OK)
            .then(|| answer.json())
            .flatten()
            .ok_or_else(|| unfit("it is none"))?;
        // Else one provider could pass itself off as another (OpenID Connect Discovery §4.3).
        if written.issuer != self.issuer {
            return Err(unfit("issuer"));
        }
        let url = |text: &str, name| endpoint(text).map_err(|_| unfit(name));
        Ok(Description {
            authorization: url(&written.authorization_endpoint, "authorization_endpoint")?,
            token: url(&written.token_endpoint, "token_endpoint")?,
            jwks: url(&written.jwks_uri, "jwks_uri")?,
            revocation: written
                .revocation_endpoint
                .map(|text| url(&text, "revocation_endpoint"))
                .transpose()?,
            tells_issuer: written.authorization_response_iss_parameter_supported,
        })
    }

    async fn ask_keys(&self, state: &mut State, now: OffsetDateTime) -> Result<(), Away> {
        let description = self.described(state, now).await?;
        if let Some(away) = state.pausing(now) {
            return Err(away);
        }
        let asked = self.http.get(&description.jwks).await.and_then(|answer| {
            let written: Option<WrittenKeys> = (answer.status == StatusCode::OK)
                .then(|| answer.json())
                .flatten();
            written.ok_or_else(|| Away("its keys can't be read".to_owned()))
        });
        match asked {
            Ok(written) => {
                // A key of a kind that we don't know is none of those we look for.
                let read = |key: Value| serde_json::from_value(key).ok();
                let keys = written.keys.into_iter().filter_map(read).collect();
                state.keys = Some((now, keys));
                state.failed_at = None;
                Ok(())
            }
            Err(away) => {
                state.failed_at = Some(now);
                Err(away)
            }
        }
    }
}

impl State {
    fn pausing(&self, now: OffsetDateTime) -> Option<Away> {
        self.failed_at
            .filter(|at| now - *at < PAUSE)
            .map(|_| Away("it was away a moment ago".to_owned()))
    }

    fn find(&self, kid: &str) -> Option<DecodingKey> {
        let (_, keys) = self.keys.as_ref()?;
        let key = keys
            .iter()
            .find(|key| key.common.key_id.as_deref() == Some(kid))?;
        DecodingKey::from_jwk(key).ok()
    }
}
