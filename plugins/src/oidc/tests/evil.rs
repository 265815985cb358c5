//! A provider that a test bends: everything it says can be changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use http::{Request, Response};
use plugin_sdk::{Clock, Fetch, FetchError, Sent};
use serde_json::{Value, json};

use super::stage::{ISSUER, Query};

pub(super) struct Evil {
    state: Mutex<State>,
    away: AtomicBool,
    clock: std::sync::Arc<dyn Clock>,
}

struct State {
    seed: u8,
    metadata: Value,
    /// What is changed in the claims and in the header of the next ID tokens.
    claims: Value,
    header: Value,
    /// What becomes of the signed token at last.
    bend: fn(String) -> String,
    answer: Option<(u16, String)>,
    nonces: std::collections::HashMap<String, String>,
    forms: Vec<String>,
}

impl Evil {
    pub(super) fn new(clock: std::sync::Arc<dyn Clock>) -> Self {
        let state = State {
            seed: 1,
            metadata: json!({
                "issuer": ISSUER,
                "authorization_endpoint": format!("{ISSUER}/auth"),
                "token_endpoint": format!("{ISSUER}/token"),
                "end_session_endpoint": format!("{ISSUER}/end"),
                "jwks_uri": format!("{ISSUER}/jwks"),
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            }),
            claims: json!({}),
            header: json!({}),
            bend: |token| token,
            answer: None,
            nonces: Default::default(),
            forms: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            away: AtomicBool::new(false),
            clock,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Signs with another key from now on, and shows only that.
    pub(super) fn rotate(&self) {
        self.state().seed += 1;
    }

    /// Changes the claims of the ID tokens; `null` takes one away.
    pub(super) fn say(&self, changes: Value) {
        self.state().claims = changes;
    }

    pub(super) fn head(&self, changes: Value) {
        self.state().header = changes;
    }

    pub(super) fn bend(&self, bend: fn(String) -> String) {
        self.state().bend = bend;
    }

    pub(super) fn describe(&self, changes: Value) {
        merge(&mut self.state().metadata, &changes);
    }

    /// What the token endpoint answers, whatever it is asked.
    pub(super) fn answer(&self, answer: Option<(u16, String)>) {
        self.state().answer = answer;
    }

    /// What somebody's browser is sent back with who has signed in: the query.
    pub(super) fn code(&self, asked: &Query) -> String {
        let nonce = asked.query("nonce").expect("a nonce");
        let code = format!("code-of-{}", &nonce[..8]);
        self.state().nonces.insert(code.clone(), nonce);
        let state = asked.query("state").expect("a state");
        format!("code={code}&state={state}&iss=https%3A%2F%2Fsso.test")
    }

    pub(super) fn last_form(&self) -> Query {
        let form = self.state().forms.last().expect("it was asked").clone();
        Query::of(&format!("https://sso.test/token?{form}"))
    }

    pub(super) fn exchanges(&self) -> usize {
        self.state().forms.len()
    }

    fn serve(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(FetchError("connection refused".into()));
        }
        let state = self.state();
        let body = match request.uri().path() {
            "/.well-known/openid-configuration" => state.metadata.to_string(),
            "/jwks" => json!({ "keys": [jwk(state.seed)] }).to_string(),
            "/token" => {
                drop(state);
                return Ok(self.exchange(request));
            }
            _ => return Err(FetchError("the answer was 404 Not Found".into())),
        };
        Ok(Response::new(body.into()))
    }

    /// Takes any code that it ever gave: whoever is careless here must find us careful.
    fn exchange(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let form = String::from_utf8_lossy(request.body()).into_owned();
        let code = Query::of(&format!("https://sso.test/token?{form}")).query("code");
        let mut state = self.state();
        state.forms.push(form);
        if let Some((status, body)) = &state.answer {
            let answer = Response::builder()
                .status(*status)
                .body(body.clone().into());
            return answer.expect("an answer");
        }
        let nonce = code.and_then(|code| state.nonces.get(&code).cloned());
        let now = self.clock.unix();
        let mut claims = json!({
            "iss": ISSUER, "aud": "edge", "sub": "alice", "nonce": nonce, "iat": now, "exp": now + 60,
            "auth_time": now, "groups": ["edge-admins", "others"], "email": "alice@sso.test",
            "name": "Alice", "sid": "the provider's own",
        });
        merge(&mut claims, &state.claims);
        let mut header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid(state.seed) });
        merge(&mut header, &state.header);
        let token = (state.bend)(sign(state.seed, &header, &claims));
        let answer = json!({ "id_token": token, "access_token": "a", "token_type": "Bearer" });
        Response::new(answer.to_string().into())
    }
}

impl Fetch for Evil {
    fn send<'a>(&'a self, request: Request<Bytes>, _limit: usize) -> Sent<'a> {
        let answer = self.serve(&request);
        Box::pin(async move { answer })
    }
}

fn kid(seed: u8) -> String {
    format!("k{seed}")
}

fn jwk(seed: u8) -> Value {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid(seed), "x": x })
}

pub(super) fn sign(seed: u8, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn merge(into: &mut Value, changes: &Value) {
    let (into, changes) = (into.as_object_mut(), changes.as_object());
    let (into, changes) = (into.expect("an object"), changes.expect("an object"));
    for (name, value) in changes {
        match value {
            Value::Null => into.remove(name),
            value => into.insert(name.clone(), value.clone()),
        };
    }
}
