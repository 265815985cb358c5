use expect_test::expect;

use super::*;

#[test]
fn syntax() {
    spoilt(
        "version: 1",
        "version: [1",
        expect![[r#"
            error[yaml.syntax]: illegal placement of ':' indicator
              --> routes.yaml:2:10
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    to: users\n",
        "   to: users\n",
        expect![[r#"
            error[yaml.syntax]: while parsing a block collection, did not find expected '-' indicator
              --> routes.yaml:27:4
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    expect![[r#"
        error[version.unknown]: `version` must be 1: this gateway knows no other shape of the table
          --> routes.yaml:1:1      hint: write `version: 1` on the first line
        error[listeners.missing]: `listeners` are missing: nobody could reach us
          --> routes.yaml:1:1      hint: add `listeners: { edge: { bind: "127.0.0.1:8443", tls: { cert: …, key: … } } }`
        error[management.missing]: `management` is missing: nobody could ask how we are
          --> routes.yaml:1:1      hint: add `management: { bind: "127.0.0.1:9440" }`
        error[identity.missing]: `identity` is missing: upstreams could not know who calls
          --> routes.yaml:1:1      hint: add `identity: { sign: { key: $file:var/secrets/identity.key } }`
        error[routes.missing]: `routes` are missing: every request would be a 404
          --> routes.yaml:1:1      hint: add a list: `routes: [{ id: …, match: …, to: …, auth: … }]`
        routes.yaml: refused (5 errors, 0 warnings)
    "#]].assert_eq(&check(""));
    expect![[r#"
        error[version.unknown]: `version` must be 1: this gateway knows no other shape of the table
          --> routes.yaml:1:1      hint: write `version: 1` on the first line
        error[listeners.missing]: `listeners` are missing: nobody could reach us
          --> routes.yaml:1:1      hint: add `listeners: { edge: { bind: "127.0.0.1:8443", tls: { cert: …, key: … } } }`
        error[management.missing]: `management` is missing: nobody could ask how we are
          --> routes.yaml:1:1      hint: add `management: { bind: "127.0.0.1:9440" }`
        error[identity.missing]: `identity` is missing: upstreams could not know who calls
          --> routes.yaml:1:1      hint: add `identity: { sign: { key: $file:var/secrets/identity.key } }`
        error[routes.missing]: `routes` are missing: every request would be a 404
          --> routes.yaml:1:1      hint: add a list: `routes: [{ id: …, match: …, to: …, auth: … }]`
        routes.yaml: refused (5 errors, 0 warnings)
    "#]].assert_eq(&check("just a word"));
}

#[test]
fn keys() {
    spoilt(
        "version: 1",
        "version: 2",
        expect![[r#"
            error[version.unknown]: `version` must be 1: this gateway knows no other shape of the table
              --> routes.yaml:1:10      hint: write `version: 1` on the first line
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "version: 1\n",
        "",
        expect![[r#"
            error[version.unknown]: `version` must be 1: this gateway knows no other shape of the table
              --> routes.yaml:1:1      hint: write `version: 1` on the first line
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "version: 1",
        "version: 1\nlistener: {}",
        expect![[r#"
            error[key.unknown]: the table has no key `listener`
              --> routes.yaml:2:1      hint: did you mean `listeners`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "version: 1",
        "version: 1\nversion: 1",
        expect![[r#"
            error[yaml.key.duplicate]: `version` stands there twice, first on line 1
              --> routes.yaml:2:1
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    to: users\n",
        "    to: users\n    to: users\n    timout: 5s\n    canary: 5%\n",
        expect![[r#"
            error[yaml.key.duplicate]: `to` stands there twice, first on line 27
              --> routes.yaml:28:5
            error[route.key.unknown]: route "users.login" has no key `timout`
              --> routes.yaml:29:5      hint: did you mean `timeout`?
            error[route.key.unknown]: route "users.login" has no key `canary`
              --> routes.yaml:30:5      hint: there is: id, match, to, rewrite, strip_prefix, mirror, redirect, respond, answered_by, auth, why_public, allow, limits, validate, cache, plugins, timeout, max_body, pass_authorization, websocket, retries, priority
            routes.yaml: refused (3 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "targets:",
        "targts:",
        expect![[r#"
            error[upstream.key.unknown]: upstream "users" has no key `targts`
              --> routes.yaml:7:12      hint: did you mean `targets`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn units() {
    spoilt(
        "ttl: 30s",
        "ttl: 30",
        expect![[r#"
            error[cache.value]: cache "catalog", `ttl`: invalid type: integer `30`, expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:20:19      hint: did you mean `30s`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "{ ttl: 30s }",
        "{ ttl: 1 week, max_size: 1048576, stale: soon }",
        expect![[r#"
            error[cache.value]: cache "catalog", `ttl`: invalid value: string "1 week", expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:20:19      hint: did you mean `7d`?
            error[cache.value]: cache "catalog", `max_size`: invalid type: integer `1048576`, expected a size with its unit, such as `512B`, `64KiB` or `1MiB`
              --> routes.yaml:20:37      hint: did you mean `1MiB`?
            error[cache.value]: cache "catalog", `stale`: invalid value: string "soon", expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:20:53
            routes.yaml: refused (3 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "stale_keys: 1h",
        "stale_keys: 1",
        expect![[r#"
            error[auth.value]: auth "user", `stale_keys`: invalid type: integer `1`, expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:15:19      hint: did you mean `1s`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "rate: 5/1m",
        "rate: 5",
        expect![[r#"
            error[limit.value]: limit "login", `rate`: invalid type: integer `5`, expected a string
              --> routes.yaml:17:27      hint: a bare number lacks its unit; if it is text, put it in quotes
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "  - id: me.read\n",
        "  - id: me.read\n    timeout: \"5\"\n    max_body: 1MB\n",
        expect![[r#"
            error[route.value]: route "me.read", `timeout`: invalid value: string "5", expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:39:14      hint: did you mean `5s`?
            error[route.value]: route "me.read", `max_body`: invalid value: string "1MB", expected a size with its unit, such as `512B`, `64KiB` or `1MiB`
              --> routes.yaml:40:15      hint: did you mean `1MiB`?
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn a_table_that_is_no_text() {
    let folder = Folder::new();
    let path = folder.path("routes.yaml");
    expect![[r#"
        error[file]: the route table can't be read: No such file or directory (os error 2)
          --> routes.yaml:1:1
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&said(&folder, &path));
    std::fs::write(&path, b"version: \xff").expect("a file");
    expect![[r#"
        error[file]: the route table can't be read: stream did not contain valid UTF-8
          --> routes.yaml:1:1
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&said(&folder, &path));
    std::fs::write(&path, vec![b' '; 5 << 20]).expect("a file");
    expect![[r#"
        error[file]: the route table is longer than 4MiB
          --> routes.yaml:1:1
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&said(&folder, &path));
}
