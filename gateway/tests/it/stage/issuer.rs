use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Origin;

/// Whoever issues tokens: a server with keys, that does what a test says.
pub(crate) struct Issuer {
    origin: Origin,
    played: Arc<Played>,
    key: SigningKey,
}

/// What it does when it is asked.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Answers as an issuer does.
    Serves,
    /// Takes the question, and never answers.
    Hangs,
    /// Closes each connection at once.
    Closes,
    /// Says this, whatever it is asked: a whole answer with its head.
    Says(String),
}

struct Played {
    mood: Mutex<Mood>,
    keys: Mutex<Value>,
    /// The answer about each token.
    tokens: Mutex<Value>,
    asked: Mutex<Vec<String>>,
}

impl Issuer {
    /// One that serves its key set at `/jwks`, says who it is, and answers at `/introspect`.
    pub(crate) async fn start(seed: u8) -> Self {
        Self::start_in(seed, Mood::Serves).await
    }

    pub(crate) async fn start_in(seed: u8, mood: Mood) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let played = Arc::new(Played {
            mood: Mutex::new(mood),
            keys: Mutex::new(json!({ "keys": [jwk("k1", &key)] })),
            tokens: Mutex::new(json!({})),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&played);
        let origin = Origin::raw(move |stream| {
            let played = Arc::clone(&shared);
            Box::pin(async move {
                let _ = play(stream, &played).await;
            })
        })
        .await;
        Self {
            origin,
            played,
            key,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.origin.address)
    }

    pub(crate) fn feel(&self, mood: Mood) {
        *self.played.mood.lock().unwrap() = mood;
    }

    /// Gives it another key, and takes the old one away.
    pub(crate) fn rotate(&mut self, kid: &str, seed: u8) {
        self.key = SigningKey::from_bytes(&[seed; 32]);
        *self.played.keys.lock().unwrap() = json!({ "keys": [jwk(kid, &self.key)] });
    }

    /// What it says about a token from now on; about others that they are not active.
    pub(crate) fn knows(&self, token: &str, answer: Value) {
        self.played.tokens.lock().unwrap()[token] = answer;
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let asked = self.played.asked.lock().unwrap();
        asked.iter().filter(|one| *one == path).count()
    }

    /// A token with some claims and headers changed.
    pub(crate) fn token(&self, header: Value, claims: Value) -> String {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let mut head = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k1" });
        let mut body = json!({
            "iss": self.url(), "aud": "api", "sub": "u1", "iat": now, "exp": now + 300,
            "roles": ["user"],
        });
        for (object, changes) in [(&mut head, header), (&mut body, claims)] {
            for (name, value) in changes.as_object().unwrap() {
                object[name] = value.clone();
            }
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&head), encode(&body));
        let signature = self.key.sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn jwk(kid: &str, key: &SigningKey) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x })
}

async fn play(mut stream: TcpStream, played: &Played) -> std::io::Result<()> {
    let local = stream.local_addr()?;
    let mood = || played.mood.lock().unwrap().clone();
    if matches!(mood(), Mood::Closes) {
        return Ok(());
    }
    let Some((path, body)) = read(&mut stream).await? else {
        return Ok(());
    };
    played.asked.lock().unwrap().push(path.clone());
    let answer = match mood() {
        Mood::Closes => return Ok(()),
        Mood::Hangs => return std::future::pending().await,
        Mood::Says(answer) => answer,
        Mood::Serves => {
            let url = format!("http://{local}");
            let document = match path.as_str() {
                "/jwks" => played.keys.lock().unwrap().clone(),
                "/.well-known/openid-configuration" => {
                    json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") })
                }
                "/introspect" => {
                    let token = body.split('&').find_map(|pair| pair.strip_prefix("token="));
                    let answer = &played.tokens.lock().unwrap()[token.unwrap_or_default()];
                    match answer {
                        Value::Null => json!({ "active": false }),
                        answer => answer.clone(),
                    }
                }
                _ => json!({}),
            };
            says(200, &document.to_string())
        }
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// A whole answer.
pub(crate) fn says(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// The path and the body of a request.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            let path = head.split(' ').nth(1).unwrap_or_default();
            return Ok(Some((path.to_owned(), body.to_owned())));
        }
    }
}
