//! What our manifests name, and what must not come in at all.

use std::collections::BTreeSet;

use crate::{
    clean, finds,
    tree::{self, CARGO},
};

/// Never in the build, whoever asks for it.
#[rustfmt::skip]
const BANNED: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls with ring, the only provider"),
    ("openssl-sys", "TLS is rustls with ring, the only provider"),
    ("boring", "TLS is rustls with ring, the only provider"),
    ("native-tls", "TLS is rustls with ring, the only provider"),
    ("aws-lc-rs", "a second provider would have to be chosen between at run time; it also wants cmake"),
    ("aws-lc-sys", "a second provider would have to be chosen between at run time; it also wants cmake"),
];

/// Not named by us; a dependency may bring it.
#[rustfmt::skip]
const NOT_BY_US: &[(&str, &str)] = &[
    ("serde_yaml", "it is archived: serde-saphyr reads YAML, with lines and budgets"),
    ("chrono", "time is the clock everywhere"),
    ("lazy_static", "std has LazyLock"),
    ("once_cell", "std has OnceLock and LazyLock"),
];

/// Named in a manifest though no file of the crate says its name.
#[rustfmt::skip]
const SILENT: &[(&str, &str, &str)] = &[];

fn banned(build: &BTreeSet<&str>, named: &BTreeSet<&str>) -> Vec<String> {
    let found = |list: &'static [(&str, &str)], among: &BTreeSet<&str>| -> Vec<String> {
        let met = list.iter().filter(|(name, _)| among.contains(name));
        met.map(|(name, why)| format!("{name} must not be used: {why}"))
            .collect()
    };
    [found(BANNED, build), found(NOT_BY_US, named)].concat()
}

/// A dependency that no file speaks of only costs build time.
fn is_unused(dependency: &str, texts: &[&str]) -> bool {
    let name = dependency.replace('-', "_");
    let speaks = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == name)
    };
    !texts.iter().any(|text| speaks(text))
}

#[test]
fn nothing_banned_comes_in() {
    let build = CARGO.packages.iter().map(|it| it.name.as_str()).collect();
    let ours = CARGO.workspace_packages();
    let named = ours
        .iter()
        .flat_map(|it| &it.dependencies)
        .map(|it| it.name.as_str())
        .collect();
    clean(&banned(&build, &named));
}

#[test]
fn every_dependency_is_used() {
    let mut findings = Vec::new();
    for package in CARGO.workspace_packages() {
        let home = package
            .manifest_path
            .parent()
            .expect("a manifest lies in a directory");
        let home = home
            .strip_prefix(tree::root())
            .expect("ours lie below the root")
            .as_str();
        let below = |path: &str, room: &str| path.starts_with(&format!("{home}/{room}/"));
        let texts: Vec<&str> = tree::rust()
            .filter(|it| {
                ["src", "tests", "benches", "examples", "fuzz"]
                    .iter()
                    .any(|room| below(&it.path, room))
                    || it.path == format!("{home}/build.rs")
            })
            .map(|it| it.text.as_str())
            .collect();
        for to in &package.dependencies {
            // A crate names itself in its tests to switch on what it offers to others' tests.
            let silent = to.name == package.name.as_str()
                || SILENT
                    .iter()
                    .any(|it| it.0 == package.name.as_str() && it.1 == to.name);
            if !silent && is_unused(to.rename.as_ref().unwrap_or(&to.name), &texts) {
                findings.push(format!(
                    "{home}/Cargo.toml names {} and no file there uses it",
                    to.name
                ));
            }
        }
    }
    clean(&findings);
}

/// Lines of `[workspace.dependencies]` that no member takes.
fn unclaimed<'a>(manifest: &'a str, named: &BTreeSet<&str>) -> Vec<&'a str> {
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name);
    names
        .filter(|name| !name.starts_with('#') && !named.contains(name))
        .collect()
}

#[test]
fn every_version_in_the_root_is_taken() {
    let ours = CARGO.workspace_packages();
    let named = ours
        .iter()
        .flat_map(|it| &it.dependencies)
        .map(|it| it.name.as_str())
        .collect();
    let manifest = std::fs::read_to_string(tree::root().join("Cargo.toml"))
        .expect("the root's manifest is read");
    clean(
        &unclaimed(&manifest, &named)
            .iter()
            .map(|name| format!("no member takes {name} of the root's Cargo.toml"))
            .collect::<Vec<_>>(),
    );
}

/// The workspace's lints reach only the crates that ask for them.
#[test]
fn every_crate_takes_our_lints() {
    let ours = CARGO.workspace_packages();
    let without = ours.iter().filter(|it| {
        let text = std::fs::read_to_string(&it.manifest_path).expect("a manifest is read");
        !text.contains("[lints]\nworkspace = true")
    });
    clean(
        &without
            .map(|it| format!("{} does not take the workspace's lints", it.name))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn an_unwanted_dependency_is_found() {
    let none = BTreeSet::new();
    finds(
        &banned(&BTreeSet::from(["openssl-sys", "ring"]), &none),
        "rustls",
    );
    finds(&banned(&none, &BTreeSet::from(["serde_yaml"])), "archived");
    clean(&banned(&BTreeSet::from(["serde_yaml"]), &none));
    assert!(is_unused(
        "serde-json",
        &["use serde::Serialize;", "serde_json5::x()"]
    ));
    assert!(!is_unused("serde-json", &["let x = serde_json::json!(1);"]));
    let manifest = "[workspace.dependencies]\n# Ours.\na = \"1\"\nb = { path = \"b\" }\n\n[profile.dev]\nc = 1\n";
    assert_eq!(unclaimed(manifest, &BTreeSet::from(["a"])), ["b"]);
}
