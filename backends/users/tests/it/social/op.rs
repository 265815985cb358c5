//! A provider that a test bends: it speaks as Google, Apple and VK ID do, and everything it says can be
//! changed. It is strict where a good provider is: codes are good once and for their verifier.

use std::{
    collections::HashMap,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use url::{Url, form_urlencoded};

/// When the stage's clock begins.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const CLIENT: &str = "our-client";
pub(crate) const SECRET: &str = "our secret";
pub(crate) const PHONE: &str = "com.example.app";

/// Keys that are drawn once for all tests.
pub(crate) struct Keys {
    /// What the provider signs with, and its public half.
    rsa: String,
    pub(crate) rsa_public: String,
    jwk: Value,
    /// What we sign Apple's client secrets with, and its public half.
    pub(crate) ec: String,
    ec_public: String,
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        // Node is here for oidc-provider anyway, and finds primes in no time.
        const SCRIPT: &str = "
            const { generateKeyPairSync } = require('node:crypto');
            const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
            const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
            const pem = (key, type) => key.export({ format: 'pem', type });
            console.log(JSON.stringify({
                rsa: pem(rsa.privateKey, 'pkcs8'), rsa_public: pem(rsa.publicKey, 'spki'),
                jwk: rsa.publicKey.export({ format: 'jwk' }),
                ec: pem(ec.privateKey, 'pkcs8'), ec_public: pem(ec.publicKey, 'spki'),
            }));";
        let made = Command::new("node").args(["-e", SCRIPT]).output();
        let made = made.expect("node, see deploy/local/install.sh").stdout;
        let made: Value = serde_json::from_slice(&made).expect("keys");
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        Keys {
            rsa: text("rsa"),
            rsa_public: text("rsa_public"),
            jwk: made["jwk"].clone(),
            ec: text("ec"),
            ec_public: text("ec_public"),
        }
    })
}

/// The provider.
#[derive(Clone)]
pub(crate) struct Op {
    /// Its issuer.
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    rung: Arc<Notify>,
}

/// What it does, until somebody changes it.
pub(crate) struct Script {
    /// Changes in what it says of itself, in the claims and in the header of ID tokens; `null` takes
    /// one away.
    pub(crate) description: Value,
    pub(crate) claims: Value,
    pub(crate) header: Value,
    /// What becomes of a signed token at last.
    pub(crate) bend: fn(String) -> String,
    /// What the endpoint of a path answers, whatever it is asked.
    pub(crate) answers: HashMap<&'static str, (u16, Value)>,
    /// The name of the key that it signs with and shows.
    pub(crate) kid: String,
    /// What it was sent, oldest first.
    pub(crate) asked: Vec<(String, HashMap<String, String>)>,
    /// Who VK ID says that this is.
    pub(crate) vk_user: Value,
    codes: HashMap<String, HashMap<String, String>>,
}

impl Op {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let script = Script {
            description: json!({}),
            claims: json!({}),
            header: json!({}),
            bend: |token| token,
            answers: HashMap::new(),
            kid: "k1".to_owned(),
            asked: Vec::new(),
            vk_user: json!({
                "user_id": "4242", "first_name": "Анна", "last_name": "Ли",
                "phone": "79990000000", "email": "anna@example.com", "sex": 1,
            }),
            codes: HashMap::new(),
        };
        let op = Self {
            url,
            script: Arc::new(Mutex::new(script)),
            rung: Arc::default(),
        };
        let app = Router::new().fallback(serve).with_state(op.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        op
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the claims of the ID tokens from now on.
    pub(crate) fn says(&self, claims: Value) {
        self.script().claims = claims;
    }

    /// Somebody signs in where a browser was sent: gives what the browser is sent back with.
    pub(crate) fn sign_in(&self, location: &str) -> String {
        let asked = query(location);
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut script = self.script();
        let code = format!("code-{}", script.codes.len());
        let back = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .finish();
        script.codes.insert(code, asked);
        back
    }

    /// What it was asked at a path, the last time.
    pub(crate) fn last(&self, path: &str) -> HashMap<String, String> {
        let script = self.script();
        let last = script.asked.iter().rev().find(|(at, _)| at == path);
        last.unwrap_or_else(|| panic!("{path} was not asked"))
            .1
            .clone()
    }

    pub(crate) fn times(&self, path: &str) -> usize {
        let script = self.script();
        script.asked.iter().filter(|(at, _)| at == path).count()
    }

    /// Waits until it was asked so often at a path.
    pub(crate) async fn asked(&self, path: &str, times: usize) {
        let patience = std::time::Duration::from_secs(30);
        let enough = async {
            loop {
                let rung = self.rung.notified();
                if self.times(path) >= times {
                    return;
                }
                rung.await;
            }
        };
        let waited = tokio::time::timeout(patience, enough).await;
        waited.unwrap_or_else(|_| panic!("{path} was not asked"));
    }

    /// An ID token for whoever asked for this nonce.
    pub(crate) fn id_token(&self, client_id: &str, nonce: &str) -> String {
        let script = self.script();
        script.id_token(&self.url, client_id, nonce)
    }
}

impl Script {
    fn id_token(&self, issuer: &str, client_id: &str, nonce: &str) -> String {
        let mut claims = json!({
            "iss": issuer, "aud": client_id, "sub": "ann-there", "nonce": nonce, "iat": NOW,
            "exp": NOW + 600, "email": "ann@gmail.com", "email_verified": true, "name": "Ann Lee",
            // What nobody asked for and nobody shall get.
            "roles": ["admin"], "status": "active", "sid": "theirs", "id": "7",
        });
        merge(&mut claims, &self.claims);
        let mut header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid });
        merge(&mut header, &self.header);
        (self.bend)(sign(&header, &claims))
    }

    fn exchange(&mut self, issuer: &str, form: &HashMap<String, String>) -> (u16, Value) {
        let refused = |error: &str| (400, json!({ "error": error }));
        let secret = form.get("client_secret").map_or("", String::as_str);
        if secret != SECRET && !is_ours(secret, issuer, &form["client_id"]) {
            return refused("invalid_client");
        }
        let Some(asked) = self.codes.remove(&form["code"]) else {
            return refused("invalid_grant");
        };
        let verifier = form.get("code_verifier").map_or("", String::as_str);
        if s256(verifier) != asked["code_challenge"]
            || form["redirect_uri"] != asked["redirect_uri"]
        {
            return refused("invalid_grant");
        }
        let id_token = self.id_token(issuer, &asked["client_id"], &asked["nonce"]);
        let answer = json!({
            "id_token": id_token, "access_token": "theirs", "token_type": "Bearer",
            "expires_in": 3600, "refresh_token": "to be given back",
        });
        (200, answer)
    }

    /// VK ID: no secret, a `device_id`, and failures with 200.
    fn exchange_at_vk(&mut self, form: &HashMap<String, String>) -> (u16, Value) {
        let refused = |error: &str| (200, json!({ "error": error, "error_description": "no" }));
        let Some(asked) = self.codes.remove(&form["code"]) else {
            return refused("invalid_grant");
        };
        if s256(&form["code_verifier"]) != asked["code_challenge"]
            || form["redirect_uri"] != asked["redirect_uri"]
            || form["device_id"] != "a device"
        {
            return refused("invalid_grant");
        }
        let answer = json!({
            "access_token": "vk1.a.theirs", "refresh_token": "vk2.a.theirs", "id_token": "not.for.us",
            "token_type": "Bearer", "expires_in": 3600, "user_id": 4242, "state": form["state"],
            "scope": "vkid.personal_info email",
        });
        (200, answer)
    }
}

async fn serve(State(op): State<Op>, uri: Uri, body: Bytes) -> Response {
    let issuer = op.url.clone();
    let mut script = op.script();
    let path = uri.path();
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    script.asked.push((path.to_owned(), form.clone()));
    op.rung.notify_one();
    let (status, answer) = match (script.answers.get(path).cloned(), path) {
        (Some(answer), _) => answer,
        (None, "/.well-known/openid-configuration") => {
            let mut description = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
                "revocation_endpoint": format!("{issuer}/revoke"),
            });
            merge(&mut description, &script.description);
            (200, description)
        }
        (None, "/jwks") => {
            let mut key = keys().jwk.clone();
            merge(
                &mut key,
                &json!({ "kid": script.kid, "alg": "RS256", "use": "sig" }),
            );
            (
                200,
                json!({ "keys": [{ "kty": "unheard of", "kid": "odd" }, key] }),
            )
        }
        (None, "/token") => script.exchange(&issuer, &form),
        (None, "/oauth2/auth") => script.exchange_at_vk(&form),
        (None, "/oauth2/user_info") if form["access_token"] == "vk1.a.theirs" => {
            (200, json!({ "user": script.vk_user }))
        }
        (None, "/revoke") if is_ours(&form["client_secret"], &issuer, &form["client_id"]) => {
            (200, Value::Null)
        }
        _ => (404, json!({ "error": "not_found" })),
    };
    let status = StatusCode::from_u16(status).expect("a status");
    let body = match answer {
        Value::Null => String::new(),
        answer => answer.to_string(),
    };
    (status, [("content-type", "application/json")], body).into_response()
}

/// Whether a client secret is one that Apple would take: ES256 with our key, for it, about us, and for
/// no more than six months.
fn is_ours(secret: &str, issuer: &str, client_id: &str) -> bool {
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&[issuer]);
    rules.set_issuer(&["TEAM123456"]);
    rules.sub = Some(client_id.to_owned());
    // The stage's clock is not the machine's.
    rules.validate_exp = false;
    let key = DecodingKey::from_ec_pem(keys().ec_public.as_bytes()).expect("a key");
    let Ok(token) = jsonwebtoken::decode::<Value>(secret, &key, &rules) else {
        return false;
    };
    let (issued, ends) = (&token.claims["iat"], &token.claims["exp"]);
    let life = ends.as_i64().unwrap_or(i64::MAX) - issued.as_i64().unwrap_or_default();
    token.header.kid.as_deref() == Some("KEY1234567") && (1..=15_777_000).contains(&life)
}

/// A token with any header, signed with the provider's key.
pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_rsa_pem(keys().rsa.as_bytes()).expect("a key");
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::RS256);
    format!("{signed}.{}", signature.expect("a signature"))
}

/// The same claims under HS256, with the provider's public key for a secret.
pub(crate) fn confused(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("claims");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("claims");
    let header = Header {
        kid: Some("k1".to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    let key = EncodingKey::from_secret(keys().rsa_public.as_bytes());
    jsonwebtoken::encode(&header, &claims, &key).expect("a token")
}

/// The parameters of an address.
pub(crate) fn query(url: &str) -> HashMap<String, String> {
    let url: Url = url.parse().expect(url);
    url.query_pairs().into_owned().collect()
}

pub(crate) fn s256(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
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
