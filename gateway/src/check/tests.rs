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
    let mut out = Vec::new();
    super::check(&path, plugins::BUILTIN, &mut out).expect("a buffer takes everything");
    let prefix = format!("{}/", folder.path("").display()).replace("//", "/");
    String::from_utf8(out).expect("text").replace(&prefix, "")
}

/// What it says when the good table has `with` in place of `what`.
fn spoilt(what: &str, with: &str, expected: Expect) {
    assert!(GOOD.contains(what), "the good table has no {what}");
    expected.assert_eq(&check(&GOOD.replacen(what, with, 1)));
}

#[test]
fn a_good_table_is_good() {
    expect![[""]].assert_eq(&check(GOOD));
}
