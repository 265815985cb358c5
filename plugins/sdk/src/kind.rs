use std::sync::Arc;

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
            .map(ToString::to_string)
            .filter(|step| step != "?")
            .collect(),
        message: error.inner().to_string(),
        hint: None,
    })?;
    Ok(Arc::new(P::build(config, env)?))
}
