//! What lies at the top of the repository: a newcomer's first look.

use std::fs;

use crate::{clean, finds, tree};

#[rustfmt::skip]
const ENTRIES: &[&str] = &[
    // What is built and run.
    "Cargo.toml", "Cargo.lock", "Makefile", "routes.yaml", "gateway", "plugins", "backends", "deploy", "loadtest", "certs",
    // What is read.
    "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE",
    // What tools want there.
    ".cargo", ".ci", ".clippy.toml", ".git", ".gitignore", "rust-toolchain.toml",
    // What a run leaves, never committed.
    "target", "var",
];

fn strangers<'a>(entries: impl Iterator<Item = &'a str>) -> Vec<String> {
    entries
        .filter(|name| !ENTRIES.contains(name))
        .map(|name| {
            format!(
                "{name} is not one of the entries of the repository's top: it belongs into a room"
            )
        })
        .collect()
}

#[test]
fn the_top_is_fixed() {
    let entries = fs::read_dir(tree::root()).expect("the root is read");
    let names: Vec<_> = entries
        .map(|it| {
            it.expect("an entry is read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    clean(&strangers(names.iter().map(String::as_str)));
}

#[test]
fn a_stranger_at_the_top_is_found() {
    finds(&strangers(["gateway", "scripts"].into_iter()), "scripts");
}
