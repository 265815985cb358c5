use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plugin_sdk::{Connection, OneOrMany, Principal};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::token::Fault;

/// What a verified token, or the answer of who issued it, says.
pub(crate) type Claims = Map<String, Value>;

/// Where an issuer says what. Each is a claim's name; dots lead into objects, as in
/// `realm_access.roles`. A URL is one name. Any other name with dots in it is written as a list of
/// steps: `[resource_access, my.api, roles]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// Who it is. Default: `sub`.
    pub sub: Option<OneOrMany>,
    /// Put before that, so that this issuer's `7` is not another's. Default: nothing.
    pub sub_prefix: String,
    /// Their roles: a list, or words in one text. Default: `roles`.
    pub roles: Option<OneOrMany>,
    /// What the token may be used for, likewise. Default: `scope`, or else `scp`.
    pub scopes: Option<OneOrMany>,
    /// Their session. Default: `sid`.
    pub sid: Option<OneOrMany>,
    /// How strongly they signed in. Default: `acr`.
    pub acr: Option<OneOrMany>,
    /// When they did, in Unix seconds. Default: `auth_time`.
    pub auth_time: Option<OneOrMany>,
}

/// What claims must say (RFC 9068 §4), and where they say it.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) issuer: Option<String>,
    /// One of them must be among the token's; with none of them any will do.
    pub(crate) audience: Vec<String>,
    /// To one of them the token must have been issued; with none of them to any.
    pub(crate) clients: Vec<String>,
    pub(crate) leeway_s: i64,
    pub(crate) paths: Paths,
}

/// Who claims are about, and when.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) who: Principal,
    /// When it was issued, in Unix seconds; 0 when it is not said, so that all that ever was
    /// revoked of this subject takes it along.
    pub(crate) issued_at: i64,
    /// What the token says, without leeway, in Unix seconds.
    pub(crate) expires_at: Option<i64>,
}

/// A [`Mapping`] as it runs.
#[derive(Debug)]
pub(crate) struct Paths {
    sub: Vec<String>,
    sub_prefix: String,
    roles: Vec<String>,
    scopes: Option<Vec<String>>,
    sid: Vec<String>,
    acr: Vec<String>,
    auth_time: Vec<String>,
}

impl Mapping {
    /// The paths, or the key whose path has an empty step.
    pub(crate) fn compile(&self) -> Result<Paths, &'static str> {
        let path = |key: &'static str, written: &Option<OneOrMany>| {
            let steps: Vec<String> = match written.as_ref().map(|written| &written.0[..]) {
                None => vec![key.to_owned()],
                Some([path]) if !path.contains("://") => {
                    path.split('.').map(String::from).collect()
                }
                Some(steps) => steps.to_vec(),
            };
            let sound = !steps.is_empty() && steps.iter().all(|step| !step.is_empty());
            sound.then_some(steps).ok_or(key)
        };
        if self.sub_prefix.chars().any(char::is_control) {
            return Err("sub_prefix");
        }
        Ok(Paths {
            sub: path("sub", &self.sub)?,
            sub_prefix: self.sub_prefix.clone(),
            roles: path("roles", &self.roles)?,
            scopes: match &self.scopes {
                None => None,
                written => Some(path("scopes", written)?),
            },
            sid: path("sid", &self.sid)?,
            acr: path("acr", &self.acr)?,
            auth_time: path("auth_time", &self.auth_time)?,
        })
    }
}

impl Policy {
    /// Judges the claims of a verified token, which must say until when they hold.
    pub(crate) fn judge(&self, claims: &Claims, now: i64) -> Result<Judged, Fault> {
        match claims.get("exp") {
            None | Some(Value::Null) => Err(Fault::Claim("exp")),
            Some(_) => self.judge_answer(claims, now),
        }
    }

    /// Judges what an authorization server says of a token (RFC 7662 §2.2), which needs no `exp`.
    pub(crate) fn judge_answer(&self, claims: &Claims, now: i64) -> Result<Judged, Fault> {
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Fault::Claim("iss"));
        }
        self.judge_target(claims)?;
        if !is_for_access(claims) {
            return Err(Fault::Purpose);
        }
        let expires_at = integer(claims.get("exp"), "exp")?;
        if expires_at.is_some_and(|exp| now >= exp.saturating_add(self.leeway_s)) {
            return Err(Fault::Expired);
        }
        let latest = now.saturating_add(self.leeway_s);
        let issued_at = integer(claims.get("iat"), "iat")?;
        let not_before = integer(claims.get("nbf"), "nbf")?;
        if [issued_at, not_before]
            .iter()
            .flatten()
            .any(|at| *at > latest)
        {
            return Err(Fault::Early);
        }
        Ok(Judged {
            who: self.paths.principal(claims)?,
            issued_at: issued_at.unwrap_or(0),
            expires_at,
        })
    }

    /// For whom the token was issued, and to whom.
    fn judge_target(&self, claims: &Claims) -> Result<(), Fault> {
        let is_ours = |aud: &Value| {
            aud.as_str()
                .is_some_and(|aud| self.audience.iter().any(|ours| ours == aud))
        };
        let meant_for_us = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(aud) => is_ours(aud),
            None => false,
        };
        if !self.audience.is_empty() && !meant_for_us {
            return Err(Fault::Claim("aud"));
        }
        // RFC 9068 says `client_id`, OpenID Connect `azp`, Entra `appid`. Two that differ are no
        // client at all.
        let mut clients = ["client_id", "azp", "appid"]
            .iter()
            .filter_map(|name| claims.get(*name));
        let known = |client: &Value| {
            client
                .as_str()
                .is_some_and(|client| self.clients.iter().any(|known| known == client))
        };
        let said = clients.clone().next().is_some();
        match self.clients.is_empty() || (said && clients.all(known)) {
            true => Ok(()),
            false => Err(Fault::Claim("client_id")),
        }
    }
}

/// Whether claims are not those of an ID token, a refresh token or a logout token, which the same
/// issuer signs with the same keys. Where `typ` in the header tells them apart this says nothing
/// new; where it does not, nothing else would.
fn is_for_access(claims: &Claims) -> bool {
    // Only an ID token vouches for what came with it (OpenID Connect Core §3.1.3.6, §3.3.2.11),
    // only a security event token has events (RFC 8417 §2.2).
    let telltale = ["at_hash", "c_hash", "s_hash", "events"];
    // Keycloak says it in `typ`, Cognito and Hydra in `token_use`.
    let says_access = |name| match claims.get(name).map(Value::as_str) {
        None => true,
        Some(Some(word)) => ["access", "access_token", "at+jwt", "bearer", "jwt"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known)),
        Some(None) => false,
    };
    !telltale.iter().any(|name| claims.contains_key(*name))
        && says_access("typ")
        && says_access("token_use")
}

impl Paths {
    /// What is put before the subjects.
    pub(crate) fn sub_prefix(&self) -> &str {
        &self.sub_prefix
    }

    pub(crate) fn principal(&self, claims: &Claims) -> Result<Principal, Fault> {
        let sub = text(look(claims, &self.sub), "sub")?.filter(|sub| !sub.is_empty());
        let sub = sub.ok_or(Fault::Claim("sub"))?;
        let scopes = match &self.scopes {
            Some(path) => look(claims, path),
            None => claims.get("scope").or_else(|| claims.get("scp")),
        };
        Ok(Principal {
            sub: format!("{}{sub}", self.sub_prefix),
            roles: words(look(claims, &self.roles), "roles")?,
            scopes: words(scopes, "scopes")?,
            sid: text(look(claims, &self.sid), "sid")?,
            acr: text(look(claims, &self.acr), "acr")?,
            auth_time: integer(look(claims, &self.auth_time), "auth_time")?,
        })
    }
}

/// The value at the end of a path of names. `null` is nothing.
fn look<'a>(claims: &'a Claims, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = rest
        .iter()
        .try_fold(claims.get(first)?, |value, step| value.get(step))?;
    (!value.is_null()).then_some(value)
}

fn integer(value: Option<&Value>, name: &'static str) -> Result<Option<i64>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(Fault::Claim(name)),
    }
}

fn text(value: Option<&Value>, name: &'static str) -> Result<Option<String>, Fault> {
    match value {
        None => Ok(None),
        Some(value) => Ok(Some(printable(value, name)?.to_owned())),
    }
}

/// A list of strings, or one string of words as OAuth writes scopes.
fn words(value: Option<&Value>, name: &'static str) -> Result<Vec<String>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| Ok(printable(item, name)?.to_owned()))
            .collect(),
        Some(value) => {
            let words = printable(value, name)?.split(' ');
            Ok(words
                .filter(|word| !word.is_empty())
                .map(String::from)
                .collect())
        }
    }
}

/// Whether a token is its bearer's to show: it is bound to no key, or to that of the certificate
/// which the connection was opened with (RFC 8705 §3.1). Any other binding can't be checked here,
/// and a token that is stolen from its key must not do.
pub(crate) fn is_bearers(claims: &Claims, connection: &Connection) -> bool {
    let Some(bound) = claims.get("cnf") else {
        return true;
    };
    let named = bound.as_object().filter(|bound| bound.len() == 1);
    let thumbprint = named.and_then(|bound| bound.get("x5t#S256")?.as_str());
    match (thumbprint, &connection.certificate) {
        (Some(thumbprint), Some(certificate)) => {
            URL_SAFE_NO_PAD.encode(Sha256::digest(certificate)) == thumbprint
        }
        _ => false,
    }
}

/// Text that may be copied into a header and a log line.
fn printable<'a>(value: &'a Value, name: &'static str) -> Result<&'a str, Fault> {
    value
        .as_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or(Fault::Claim(name))
}
