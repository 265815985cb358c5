use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use plugin_sdk::{BuildError, Env, parse_json};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The keys of a path item that are operations.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// A reference that leads to more references than this goes in circles.
const MAX_HOPS: usize = 16;

/// An OpenAPI document.
pub(super) struct Document {
    value: Value,
    path: PathBuf,
}

/// One of its operations.
pub(super) struct Operation<'a> {
    pub(super) document: &'a Document,
    pub(super) id: &'a str,
    /// The path with its parameters in braces.
    pub(super) template: &'a str,
    /// What all operations of the path share.
    pub(super) item: &'a Value,
    pub(super) value: &'a Value,
}

impl Document {
    /// Reads a document; what another route has just parsed, with the same content, is shared. The
    /// error names the file.
    pub(super) fn read(path: &Path, env: &Env) -> Result<Arc<Self>, BuildError> {
        let fault = |why: String| BuildError::new("document", format!("{}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        let name = format!("{} {:x}", path.display(), Sha256::digest(&bytes));
        env.try_keep(&name, || {
            let value = parse_json(&bytes, 64).map_err(|error| fault(error.to_string()))?;
            let version = value["openapi"].as_str().unwrap_or_default();
            if !version.starts_with("3.1.") {
                return Err(fault(format!("`openapi` is `{version}`, not 3.1"))
                    .hint("3.1 is the version whose schemas are JSON Schema"));
            }
            Ok(Self {
                value,
                path: path.to_owned(),
            })
        })
    }

    /// The operation of that id.
    pub(super) fn operation<'a>(&'a self, id: &'a str) -> Result<Operation<'a>, BuildError> {
        let mut known = Vec::new();
        for (template, item) in self.value["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                let value = &item[method];
                let Some(name) = value["operationId"].as_str() else {
                    continue;
                };
                if name == id {
                    return Ok(Operation {
                        document: self,
                        id,
                        template,
                        item,
                        value,
                    });
                }
                known.push(name);
            }
        }
        let error = BuildError::new(
            "operation",
            format!("{} has no operation `{id}`", self.path.display()),
        );
        let near = known
            .into_iter()
            .map(|name| (strsim::damerau_levenshtein(name, id), name))
            .min()
            .filter(|(distance, name)| *distance <= name.len() / 2);
        Err(match near {
            Some((_, name)) => error.hint(format!("did you mean `{name}`?")),
            None => error,
        })
    }

    /// Follows a reference within the document; anything else stands for itself.
    pub(super) fn resolve<'a>(&'a self, mut value: &'a Value) -> Option<&'a Value> {
        for _ in 0..MAX_HOPS {
            match value["$ref"].as_str() {
                None => return Some(value),
                Some(reference) => value = self.value.pointer(reference.strip_prefix('#')?)?,
            }
        }
        None
    }

    /// Compiles a schema of this document.
    fn compile(&self, schema: &Value) -> Result<Validator, String> {
        let mut root = schema.clone();
        if let Some(object) = root.as_object_mut() {
            // References in it start at the document's root.
            object.insert("components".into(), self.components_of(schema));
        }
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .should_validate_formats(true)
            // The other engine backtracks: a pattern could be made to take exponential time.
            .with_pattern_options(PatternOptions::regex())
            .build(&root)
            .map_err(|error| error.to_string())
    }

    /// The components that a schema leads to, at the places where its references look for them: to
    /// compile all of them for each of a hundred operations would take seconds.
    fn components_of(&self, schema: &Value) -> Value {
        let mut found: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
        let mut pending = vec![schema];
        while let Some(value) = pending.pop() {
            match value {
                Value::Array(items) => pending.extend(items),
                Value::Object(members) => pending.extend(members.values()),
                _ => continue,
            }
            for key in ["$ref", "$dynamicRef"] {
                let Some(place) = value[key].as_str().and_then(component) else {
                    continue;
                };
                let known = self.value["components"][place.0].get(place.1);
                if let Some(component) = known
                    && found.insert(place, component).is_none()
                {
                    pending.push(component);
                }
            }
        }
        let mut components = Map::new();
        for ((kind, name), component) in found {
            components.entry(kind).or_insert_with(|| json!({}))[name] = component.clone();
        }
        components.into()
    }
}

/// The kind and the name of the component that a reference leads to, or into. Names have no character
/// that would have to be escaped (OpenAPI 3.1, Components Object).
fn component(reference: &str) -> Option<(&str, &str)> {
    let mut steps = reference.strip_prefix("#/components/")?.split('/');
    Some((steps.next()?, steps.next()?))
}

impl Operation<'_> {
    /// A fault of the operation's, named with its file.
    pub(super) fn fault(&self, why: impl std::fmt::Display) -> BuildError {
        BuildError::new(
            "operation",
            format!(
                "{}, operation `{}`: {why}",
                self.document.path.display(),
                self.id
            ),
        )
    }

    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> Result<&'a Value, BuildError> {
        self.document.resolve(value).ok_or_else(|| {
            let to = value["$ref"].as_str().unwrap_or_default();
            self.fault(format!("`{to}` does not lead to a place in this document"))
        })
    }

    /// Compiles a schema of the operation's, which the error calls `what`.
    pub(super) fn compile(&self, schema: &Value, what: &str) -> Result<Validator, BuildError> {
        self.document
            .compile(schema)
            .map_err(|error| self.fault(format!("the schema of {what}: {error}")))
    }
}
