use std::time::Duration;

use plugin_sdk::{BuildError, Env, OneOrMany, Period, Reference};
use schemars::JsonSchema;
use serde::Deserialize;

use super::claims::{Mapping, Policy};
use super::keys::KeySet;
use super::refresh::{Keys, Origin};
use super::{Alg, discovery};

/// Clocks that differ by more are broken, and tokens would live that much longer.
const MAX_LEEWAY: Duration = Duration::from_secs(120);

/// A longer file than this holds no key, in bytes.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// More keys than this are not named one by one: each may be tried for each token.
const MAX_NAMED: usize = 4;

/// Whose tokens are believed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The `iss` of the tokens, compared whole.
    pub issuer: String,
    /// One of these must be the `aud` of the tokens or among them.
    pub audience: OneOrMany,
    /// Where the issuer's public keys are: a URL of its key set, or `$file:` and a path.
    #[serde(default)]
    pub jwks: Option<String>,
    /// Whether the key set is found by what the issuer says of itself: its
    /// `/.well-known/openid-configuration`, or else what RFC 8414 has. In place of `jwks`.
    #[serde(default)]
    pub discovery: bool,
    /// The issuer's public keys themselves, at most 4, each `$file:` and a path: PEM (a key or a
    /// certificate) or one JWK. In place of `jwks`.
    #[serde(default)]
    pub keys: Option<OneOrMany>,
    /// The secret that is shared with the issuer, for HS256 and its like, of at least 32 bytes:
    /// `$file:path` or `$env:NAME`. In place of `jwks`.
    #[serde(default)]
    pub secret: Option<Reference>,
    /// The algorithms that the issuer signs with. Those of a shared secret go with `secret` only,
    /// and no other goes with it.
    #[schemars(length(min = 1))]
    pub algs: Vec<Alg>,
    /// What the tokens' headers may say that they are. `JWT` and `absent` are for issuers that
    /// don't write access tokens as RFC 9068 has them; then `audience` must not be one that the
    /// issuer's ID tokens have too. Default: `[at+jwt]`.
    #[serde(default = "access_tokens")]
    #[schemars(length(min = 1))]
    pub typ: Vec<Typ>,
    /// The clients whose tokens are taken: `client_id` or `azp`. Default: any of the issuer's.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Where the tokens say who somebody is and what they may.
    #[serde(default)]
    pub claims: Mapping,
    /// How long known keys are trusted while the issuer can't be reached. Then 503. For keys that
    /// are fetched, and required there.
    #[serde(default)]
    pub stale_keys: Option<Period>,
    /// Between two fetches of the keys. Default: `5m`.
    #[serde(default)]
    pub refresh: Option<Period>,
    /// How much the issuer's clock may differ from ours; at most `2m`. Default: `30s`.
    #[serde(default = "thirty_seconds")]
    pub leeway: Period,
}

/// What a token's header says that it is (RFC 7515 §4.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Typ {
    /// An access token as RFC 9068 has it.
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// Any token.
    #[serde(rename = "JWT")]
    Jwt,
    /// Nothing.
    #[serde(rename = "absent")]
    Absent,
}

impl Typ {
    pub(super) fn is(self, said: Option<&str>) -> bool {
        let known: &[&str] = match self {
            Self::AccessToken => &["at+jwt", "application/at+jwt"],
            Self::Jwt => &["JWT", "application/JWT"],
            Self::Absent => return said.is_none(),
        };
        said.is_some_and(|said| known.iter().any(|known| said.eq_ignore_ascii_case(known)))
    }
}

fn access_tokens() -> Vec<Typ> {
    vec![Typ::AccessToken]
}

fn thirty_seconds() -> Period {
    Period(Duration::from_secs(30))
}

const FIVE_MINUTES: Period = Period(Duration::from_secs(300));

/// Reads a duration of the table as whole seconds.
fn seconds(period: Period) -> i64 {
    i64::try_from(period.0.as_secs()).unwrap_or(i64::MAX)
}

impl Config {
    /// What the claims must say.
    pub(super) fn policy(&self) -> Result<Policy, BuildError> {
        for (at, texts) in [
            ("issuer", std::slice::from_ref(&self.issuer)),
            ("audience", &self.audience.0),
            ("clients", &self.clients),
        ] {
            if (at != "clients" && texts.is_empty()) || texts.iter().any(String::is_empty) {
                return Err(BuildError::new(at, "must not be empty"));
            }
        }
        if self.typ.is_empty() {
            return Err(
                BuildError::new("typ", "the list is empty: no token would do")
                    .hint("write `[at+jwt]` or leave the key out"),
            );
        }
        if self.leeway.0 > MAX_LEEWAY {
            return Err(BuildError::new("leeway", "more than `2m`"));
        }
        let paths = self.claims.compile().map_err(|key| {
            BuildError::new(&format!("claims.{key}"), "is no path of names")
                .hint("write the claim's name, such as `realm_access.roles`")
        })?;
        Ok(Policy {
            issuer: Some(self.issuer.clone()),
            audience: self.audience.0.clone(),
            clients: self.clients.clone(),
            leeway_s: seconds(self.leeway),
            paths,
        })
    }

    /// Where the keys come from: one place, and one only.
    pub(super) fn source(&self) -> Result<Source<'_>, BuildError> {
        let mut named: Vec<(&str, Source<'_>)> = Vec::new();
        if let Some(jwks) = &self.jwks {
            named.push(("jwks", address(jwks)?));
        }
        if self.discovery {
            discovery::check_issuer(&self.issuer)?;
            named.push((
                "discovery",
                Source::Fetched(Origin::Issuer(self.issuer.clone())),
            ));
        }
        if let Some(keys) = &self.keys {
            named.push(("keys", Source::Keys(&keys.0)));
        }
        if let Some(secret) = &self.secret {
            named.push(("secret", Source::Secret(secret)));
        }
        let mut named = named.into_iter();
        match (named.next(), named.next()) {
            (Some((_, source)), None) => Ok(source),
            (Some((one, _)), Some((other, _))) => {
                let message = format!("stands beside `{one}`: keys come from one place");
                Err(BuildError::new(other, message).hint(format!("leave `{one}` or `{other}` out")))
            }
            _ => Err(BuildError::new("", "says nothing about the issuer's keys")
                .hint("add `jwks: https://…`, `discovery: true`, `keys: $file:…` or `secret: $file:…`")),
        }
    }

    /// Whether the algorithms go with where the keys come from.
    pub(super) fn check_algs(&self, source: &Source<'_>) -> Result<(), BuildError> {
        if self.algs.is_empty() {
            return Err(
                BuildError::new("algs", "the list is empty: no token would do")
                    .hint("name what the issuer signs with, such as `[EdDSA]`"),
            );
        }
        let secret = matches!(source, Source::Secret(_));
        let wrong = |alg: &Alg| alg.secret_bytes().is_some() != secret;
        let Some(index) = self.algs.iter().position(wrong) else {
            return Ok(());
        };
        let at = format!("algs.{index}");
        let alg = self.algs[index];
        Err(match secret {
            true => BuildError::new(&at, format!("`{alg:?}` is checked with a public key, and there is a secret"))
                .hint("with `secret` go HS256, HS384 and HS512 only"),
            // Else whoever knows a public key could sign with it as if it were a secret.
            false => BuildError::new(&at, format!("`{alg:?}` is signed with a shared secret, and the keys are public"))
                .hint("name what the issuer signs with, such as `EdDSA`; a secret goes into `secret: $file:…`"),
        })
    }

    /// Whether the times go with where the keys come from.
    pub(super) fn times(&self, source: &Source<'_>) -> Result<Times, BuildError> {
        let refresh = self.refresh.unwrap_or(FIVE_MINUTES);
        if !matches!(source, Source::Fetched(_)) {
            for (at, written) in [("stale_keys", self.stale_keys), ("refresh", self.refresh)] {
                if written.is_some() {
                    let message = "the keys are not fetched, so they never go stale";
                    return Err(BuildError::new(at, message).hint("leave the key out"));
                }
            }
        }
        if refresh.0 < Duration::from_secs(1) {
            return Err(BuildError::new("refresh", "less than `1s`"));
        }
        let stale = match (self.stale_keys, source) {
            (None, Source::Fetched(_)) => {
                return Err(BuildError::new("", "missing field `stale_keys`")
                    .hint("add `stale_keys: 1h`: so long known keys are trusted while the issuer is away, then 503"));
            }
            (stale, _) => stale.unwrap_or(refresh),
        };
        if stale < refresh {
            let message = format!("shorter than the time between two fetches, {refresh}");
            return Err(BuildError::new("stale_keys", message)
                .hint("keys would go stale while all is well"));
        }
        Ok(Times {
            refresh: refresh.0,
            stale: stale.0,
        })
    }
}

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Fetched(Origin),
    File(&'a str),
    Keys(&'a [String]),
    Secret(&'a Reference),
}

/// How long keys that are fetched are good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) refresh: Duration,
    pub(crate) stale: Duration,
}

fn address(jwks: &str) -> Result<Source<'_>, BuildError> {
    if let Some(path) = jwks.strip_prefix("$file:") {
        return Ok(Source::File(path));
    }
    let url = url::Url::parse(jwks).ok();
    match url.filter(|url| ["https", "http"].contains(&url.scheme()) && url.has_host()) {
        Some(_) => Ok(Source::Fetched(Origin::KeySet(jwks.to_owned()))),
        None => Err(BuildError::new("jwks", "is neither a URL nor a file")
            .hint("write `https://…` or `$file:path`")),
    }
}

impl Source<'_> {
    /// The keys, or those that will be fetched.
    pub(super) fn keys(
        &self,
        config: &Config,
        times: Times,
        env: &Env,
    ) -> Result<std::sync::Arc<Keys>, BuildError> {
        let set = match self {
            Self::Fetched(origin) => {
                // Remembered tokens belong to the keys, and say by which way they came: another
                // configuration must not find them.
                let name = format!("jwt {} {config:?}", env.name());
                let keys = env.keep(&name, || {
                    Keys::remote(origin.clone(), &config.algs, times, env)
                });
                keys.start(env);
                return Ok(keys);
            }
            Self::File(path) => {
                let document = file(path, "jwks", env)?;
                KeySet::parse(document.into(), &config.algs)
                    .map_err(|error| BuildError::new("jwks", format!("`{path}`: {error}")))?
            }
            Self::Keys(files) => named(files, config, env)?,
            Self::Secret(reference) => {
                let secret = shared(reference, env)?;
                check_secret(&secret, config)?;
                KeySet::shared(&secret, &config.algs)
            }
        };
        Ok(std::sync::Arc::new(Keys::fixed(set)))
    }
}

fn file(path: &str, at: &str, env: &Env) -> Result<Vec<u8>, BuildError> {
    let document = std::fs::read(env.path(path))
        .map_err(|error| BuildError::new(at, format!("`{path}` can't be read: {error}")))?;
    match document.len() > MAX_FILE_BYTES {
        true => Err(BuildError::new(
            at,
            format!("`{path}` is longer than 64 KiB"),
        )),
        false => Ok(document),
    }
}

fn named(files: &[String], config: &Config, env: &Env) -> Result<KeySet, BuildError> {
    if files.is_empty() || files.len() > MAX_NAMED {
        let message = format!("must name between 1 and {MAX_NAMED} files");
        return Err(BuildError::new("keys", message).hint("a key set goes into `jwks: $file:…`"));
    }
    let at = |index: usize| match files.len() {
        1 => "keys".to_owned(),
        _ => format!("keys.{index}"),
    };
    let mut documents = Vec::new();
    for (index, written) in files.iter().enumerate() {
        let Some(path) = written.strip_prefix("$file:") else {
            return Err(BuildError::new(&at(index), "is no file").hint("write `$file:path`"));
        };
        documents.push(file(path, &at(index), env)?);
    }
    KeySet::named(&documents, &config.algs).map_err(|(index, error)| {
        let path = files[index].trim_start_matches("$file:");
        BuildError::new(&at(index), format!("`{path}`: {error}"))
    })
}

fn shared(reference: &Reference, env: &Env) -> Result<Vec<u8>, BuildError> {
    let fault = |error: String| BuildError::new("secret", error);
    let bytes = match reference {
        Reference::File(path) => file(path, "secret", env)?,
        Reference::Variable(_) => reference
            .read(env)
            .map_err(|error| fault(error.to_string()))?
            .into_bytes(),
    };
    // An editor ends a text with a line break; 32 rolled bytes are no text.
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim_end_matches(['\r', '\n']).as_bytes().to_vec(),
        Err(_) => bytes,
    })
}

fn check_secret(secret: &[u8], config: &Config) -> Result<(), BuildError> {
    let needed = config
        .algs
        .iter()
        .filter_map(|alg| alg.secret_bytes())
        .max();
    let needed = needed.unwrap_or(32);
    if secret.len() < needed {
        let message = format!("has {} bytes, and {needed} are needed", secret.len());
        return Err(BuildError::new("secret", message)
            .hint("`openssl rand -hex 32` makes one; it can be guessed from any token otherwise"));
    }
    let mut different = secret.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() < 8 {
        return Err(
            BuildError::new("secret", "nobody rolled it: it repeats itself")
                .hint("`openssl rand -hex 32` makes one"),
        );
    }
    Ok(())
}
