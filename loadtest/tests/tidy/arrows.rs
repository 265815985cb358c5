//! Which room may name which. The map in ARCHITECTURE.md draws the same arrows.

use cargo_metadata::{Dependency, DependencyKind, Metadata};

use crate::{
    clean, finds,
    tree::{self, CARGO},
};

struct Room {
    name: &'static str,
    /// Crates of ours that its shipped code may name.
    names: &'static [&'static str],
    /// Those that its tests may name besides, and what it offers to others' tests by a feature.
    tests_name: &'static [&'static str],
    /// Why no more: printed when an arrow turns.
    because: &'static str,
}

const APP: &[&str] = &["host", "web", "pg", "events", "identity"];
const APP_BECAUSE: &str =
    "apps never name each other, so that each can run in a process of its own: say it by an event";

#[rustfmt::skip]
const ROOMS: &[Room] = &[
    Room { name: "identity", names: &[], tests_name: &[],
        because: "both sides of the wire stand on it, so it stands on nothing of ours" },
    Room { name: "plugin-sdk", names: &["identity"], tests_name: &[],
        because: "a plugin compiles and is tested without the edge" },
    Room { name: "plugins", names: &["plugin-sdk", "identity"], tests_name: &["local"],
        because: "a plugin sees the SDK alone, never the gateway that runs it" },
    Room { name: "gateway", names: &["plugin-sdk", "plugins", "identity"], tests_name: &["local"],
        because: "the edge knows backends by their addresses and documents alone" },
    Room { name: "events", names: &[], tests_name: &[],
        because: "it is what apps tell each other, types without I/O" },
    Room { name: "pg", names: &["events"], tests_name: &["local"],
        because: "storage knows neither HTTP nor any app" },
    Room { name: "host", names: &["pg", "events", "identity"], tests_name: &["local"],
        because: "what starts apps knows no app and no HTTP types of ours" },
    Room { name: "web", names: &["host", "identity", "pg"], tests_name: &["local"],
        because: "what handlers speak knows no app" },
    Room { name: "ledger", names: &["pg"], tests_name: &["local"],
        because: "money's rules know neither HTTP nor who asks" },
    Room { name: "users", names: APP, tests_name: &["local"], because: APP_BECAUSE },
    Room { name: "notifications", names: APP, tests_name: &["local"], because: APP_BECAUSE },
    Room { name: "transactions", names: &["host", "web", "pg", "events", "identity", "ledger"],
        tests_name: &["local"], because: APP_BECAUSE },
    Room { name: "backend", names: &["host", "web", "pg", "users", "transactions", "notifications"],
        tests_name: &["local", "identity"], because: "it lists the apps and starts them; the edge is another process" },
    Room { name: "local", names: &[], tests_name: &[],
        because: "it starts our programs as they are built, as an operator would" },
    Room { name: "loadtest", names: &["local"], tests_name: &[],
        because: "it meets the product from outside, as a client does" },
];

struct Outsider {
    /// The crate, and every crate whose name goes on with a dash.
    name: &'static str,
    only_in: &'static [&'static str],
    because: &'static str,
}

#[rustfmt::skip]
const OUTSIDERS: &[Outsider] = &[
    // Before the next line, which would take it for a part of the proxy.
    Outsider { name: "pingora-limits", only_in: &["plugins"],
        because: "it counts what is under way for `concurrency.rs`, and names nothing of the proxy" },
    Outsider { name: "pingora", only_in: &["gateway"],
        because: "its interfaces break with every 0.x release" },
    Outsider { name: "lettre", only_in: &["notifications"],
        because: "mail leaves by one door" },
    Outsider { name: "argon2", only_in: &["users"],
        because: "passwords are known to one app" },
    Outsider { name: "jsonwebtoken", only_in: &["plugins", "users"],
        because: "one side signs, the other verifies; the rest reads `x-identity`" },
    Outsider { name: "axum", only_in: &["host", "web", "users", "transactions", "notifications", "local"],
        because: "the edge is not built on the backends' framework, and rules know no HTTP" },
    Outsider { name: "sqlx", only_in: &["pg", "host", "web", "ledger", "users", "transactions", "notifications"],
        because: "the edge holds no database" },
    Outsider { name: "tokio", only_in: &["gateway", "plugins", "backend", "host", "web", "pg", "ledger", "users",
            "transactions", "notifications", "local", "loadtest"],
        because: "`identity`, `plugin-sdk` and `events` are types and rules without a runtime" },
];

/// A crate and whom it names; true where only tests see it.
type Named<'a> = (&'a str, Vec<(&'a str, bool)>);

fn ours(metadata: &Metadata) -> Vec<Named<'_>> {
    let for_tests = |to: &Dependency| to.kind == DependencyKind::Development || to.optional;
    let packages = metadata.workspace_packages().into_iter();
    packages
        .map(|package| {
            let named = package.dependencies.iter();
            let named = named.map(|to| (to.name.as_str(), for_tests(to)));
            (package.name.as_str(), named.collect())
        })
        .collect()
}

fn turned(packages: &[Named<'_>]) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, named) in packages {
        let Some(room) = ROOMS.iter().find(|room| room.name == *name) else {
            findings.push(format!(
                "crate {name} has no line in arrows.rs: say whom it may name, and why no more"
            ));
            continue;
        };
        for (to, for_tests) in named {
            let is_ours = ROOMS.iter().any(|room| room.name == *to);
            // A crate's tests may name it anew, to switch on what it offers to others' tests.
            let is_free = room.names.contains(to)
                || (*for_tests && (to == name || room.tests_name.contains(to)));
            if is_ours && !is_free {
                findings.push(format!("{name} -> {to} turns an arrow: {}", room.because));
            }
            let stranger = OUTSIDERS.iter().find(|outsider| {
                let rest = to.strip_prefix(outsider.name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            });
            if let Some(outsider) = stranger.filter(|it| !for_tests && !it.only_in.contains(name)) {
                findings.push(format!(
                    "{name} -> {to} is not for this room: {}",
                    outsider.because
                ));
            }
        }
    }
    findings
}

/// The library is handed its plugins, so that its tests choose others. A module of the same name
/// is its own.
fn names_plugins(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("gateway/src/") || path == "gateway/src/main.rs" {
        return Vec::new();
    }
    let lines =
        tree::code(tree::shipped(path, text)).filter(|(_, line)| line.contains("plugins::BUILTIN"));
    lines
        .map(|(number, _)| {
            format!("{path}:{number} names crate plugins: only the gateway's main.rs does, and hands them in")
        })
        .collect()
}

#[test]
fn arrows_point_as_drawn() {
    clean(&turned(&ours(&CARGO)));
    clean(
        &tree::rust()
            .flat_map(|file| names_plugins(&file.path, &file.text))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_room_on_the_map_stands() {
    let standing = ours(&CARGO);
    let gone = ROOMS
        .iter()
        .filter(|room| !standing.iter().any(|(name, _)| *name == room.name));
    clean(
        &gone
            .map(|room| format!("arrows.rs speaks of {}, which is gone", room.name))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_turned_arrow_is_found() {
    let check = |from, to| turned(&[(from, vec![(to, false)])]);
    finds(&check("users", "transactions"), "by an event");
    finds(&check("identity", "plugin-sdk"), "both sides");
    finds(&check("plugins", "local"), "plugins -> local");
    finds(&check("web", "pingora-core"), "0.x");
    finds(&check("plugins", "pingora-proxy"), "0.x");
    finds(&check("web", "pingora-limits"), "under way");
    finds(&check("plugin-sdk", "tokio"), "without a runtime");
    finds(&check("newcomer", "serde"), "no line");
    clean(&turned(&[(
        "plugins",
        vec![("local", true), ("plugins", true)],
    )]));
    clean(&check("gateway", "plugin-sdk"));
    finds(
        &names_plugins("gateway/src/run.rs", "use plugins::BUILTIN;"),
        "run.rs:1",
    );
    clean(&names_plugins(
        "gateway/src/run.rs",
        "plugins::compile(source);",
    ));
    clean(&names_plugins(
        "gateway/src/check/tests.rs",
        "plugins::BUILTIN",
    ));
    clean(&names_plugins("gateway/src/main.rs", "plugins::BUILTIN"));
}
