//! What holds for every room: the list, the files, the examples and the schemas agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_sdk::Kind;
use plugin_sdk::testing::{NoTasks, TestEnv};
use serde_json::Value;

use super::*;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The example in a room's doc, as the route table would be read.
fn example(kind: &Kind) -> Value {
    let file = source().join(format!("{}.rs", kind.name));
    let text = std::fs::read_to_string(file).expect("the room's file");
    let doc: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .skip_while(|line| *line != "```yaml")
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert!(
        !doc.is_empty(),
        "{}: no ```yaml example in its doc",
        kind.name
    );
    let example: Value = serde_saphyr::from_str(&doc.join("\n")).expect("YAML");
    example[kind.name].clone()
}

/// What a plugin is lent while its example is built.
fn lent(kind: &Kind) -> TestEnv {
    TestEnv::new(source().join(kind.name), Arc::new(NoTasks))
}

/// Whether a room is no plugin, but what some of them share.
fn shared(name: &str) -> bool {
    let list = std::fs::read_to_string(source().join("lib.rs")).expect("the list");
    list.lines().any(|line| line == format!("mod {name};"))
}

#[test]
fn every_file_is_in_the_list() {
    let files: BTreeSet<String> = std::fs::read_dir(source())
        .expect("the sources")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "lib" && name != "tests" && !shared(name))
        .collect();
    let listed: BTreeSet<String> = BUILTIN.iter().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(files, listed);
    assert_eq!(listed.len(), BUILTIN.len(), "a name is there twice");
}

#[test]
fn every_example_builds() {
    for kind in BUILTIN {
        if let Err(error) = kind.build(example(kind), &lent(kind).env) {
            panic!("{}: at {:?}: {error}", kind.name, error.at);
        }
    }
}

#[test]
fn every_key_that_is_not_known_is_refused() {
    for kind in BUILTIN {
        let mut config = example(kind);
        config["no_such_key"] = true.into();
        let error = kind.build(config, &lent(kind).env).err().expect(kind.name);
        assert!(
            error.message.contains("no_such_key"),
            "{}: {error}",
            kind.name
        );
    }
}

#[test]
fn every_schema_explains_the_keys_of_its_example() {
    for kind in BUILTIN {
        let schema = kind.schema().to_value();
        assert_eq!(schema["additionalProperties"], false, "{}", kind.name);
        let example = example(kind);
        for key in example.as_object().expect("a mapping").keys() {
            let known = &schema["properties"][key];
            assert!(known.is_object(), "{}: no `{key}` in the schema", kind.name);
        }
        for (key, property) in schema["properties"].as_object().expect("an object") {
            let says = property["description"].as_str().unwrap_or_default();
            assert!(
                !says.is_empty(),
                "{}: `{key}` has no description",
                kind.name
            );
        }
    }
}
