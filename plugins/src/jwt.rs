//! Knows a caller by a signed access token (RFC 9068) in `Authorization: Bearer`.
//!
//! ```yaml
//! jwt:
//!   issuer: https://id.example.com
//!   audience: api
//!   jwks: https://id.example.com/.well-known/jwks.json # or $file:keys/jwks.json
//!   algs: [EdDSA, ES256]
//!   stale_keys: 1h # how long known keys are trusted while the issuer can't be reached
//! ```

use plugin_sdk::{BuildError, Env, Period, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whose tokens are believed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The `iss` of the tokens, compared whole.
    pub issuer: String,
    /// Must be the `aud` of the tokens or one of them.
    pub audience: String,
    /// Where the issuer's public keys are: a URL, or `$file:` and a path.
    pub jwks: String,
    /// The algorithms that the issuer signs with. Shared-secret ones can't be said.
    pub algs: Vec<Alg>,
    /// How long known keys are trusted while the issuer can't be reached. Then 503.
    pub stale_keys: Period,
    /// Between two fetches of the keys.
    #[serde(default = "five_minutes")]
    pub refresh: Period,
    /// How much the issuer's clock may differ from ours; at most `2m`.
    #[serde(default = "thirty_seconds")]
    pub leeway: Period,
}

/// A signature algorithm with a public key (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are the registry's")]
pub enum Alg {
    EdDSA,
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
}

fn five_minutes() -> Period {
    Period(std::time::Duration::from_secs(300))
}

fn thirty_seconds() -> Period {
    Period(std::time::Duration::from_secs(30))
}

/// The plugin.
pub struct Plugin;

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "jwt";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(_config: Config, _env: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
}
