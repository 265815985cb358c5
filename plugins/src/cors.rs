//! Tells browsers which sites may call us, and answers their preflights.
//!
//! ```yaml
//! cors:
//!   origins: ["https://app.example.com"] # compared whole; `*` only without credentials
//!   methods: [GET, POST, PUT, PATCH, DELETE] # default: GET, HEAD, POST
//!   headers: [authorization, content-type, idempotency-key]
//!   expose: [x-request-id, ratelimit]
//!   credentials: true
//!   max_age: 10m
//! ```
//!
//! It stands at the edge and edits every answer, our own refusals too: else a browser hides our
//! 401 behind an error of its own.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use plugin_sdk::{BuildError, Env, Flow, Head, Period, Reply, Request, ResponseHead, Seen, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

mod origin;

use origin::Origins;

pub(crate) use origin::check_origin;

const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers");

/// Who may call from a browser, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origins as browsers send them, `https://app.example.com`; or `*` alone, without credentials.
    #[schemars(length(min = 1))]
    pub origins: Vec<String>,
    /// Methods that a preflight may ask for. Default: the three that need no preflight.
    #[serde(default = "simple_methods")]
    pub methods: Vec<String>,
    /// Request headers that a preflight may ask for.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Response headers that the page's script may read.
    #[serde(default)]
    pub expose: Vec<String>,
    /// Whether cookies and other credentials of the browser may come along.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember a preflight. Default: the browsers' own, 5 seconds.
    #[serde(default)]
    pub max_age: Option<Period>,
}

fn simple_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(String::from).into()
}

/// The plugin.
pub struct Plugin {
    origins: Origins,
    credentials: bool,
    expose: Option<HeaderValue>,
    /// What an allowed origin's preflight is told.
    preflight: Vec<(HeaderName, HeaderValue)>,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "cors";
    const STAGE: Stage = Stage::Edge;
    type Config = Config;

    fn build(config: Config, _env: &Env) -> Result<Self, BuildError> {
        let origins = Origins::build(&config.origins, config.credentials)?;
        let mut preflight = Vec::new();
        let methods = list::<Method>(&config.methods, "methods")?;
        preflight.extend(methods.map(|value| (ACCESS_CONTROL_ALLOW_METHODS, value)));
        let headers = list::<HeaderName>(&config.headers, "headers")?;
        preflight.extend(headers.map(|value| (ACCESS_CONTROL_ALLOW_HEADERS, value)));
        let max_age = config.max_age.map(|Period(age)| age.as_secs().into());
        preflight.extend(max_age.map(|value| (ACCESS_CONTROL_MAX_AGE, value)));
        Ok(Self {
            origins,
            credentials: config.credentials,
            expose: list::<HeaderName>(&config.expose, "expose")?,
            preflight,
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        if !is_preflight(&request.head) {
            return Flow::Continue;
        }
        // A stranger's preflight gets the same status and none of the permissions: it learns
        // nothing of the route. No upstream sees a preflight.
        let mut reply = Reply::empty(StatusCode::NO_CONTENT);
        if self.allowed(&request.head).is_some() {
            reply.headers.extend(self.preflight.iter().cloned());
        }
        reply.headers.append(VARY, VARY_PREFLIGHT);
        Flow::Reply(Box::new(reply))
    }

    fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        let headers = &mut head.headers;
        // One voice: what an upstream says of origins doesn't get through.
        headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        if !matches!(self.origins, Origins::Any) {
            // Also without an origin: else a cache would hand this answer to a browser.
            headers.append(VARY, VARY_ORIGIN);
        }
        let Some(origin) = self.allowed(&seen.head) else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(expose) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

impl Plugin {
    /// What the request's origin is told, when it is one that may call.
    fn allowed(&self, head: &Head<'_>) -> Option<HeaderValue> {
        self.origins.allow(head.single(&ORIGIN)?)
    }
}

/// Fetch §4.8: `OPTIONS` alone is an ordinary request.
fn is_preflight(head: &Head<'_>) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// A comma-separated list of names, each checked; `None` when there is none.
fn list<T: std::str::FromStr>(
    names: &[String],
    field: &str,
) -> Result<Option<HeaderValue>, BuildError> {
    for (index, name) in names.iter().enumerate() {
        let at = format!("{field}.{index}");
        if name == "*" {
            return Err(BuildError::new(&at, "`*` is not taken here").hint("name each one"));
        }
        if name.parse::<T>().is_err() {
            return Err(BuildError::new(
                &at,
                format!("`{name}` is not one of {field}"),
            ));
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    HeaderValue::from_str(&names.join(", "))
        .map(Some)
        .map_err(|_| BuildError::new(field, "not a list that a header can hold"))
}

#[cfg(test)]
mod tests;
