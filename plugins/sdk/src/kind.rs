use std::sync::Arc;

use serde_path_to_error::Segment;

use crate::{AnyPlugin, Env, Plugin, Stage};

/// A kind of plugin that the gateway knows, made by [`Kind::of`].
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name in the route table.
    pub name: &'static str,
    /// Where it stands, unless its configuration moves it.
    pub stage: Stage,
    build: Build,
    schema: fn() -> schemars::Schema,
}

type Build = fn(serde_json::Value, &Env) -> Result<Arc<dyn AnyPlugin>, BuildError>;

/// All the kinds that a gateway has.
pub type Registry = &'static [Kind];

/// Why a plugin's configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// Where in the configuration, as keys and indexes from its root; empty for the whole.
    pub at: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl BuildError {
    /// A fault of one field, or of the whole when `at` is empty. Steps are parted by dots.
    pub fn new(at: &str, message: impl Into<String>) -> Self {
        Self {
            at: at
                .split('.')
                .filter(|step| !step.is_empty())
                .map(String::from)
                .collect(),
            message: message.into(),
            hint: None,
        }
    }

    /// Says what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Kind {
    /// The kind that `P` is.
    pub const fn of<P: Plugin>() -> Self {
        Self {
            name: P::NAME,
            stage: P::STAGE,
            build: build::<P>,
            schema: || schemars::schema_for!(P::Config),
        }
    }

    /// Builds a plugin from what the route table says of it.
    pub fn build(
        &self,
        config: serde_json::Value,
        env: &Env,
    ) -> Result<Arc<dyn AnyPlugin>, BuildError> {
        (self.build)(config, env)
    }

    /// The JSON Schema of its configuration.
    pub fn schema(&self) -> schemars::Schema {
        (self.schema)()
    }
}

fn build<P: Plugin>(
    config: serde_json::Value,
    env: &Env,
) -> Result<Arc<dyn AnyPlugin>, BuildError> {
    let config = serde_path_to_error::deserialize(config).map_err(|error| BuildError {
        at: error
            .path()
            .iter()
            .filter_map(|step| match step {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { variant } => Some(variant.clone()),
                Segment::Unknown => None,
            })
            .collect(),
        message: error.inner().to_string(),
        hint: None,
    })?;
    Ok(Arc::new(P::build(config, env)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::TestEnv;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Config {
        /// How many.
        sides: Vec<u8>,
    }

    struct Dice;

    impl Plugin for Dice {
        const NAME: &'static str = "dice";
        const STAGE: Stage = Stage::Edge;
        type Config = Config;

        fn build(config: Config, _env: &Env) -> Result<Self, BuildError> {
            match config.sides.iter().position(|sides| *sides < 2) {
                None => Ok(Self),
                Some(at) => {
                    Err(BuildError::new(&format!("sides.{at}"), "too few sides")
                        .hint("a coin has two"))
                }
            }
        }
    }

    fn refusal(config: serde_json::Value) -> BuildError {
        let built = Kind::of::<Dice>().build(config, &TestEnv::default().env);
        built.map(|_| ()).expect_err("a refusal")
    }

    #[test]
    fn a_fault_is_located_by_serde_or_by_the_plugin() {
        let error = refusal(json!({ "sides": [6, "six"] }));
        assert_eq!(error.at, ["sides", "1"]);
        let error = refusal(json!({ "sides": [6, 1] }));
        assert_eq!(error.at, ["sides", "1"]);
        assert_eq!(error.hint.as_deref(), Some("a coin has two"));
        let error = refusal(json!({ "sides": [], "side": 1 }));
        assert_eq!(error.to_string(), "unknown field `side`, expected `sides`");
    }

    #[test]
    fn the_schema_knows_the_fields_and_no_other() {
        let schema = Kind::of::<Dice>().schema().to_value();
        assert_eq!(schema["properties"]["sides"]["description"], "How many.");
        assert_eq!(schema["additionalProperties"], false);
    }
}
