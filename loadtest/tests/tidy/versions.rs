//! One version of each dependency, or a reason why there are two.

use std::collections::{BTreeMap, BTreeSet};

use crate::{clean, finds, tree::CARGO};

/// Why crates come in two versions; an entry that is no longer true fails too.
#[rustfmt::skip]
const REASONS: &[(&str, &[&str])] = &[
    ("pingora 0.9.1 reads certificates with x509-parser 0.16, the rest of the world with newer parsers",
        &["asn1-rs", "asn1-rs-derive", "der-parser", "nom", "oid-registry", "x509-parser", "thiserror", "thiserror-impl"]),
    ("pingora 0.9.1 keeps older collections, locks and certificate stores",
        &["hashbrown", "indexmap", "lock_api", "parking_lot", "parking_lot_core", "openssl-probe", "rustls-native-certs",
            "strum", "strum_macros"]),
    ("macros are built with the syn of their day: pingora's derivative with 1, most with 2, the newest with 3",
        &["syn", "synstructure", "heck"]),
    ("argon2, ed25519-dalek and jsonwebtoken stand on RustCrypto's 0.10 generation, sqlx on its 0.11",
        &["block-buffer", "cpufeatures", "crypto-common", "digest", "hkdf", "hmac", "sha2"]),
    ("RustCrypto and pingora draw from rand 0.8, sqlx from 0.10; each brings its getrandom, ahash one more",
        &["rand", "rand_core", "getrandom"]),
    ("reqwest, lettre and serde-saphyr are on base64 0.23, jsonwebtoken and sqlx not yet",
        &["base64"]),
    ("jsonschema's regular expressions are a release ahead of proptest's sets and of zxcvbn's",
        &["bit-vec", "fancy-regex"]),
    ("jsonwebtoken reads keys with pem 3, rcgen writes them with 4",
        &["pem"]),
];

fn unexplained(
    versions: &BTreeMap<&str, BTreeSet<String>>,
    reasons: &[(&str, &[&str])],
) -> Vec<String> {
    let explained: BTreeSet<&str> = reasons
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let twice = |name: &str| versions.get(name).is_some_and(|found| found.len() > 1);
    let new = versions
        .iter()
        .filter(|(name, found)| found.len() > 1 && !explained.contains(*name));
    let new = new.map(|(name, found)| {
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        format!(
            "{name} comes in versions {}: choose one, or say in versions.rs why not",
            found.join(" and ")
        )
    });
    let stale = explained.iter().filter(|name| !twice(name));
    let stale =
        stale.map(|name| format!("versions.rs excuses {name}, which comes in one version now"));
    new.chain(stale).collect()
}

#[test]
fn each_dependency_has_one_version() {
    let mut versions = BTreeMap::<&str, BTreeSet<String>>::new();
    for package in &CARGO.packages {
        versions
            .entry(&package.name)
            .or_default()
            .insert(package.version.to_string());
    }
    clean(&unexplained(&versions, REASONS));
}

#[test]
fn a_second_version_is_found() {
    let check = |found: &[&str], reasons: &[(&str, &[&str])]| {
        let found = found.iter().map(|it| (*it).to_owned()).collect();
        unexplained(&BTreeMap::from([("rand", found)]), reasons)
    };
    finds(&check(&["0.8.0", "0.9.0"], &[]), "0.8.0 and 0.9.0");
    finds(
        &check(&["0.9.0"], &[("proptest is behind", &["rand"])]),
        "one version now",
    );
    clean(&check(
        &["0.8.0", "0.9.0"],
        &[("proptest is behind", &["rand"])],
    ));
    clean(&check(&["0.9.0"], &[]));
}
