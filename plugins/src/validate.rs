//! Refuses requests that the backend's OpenAPI document does not describe.
//!
//! ```yaml
//! validate:
//!   document: openapi.json # OpenAPI 3.1, as JSON
//!   operation: createTransfer # its operationId
//! ```

use std::path::PathBuf;

use plugin_sdk::{BuildError, Env, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a request must look like.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An OpenAPI 3.1 document as JSON; the path starts at the route table's folder.
    pub document: PathBuf,
    /// The `operationId` in it.
    pub operation: String,
}

/// The plugin.
pub struct Plugin;

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "validate";
    const STAGE: Stage = Stage::Shape;
    type Config = Config;

    fn build(_config: Config, _env: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
}
