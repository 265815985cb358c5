mod access;
mod actions;
mod conformance;
mod form;
mod include;
mod names;
mod proofs;
mod revocation;
mod rights;
mod routes;
mod sockets;
mod tls;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use crate::testing::Folder;

/// A small table in which nothing is wrong. Each case below spoils it in one place or more.
pub(crate) const GOOD: &str = r#"version: 1
listeners:
  edge: { bind: "127.0.0.1:8443", tls: { cert: edge.pem, key: edge.key } }
management: { bind: "127.0.0.1:9440" }
identity: { headers: { x-user-id: sub }, sign: { key: $file:identity.key } }
upstreams:
  users: { targets: ["http://127.0.0.1:9081"] }
auth:
  user:
    jwt:
      issuer: https://localhost:8443
      audience: api
      jwks: http://127.0.0.1:9441/.well-known/jwks.json
      algs: [EdDSA]
      stale_keys: 1h
limits:
  login: { per: ip, rate: 5/1m }
  api: { per: user, rate: 50/1s }
caches:
  catalog: { ttl: 30s }
plugins:
  request_id: { builtin: request_id }
defaults: { plugins: [request_id] }
routes:
  - id: users.login
    match: { method: POST, path: /v1/login }
    to: users
    auth: none
    why_public: signing in
    limits: [login]
    validate: openapi.json#login
  - id: rates.list
    match: { method: GET, path: /v1/rates }
    to: users
    auth: none
    why_public: the same for everybody
    cache: catalog
  - id: me.read
    match: { method: GET, path: "/v1/me/{part}" }
    to: users
    auth: user
    allow: { roles: [user] }
    limits: [api]
tests:
  - { request: GET /v1/me/name, as: { roles: [user] }, expect: { route: me.read } }
  - { request: GET /v1/me/name, expect: { status: 401 } }
"#;

/// What `gateway check` says of a table.
fn check(yaml: &str) -> String {
    let folder = Folder::new();
    let path = folder.write("routes.yaml", yaml);
    said(&folder, &path)
}

fn said(folder: &Folder, path: &Path) -> String {
    let mut out = Vec::new();
    super::check(path, plugins::BUILTIN, super::Format::Text, &mut out)
        .expect("a buffer takes everything");
    let said = String::from_utf8(out).expect("text");
    said.replace(&format!("{}", folder.path("").display()), "")
}

/// What it says when the good table has `with` in place of `what`.
fn spoilt(what: &str, with: &str, expected: Expect) {
    assert!(GOOD.contains(what), "the good table has no {what}");
    expected.assert_eq(&check(&GOOD.replacen(what, with, 1)));
}

#[test]
fn a_good_table_is_good() {
    expect![[r#"
        routes.yaml: good (3 routes, 0 warnings)
    "#]]
    .assert_eq(&check(GOOD));
}

/// The mistakes of many places come out together, in the order of the file.
#[test]
fn all_at_once() {
    let table = GOOD
        .replace("ttl: 30s", "ttl: 30")
        .replace("to: users\n    auth: user", "to: nowhere")
        .replace("limits: [login]", "limits: [logn]\n    timout: 5s")
        .replace("builtin: request_id", "builtin: request_id, accept: true");
    expect![[r#"
        warning[auth.unused]: no route uses the way to prove who is calling `user`
          --> routes.yaml:9:3
        warning[limits.unused]: no route uses the limit `login`
          --> routes.yaml:17:3
        error[cache.value]: cache "catalog", `ttl`: invalid type: integer `30`, expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
          --> routes.yaml:20:19      hint: did you mean `30s`?
        error[plugin.key.unknown]: plugin "request_id" has no key `accept`
          --> routes.yaml:22:38      hint: there is: accept_inbound
        error[route.name.unknown]: route "users.login" names `logn`, which is not in `limits`
          --> routes.yaml:30:14      hint: did you mean `login`?
        error[route.key.unknown]: route "users.login" has no key `timout`
          --> routes.yaml:31:5      hint: did you mean `timeout`?
        error[route.auth.missing]: route "me.read" says nothing about authentication
          --> routes.yaml:39:5      hint: add `auth: user`, or `auth: none` with `why_public: …`
        error[route.name.unknown]: route "me.read" names `nowhere`, which is not in `upstreams`
          --> routes.yaml:41:9      hint: there is: users
        routes.yaml: refused (6 errors, 2 warnings)
    "#]].assert_eq(&check(&table));
}

/// The table that is shipped, with what a clone makes for itself.
fn shipped_table() -> (Folder, PathBuf) {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folder = Folder::new();
    for (from, to) in [
        ("edge.pem", "certs/dev/edge.pem"),
        ("edge.key", "certs/dev/edge.key"),
        ("identity.key", "var/secrets/identity.key"),
    ] {
        let made = std::fs::read_to_string(folder.path(from)).expect("a file");
        let path = folder.write(to, &made);
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("a mode");
    }
    let backends = root.join("backends").canonicalize().expect("the backends");
    std::os::unix::fs::symlink(backends, folder.path("backends")).expect("a link");
    let shipped = std::fs::read_to_string(root.join("routes.yaml")).expect("the shipped table");
    let path = folder.write("routes.yaml", &shipped);
    (folder, path)
}

/// The plan of the table that is shipped.
pub(crate) fn shipped() -> crate::plan::Plan {
    let (_folder, path) = shipped_table();
    let loaded = crate::plan::load(&path, plugins::BUILTIN, &crate::env::inert(&path));
    let loaded = loaded.map_err(|refused| refused.findings.to_string());
    loaded.expect("a good table").plan
}

#[test]
fn the_shipped_table_is_good() {
    let (folder, path) = shipped_table();
    let said = said(&folder, &path);
    assert!(said.contains("routes.yaml: good"), "{said}");
    // Without Redis it says so, and that is all.
    assert!(said.matches("warning[").count() <= 1, "{said}");
    for (id, route) in &shipped().routes {
        let mut links = route.chain.links().iter();
        let limited = links.any(|link| link.plugin.name() == "rate_limit");
        assert!(limited, "anybody may flood `{id}`");
    }
}

/// Every mistake that is looked for anywhere is made somewhere here, and its words are kept.
#[test]
fn each_mistake_has_its_message_kept() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut kept = String::new();
    let mut rooms = vec![source.to_owned()];
    while let Some(room) = rooms.pop() {
        for entry in std::fs::read_dir(room).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                rooms.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            if path.starts_with(source.join("check/tests")) || path.ends_with("check/tests.rs") {
                kept += &text;
            } else if path.starts_with(source.join("plan"))
                || path.starts_with(source.join("table"))
            {
                known.extend(codes(&text));
            }
        }
    }
    // On a machine without any authorities; tests run where there are some.
    known.remove("ca.none");
    let missing: Vec<&String> = known
        .iter()
        .filter(|code| !kept.contains(&format!("{code}]:")))
        .collect();
    assert!(known.len() > 60, "the codes were not found: {known:?}");
    assert!(missing.is_empty(), "no test makes the mistakes {missing:?}");
}

/// The codes of the findings that a piece of source makes, as it writes them.
fn codes(source: &str) -> Vec<String> {
    let made = ["error(", "warning("]
        .into_iter()
        .flat_map(|call| source.split(call).skip(1));
    let literals = made.filter_map(|rest| {
        let (code, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || b"._".contains(&byte);
        code.bytes().all(plain).then(|| code.to_owned())
    });
    literals.filter(|code| !code.is_empty()).collect()
}
