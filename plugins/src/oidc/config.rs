use std::collections::BTreeMap;
use std::time::Duration;

use plugin_sdk::{BuildError, Env, Period, Reference};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::csrf::Origins;
use super::exchange::Client;
use super::seal::Seal;
use super::session::Life;
use crate::cors::check_origin;
use crate::jwt::{Alg, Mapping, Paths, check_issuer};

/// A session that lasts longer is none that somebody has begun.
pub(super) const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Who signs people in, and how a browser keeps that.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider, which describes itself at `/.well-known/openid-configuration` below this.
    pub issuer: String,
    /// What the provider calls this gateway.
    pub client_id: String,
    /// The secret that the provider knows it by: `$file:path` or `$env:NAME`.
    pub client_secret: Reference,
    /// Where browsers come back to: an `https` address of this edge, exactly as the provider has it.
    /// A route for its path is `answered_by` this way.
    pub redirect_uri: String,
    /// The algorithms that the provider signs ID tokens with.
    #[schemars(length(min = 1))]
    pub algs: Vec<Alg>,
    /// What is asked for; `openid` must be among it. Default: `[openid]`.
    #[serde(default = "openid")]
    pub scopes: Vec<String>,
    /// Where the ID token says who somebody is and what they may.
    #[serde(default)]
    pub claims: Mapping,
    /// The provider's names of roles, and ours. With it, a role that is not in it is none.
    #[serde(default)]
    pub roles: Option<BTreeMap<String, String>>,
    /// Claims of the ID token that a session keeps, for `allow: { claims: … }`.
    #[serde(default)]
    pub keep: Vec<String>,
    /// How the browser keeps the session.
    pub cookie: Cookie,
    /// Origins whose pages may act in the name of who has signed in, besides this edge's own.
    #[serde(default)]
    pub origins: Vec<String>,
    /// A path where a script sends a browser to sign in, `?return_to=/path` says where it goes then;
    /// with `&fresh=1` the provider asks again. A route for it is `answered_by` this way.
    #[serde(default)]
    pub login: Option<String>,
    /// A path where a `POST` ends the session here and at the provider. A route for it is
    /// `answered_by` this way.
    #[serde(default)]
    pub logout: Option<String>,
    /// The path where a browser goes after it has signed out. Default: `/`.
    #[serde(default)]
    pub after_logout: Option<String>,
    /// Between two looks at what the provider says of itself. Default: `5m`.
    #[serde(default)]
    pub refresh: Option<Period>,
    /// How much the provider's clock may differ from ours; at most `2m`. Default: `30s`.
    #[serde(default)]
    pub leeway: Option<Period>,
}

/// How the browser keeps a session.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cookie {
    /// Its name, which begins with `__Host-`. Default: `__Host-session`.
    #[serde(default)]
    pub name: Option<String>,
    /// The keys that seal it: one a line, 64 hex digits each (`openssl rand -hex 32`), at most 4. The
    /// first seals, all of them open.
    pub key: Reference,
    /// How long a session lasts, whatever happens; at most `7d`. Default: `8h`.
    #[serde(default)]
    pub ttl: Option<Period>,
    /// How long it lasts without a request. Default: `30m`.
    #[serde(default)]
    pub idle: Option<Period>,
}

fn openid() -> Vec<String> {
    vec!["openid".into()]
}

/// A configuration that has been found good.
pub(super) struct Settings {
    pub(super) issuer: String,
    pub(super) client: Client,
    pub(super) scope: String,
    pub(super) algs: Vec<Alg>,
    pub(super) paths: Paths,
    pub(super) roles: Option<BTreeMap<String, String>>,
    pub(super) keep: Vec<String>,
    /// The address that browsers come back to: its origin is ours.
    pub(super) redirect: Url,
    pub(super) cookie: String,
    pub(super) seal: Seal,
    pub(super) life: Life,
    pub(super) origins: Origins,
    pub(super) login: Option<String>,
    pub(super) logout: Option<String>,
    pub(super) after_logout: String,
    pub(super) refresh: Duration,
    pub(super) leeway_s: i64,
}

impl Settings {
    pub(super) fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        check_issuer(&config.issuer)?;
        let redirect = redirect(&config.redirect_uri)?;
        let cookie = cookie_name(config.cookie.name)?;
        let bound_to = [env.name(), &config.issuer, &config.client_id, &cookie].join("\n");
        let keys = read(&config.cookie.key, env, "cookie.key")?;
        let seal = Seal::new(&keys, &bound_to).map_err(|error| {
            BuildError::new("cookie.key", error.to_string())
                .hint("`openssl rand -hex 32` makes a line of it")
        })?;
        let life = life(config.cookie.ttl, config.cookie.idle)?;
        for (at, list) in [
            ("algs", config.algs.len()),
            ("client_id", config.client_id.len()),
        ] {
            if list == 0 {
                return Err(BuildError::new(at, "must not be empty"));
            }
        }
        for (index, origin) in config.origins.iter().enumerate() {
            check_origin(origin, &format!("origins.{index}"))?;
        }
        // A provider signs with the client's secret then: whoever has that would be anybody.
        if let Some(index) = config
            .algs
            .iter()
            .position(|alg| alg.secret_bytes().is_some())
        {
            let message = "is of a shared secret, and ID tokens are signed with the provider's key";
            return Err(BuildError::new(&format!("algs.{index}"), message));
        }
        if config.login.is_some() && config.login == config.logout {
            return Err(BuildError::new("logout", "is the path of `login`"));
        }
        let own = redirect.origin().ascii_serialization();
        Ok(Self {
            client: Client {
                secret: secret(&config.client_secret, env)?,
                id: config.client_id,
                redirect_uri: config.redirect_uri,
            },
            scope: scope(&config.scopes)?,
            algs: config.algs,
            paths: paths(&config.claims)?,
            roles: config.roles,
            keep: keep(config.keep)?,
            cookie,
            seal,
            life,
            origins: Origins::new(own, &config.origins),
            login: path(config.login, &redirect, "login")?,
            logout: path(config.logout, &redirect, "logout")?,
            after_logout: after_logout(config.after_logout, &redirect)?,
            refresh: refresh(config.refresh)?,
            leeway_s: leeway(config.leeway)?,
            issuer: config.issuer,
            redirect,
        })
    }
}

fn paths(claims: &Mapping) -> Result<Paths, BuildError> {
    claims.compile().map_err(|key| {
        BuildError::new(&format!("claims.{key}"), "is no way to a claim")
            .hint("names with dots between: `realm_access.roles`")
    })
}

fn read(reference: &Reference, env: &Env, at: &str) -> Result<String, BuildError> {
    reference
        .read(env)
        .map_err(|error| BuildError::new(at, error.to_string()))
}

fn secret(reference: &Reference, env: &Env) -> Result<String, BuildError> {
    let text = read(reference, env, "client_secret")?;
    let secret = text.trim();
    let good = !secret.is_empty() && !secret.chars().any(char::is_control);
    good.then(|| secret.to_owned())
        .ok_or_else(|| BuildError::new("client_secret", "is empty, or more than one line"))
}

fn redirect(text: &str) -> Result<Url, BuildError> {
    let fault = |message: &str| {
        BuildError::new("redirect_uri", message)
            .hint("write it as the provider has it: `https://edge.example.com/auth/callback`")
    };
    let url: Url = text.parse().map_err(|_| fault("is no URL"))?;
    if url.scheme() != "https" {
        return Err(fault("is not `https`: browsers would not keep the cookie"));
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err(fault("has more than a host and a path"));
    }
    if url.as_str() != text {
        // It is compared byte for byte at the provider, and a browser asks for what it reads.
        return Err(fault(&format!("is not as a browser writes it, `{url}`")));
    }
    Ok(url)
}

fn cookie_name(name: Option<String>) -> Result<String, BuildError> {
    let name = name.unwrap_or_else(|| "__Host-session".into());
    let rest = name.strip_prefix("__Host-").ok_or_else(|| {
        BuildError::new("cookie.name", "does not begin with `__Host-`")
            .hint("only then do browsers keep it from sister sites: `__Host-staff`")
    })?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if rest.is_empty() || name.len() > 64 || !rest.bytes().all(plain) {
        return Err(BuildError::new("cookie.name", "is no name for a cookie")
            .hint("at most 64 of letters, digits, `_` and `-`"));
    }
    Ok(name)
}

fn life(ttl: Option<Period>, idle: Option<Period>) -> Result<Life, BuildError> {
    let ttl = ttl.unwrap_or(Period(Duration::from_secs(8 * 3600)));
    let idle = idle.unwrap_or(Period(Duration::from_secs(30 * 60).min(ttl.0)));
    if ttl.0 > MAX_TTL {
        return Err(BuildError::new("cookie.ttl", "more than `7d`"));
    }
    if idle.0 < Duration::from_secs(1) {
        return Err(BuildError::new("cookie.idle", "less than `1s`"));
    }
    if idle > ttl {
        return Err(BuildError::new(
            "cookie.idle",
            format!("longer than a session lasts, {ttl}"),
        ));
    }
    Ok(Life::new(ttl.0, idle.0))
}

fn scope(scopes: &[String]) -> Result<String, BuildError> {
    // RFC 6749 §3.3.
    let word = |text: &String| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
    };
    if let Some(index) = scopes.iter().position(|scope| !word(scope)) {
        return Err(BuildError::new(&format!("scopes.{index}"), "is no scope"));
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(BuildError::new("scopes", "does not ask for `openid`")
            .hint("without it the provider says of nobody who they are"));
    }
    Ok(scopes.join(" "))
}

fn keep(names: Vec<String>) -> Result<Vec<String>, BuildError> {
    match names.iter().position(String::is_empty) {
        Some(index) => Err(BuildError::new(&format!("keep.{index}"), "is no claim")),
        None if names.len() > 16 => Err(BuildError::new("keep", "more than 16 claims")
            .hint("all of a session must fit into one cookie")),
        None => Ok(names),
    }
}

/// A path of our own that is not the one where browsers come back to.
fn path(path: Option<String>, redirect: &Url, at: &str) -> Result<Option<String>, BuildError> {
    let Some(path) = path else { return Ok(None) };
    if redirect.join(&path).ok().as_ref().map(Url::path) != Some(&path) || !path.starts_with('/') {
        return Err(BuildError::new(at, format!("`{path}` is no path")).hint("write `/auth/…`"));
    }
    if path == redirect.path() {
        return Err(BuildError::new(at, "is the path of `redirect_uri`"));
    }
    Ok(Some(path))
}

fn after_logout(wish: Option<String>, redirect: &Url) -> Result<String, BuildError> {
    let path = path(wish, redirect, "after_logout")?.unwrap_or_else(|| "/".into());
    Ok(format!("{}{path}", redirect.origin().ascii_serialization()))
}

fn refresh(refresh: Option<Period>) -> Result<Duration, BuildError> {
    let refresh = refresh.map_or(Duration::from_secs(300), |period| period.0);
    if refresh < Duration::from_secs(1) {
        return Err(BuildError::new("refresh", "less than `1s`"));
    }
    Ok(refresh)
}

fn leeway(leeway: Option<Period>) -> Result<i64, BuildError> {
    let leeway = leeway.map_or(30, |period| period.0.as_secs());
    match i64::try_from(leeway) {
        Ok(seconds) if seconds <= 120 => Ok(seconds),
        _ => Err(BuildError::new("leeway", "more than `2m`")),
    }
}
