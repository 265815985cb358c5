//! `gateway schema`: the JSON Schema of the route table, for editors. It is made of the very types
//! that read the table, plugins included, so that it can't say anything else than they do.

use plugin_sdk::{Kind, Registry, Stage};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use crate::plan::{LIMITS, OWN_KEYS};
use crate::table::{self, Reference};

/// The JSON Schema of a route table whose plugins are of these kinds.
pub fn schema(kinds: Registry) -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut properties = properties(&mut generator);
    let revocation = generator.subschema_for::<table::Revocation>().to_value();
    let mut definitions = generator.take_definitions(true);
    for kind in kinds {
        let (schema, needs) = of_kind(kind);
        definitions.insert(format!("plugin.{}", kind.name), schema);
        definitions.extend(needs);
    }
    let plugin = |kind: &Kind| json!({ "$ref": format!("#/$defs/plugin.{}", kind.name) });
    let ways: Map<String, Json> = kinds
        .iter()
        .filter(|kind| kind.stage == Stage::Identify)
        .map(|kind| (kind.name.to_owned(), plugin(kind)))
        .collect();
    let mut way_keys = ways.clone();
    way_keys.insert("mode".into(), mode());
    way_keys.insert("revocation".into(), revocation);
    let way = json!({
        "type": "object",
        "properties": way_keys,
        "additionalProperties": false,
        "oneOf": ways.keys().map(|way| json!({ "required": [way] })).collect::<Vec<_>>(),
    });
    let free = kinds.iter().filter(|kind| !has_own_key(kind));
    let builtin: Vec<Json> = free.map(|kind| with_builtin(kind, &definitions)).collect();
    properties.insert("auth".into(), named("Ways to prove who is calling.", way));
    let limits = kinds
        .iter()
        .filter(|kind| LIMITS.iter().any(|(_, limit)| *limit == kind.name));
    let limit = json!({ "oneOf": limits.map(plugin).collect::<Vec<_>>() });
    properties.insert(
        "limits".into(),
        named("How often and how much somebody may call.", limit),
    );
    let plugins = named("Plugins that routes name.", json!({ "oneOf": builtin }));
    properties.insert("plugins".into(), plugins);
    definitions["Route"]["properties"]["allow"] = json!({ "$ref": "#/$defs/plugin.acl" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The gateway's route table",
        "type": "object",
        "properties": properties,
        "required": ["version", "listeners", "management", "identity", "upstreams", "routes"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The keys that are not made of plugins.
fn properties(generator: &mut SchemaGenerator) -> Map<String, Json> {
    let mut of =
        |schema: fn(&mut SchemaGenerator) -> schemars::Schema| schema(generator).to_value();
    let properties = json!({
        "version": { "const": 1, "description": "The shape of this table." },
        "include": {
            "description": "Further files: `[routes.d/*.yaml]`, from the table's folder on. They may have upstreams, auth, limits, caches, plugins, routes and tests, which are taken into this table; a name that stands in two of them is an error. Paths in them start at the table's folder too.",
            "type": "array",
            "items": { "type": "string" },
        },
        "defaults": of(SchemaGenerator::subschema_for::<table::Defaults>),
        "listeners": named("Sockets that clients reach.", of(SchemaGenerator::subschema_for::<table::Listener>)),
        "management": of(SchemaGenerator::subschema_for::<table::Management>),
        "identity": of(SchemaGenerator::subschema_for::<table::Identity>),
        "redis": of(SchemaGenerator::subschema_for::<Reference>),
        "rights": of(SchemaGenerator::subschema_for::<table::Rights>),
        "overload": of(SchemaGenerator::subschema_for::<table::Overload>),
        "upstreams": named("Where requests go.", of(SchemaGenerator::subschema_for::<table::Upstream>)),
        "caches": named("How answers are kept.", of(SchemaGenerator::subschema_for::<table::Cache>)),
        "routes": { "type": "array", "minItems": 1, "items": of(SchemaGenerator::subschema_for::<table::Route>) },
        "tests": { "type": "array", "items": of(SchemaGenerator::subschema_for::<table::Case>) },
    });
    match properties {
        Json::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn named(description: &str, of: Json) -> Json {
    json!({ "type": "object", "description": description, "additionalProperties": of })
}

fn has_own_key(kind: &Kind) -> bool {
    kind.stage == Stage::Identify || OWN_KEYS.iter().any(|(own, _)| *own == kind.name)
}

/// A kind's schema, and what it needs under names that no other kind has.
fn of_kind(kind: &Kind) -> (Json, Map<String, Json>) {
    let mut schema = kind.schema().to_value();
    rename(&mut schema, kind.name);
    let Some(map) = schema.as_object_mut() else {
        return (schema, Map::new());
    };
    map.remove("$schema");
    map.remove("title");
    if kind.stage != Stage::Identify
        && let Some(properties) = map.get_mut("properties").and_then(Json::as_object_mut)
    {
        properties.insert("mode".into(), mode());
    }
    let needs = match map.remove("$defs") {
        Some(Json::Object(needs)) => needs,
        _ => Map::new(),
    };
    let needs = needs
        .into_iter()
        .map(|(name, need)| (format!("{}.{name}", kind.name), need));
    (schema, needs.collect())
}

/// The key beside every policy's own.
fn mode() -> Json {
    json!({
        "enum": ["enforce", "shadow"],
        "description": "`shadow` refuses nothing and counts what it would have refused.",
    })
}

fn rename(schema: &mut Json, prefix: &str) {
    match schema {
        Json::Object(map) => {
            for (key, value) in map {
                match value {
                    Json::String(target) if key == "$ref" => {
                        *target = target.replace("#/$defs/", &format!("#/$defs/{prefix}."));
                    }
                    other => rename(other, prefix),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| rename(item, prefix)),
        _ => {}
    }
}

/// A kind's schema with the word that chooses it.
fn with_builtin(kind: &Kind, definitions: &Map<String, Json>) -> Json {
    let mut schema = definitions[&format!("plugin.{}", kind.name)].clone();
    schema["properties"]["builtin"] = json!({ "const": kind.name });
    match schema["required"].as_array_mut() {
        Some(required) => required.insert(0, "builtin".into()),
        None => schema["required"] = json!(["builtin"]),
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::table::document::Document;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_kept_schema_is_current() {
        let kept = root().join("deploy/routes.schema.json");
        let text = serde_json::to_string_pretty(&schema(plugins::BUILTIN)).expect("JSON") + "\n";
        expect_test::expect_file![kept].assert_eq(&text);
    }

    #[test]
    fn the_shipped_table_fits_the_schema() {
        let path = root().join("routes.yaml");
        let text = std::fs::read_to_string(&path).expect("the shipped table");
        let document = Document::parse(&path, &text, &mut crate::finding::Findings::default());
        let table = document.expect("YAML").root().to_json();
        let validator = jsonschema::validator_for(&schema(plugins::BUILTIN)).expect("a schema");
        let errors: Vec<String> = validator
            .iter_errors(&table)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        for (what, with) in [
            ("version: 1", "version: 2"),
            ("auth: user\n", "auht: user\n"),
            ("rate: 5/1m", "rate: 5"),
        ] {
            let spoilt = text.replacen(what, with, 1);
            assert_ne!(spoilt, text);
            let document =
                Document::parse(&path, &spoilt, &mut crate::finding::Findings::default());
            let table = document.expect("YAML").root().to_json();
            assert!(!validator.is_valid(&table), "{with} fits");
        }
    }
}
