use expect_test::expect;

use super::*;

#[test]
fn listeners() {
    spoilt(
        "edge: {",
        "edge: { http: [h2],",
        expect![[r#"
            error[listener.http]: listener "edge" must offer `h1`
              --> routes.yaml:3:17      hint: write `[h1]` or `[h1, h2]`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "edge: {",
        "edge: { trusted_proxies: [10.0.0.1/8, balancer],",
        expect![[r#"
        error[listener.network]: listener "edge" trusts `10.0.0.1/8`, which is no address block
          --> routes.yaml:3:29      hint: did you mean `10.0.0.0/8`?
        error[listener.network]: listener "edge" trusts `balancer`, which is no address block
          --> routes.yaml:3:41      hint: write it as `10.0.0.0/8`
        routes.yaml: refused (2 errors, 0 warnings)
    "#]],
    );
    spoilt(
        "cert: edge.pem, key: edge.key",
        "cert: edge.key, key: nowhere.key",
        expect![[r#"
            error[listener.file]: listener "edge" names `nowhere.key`, which can't be read: No such file or directory (os error 2)
              --> routes.yaml:3:63
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "cert: edge.pem",
        "cert: edge.key",
        expect![[r#"
            error[listener.certificate]: listener "edge" has no good certificate: edge.key can't be read: it holds no certificate
              --> routes.yaml:3:40
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "tls: { cert: edge.pem, key: edge.key }",
        "tls: { crt: edge.pem, key: edge.key }",
        expect![[r#"
            error[listener.key.unknown]: listener "edge" has no key `crt`
              --> routes.yaml:3:42      hint: did you mean `cert`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "\"127.0.0.1:8443\", tls: { cert: edge.pem, key: edge.key }",
        "\"0.0.0.0:8080\"",
        expect![[r#"
            warning[listener.plain]: listener "edge" speaks plain HTTP on an address that others reach
              --> routes.yaml:3:17      hint: add `tls: { cert: …, key: … }`, or `redirect: https`
            routes.yaml: good (3 routes, 1 warning)
        "#]],
    );
    spoilt(
        "\"127.0.0.1:9440\"",
        "9440",
        expect![[r#"
            error[management.value]: `management`, `bind`: invalid type: integer `9440`, expected socket address
              --> routes.yaml:4:21      hint: write it as `127.0.0.1:9440`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "listeners:\n",
        "management: {}\nlisteners: {}\nrest:\n",
        expect![[r#"
            error[management.key.missing]: `management` lacks `bind`
              --> routes.yaml:2:13
            error[listeners.missing]: `listeners` are missing: nobody could reach us
              --> routes.yaml:3:12      hint: add `listeners: { edge: { bind: "127.0.0.1:8443", tls: { cert: …, key: … } } }`
            error[key.unknown]: the table has no key `rest`
              --> routes.yaml:4:1      hint: there is: version, include, defaults, listeners, management, identity, redis, overload, upstreams, auth, rights, limits, caches, plugins, routes, tests
            error[yaml.key.duplicate]: `management` stands there twice, first on line 2
              --> routes.yaml:6:1
            routes.yaml: refused (4 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn upstreams() {
    spoilt(
        "[\"http://127.0.0.1:9081\"]",
        "[]",
        expect![[r#"
            error[upstream.targets.empty]: upstream "users" has no targets
              --> routes.yaml:7:21      hint: write `targets: ["http://127.0.0.1:9081"]`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "[\"http://127.0.0.1:9081\"]",
        "[\"http://a:1\", \"http://a:1\", \"https://b:1\", b, \"http://c\"]",
        expect![[r#"
            error[upstream.target.twice]: upstream "users" names the target `http://a:1` twice
              --> routes.yaml:7:36
            error[upstream.targets.mixed]: upstream "users" mixes `http` and `https`: `https://b:1`
              --> routes.yaml:7:50      hint: a request would be encrypted or not by chance: make them alike
            error[upstream.target]: upstream "users" can't reach `b`
              --> routes.yaml:7:65      hint: write it as `http://host:port` or `https://host:port`
            error[upstream.target]: upstream "users" can't reach `http://c`
              --> routes.yaml:7:68      hint: say its port: `http://host:port`
            routes.yaml: refused (4 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "9081\"] }",
        "9081\"], health: { path: readyz, every: 0s } }",
        expect![[r#"
            error[upstream.health]: upstream "users" is asked on a path that is none
              --> routes.yaml:7:64      hint: write it as `/readyz`
            error[upstream.zero]: upstream "users" gives `health.every` no time
              --> routes.yaml:7:79      hint: write `2s` or leave the key out
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn times_and_sizes() {
    spoilt(
        "defaults: {",
        "defaults: { timeout: 0s, max_header: 1MiB, retries: { on: [], attempts: 1 },",
        expect![[r#"
            error[defaults.zero]: `defaults` gives `timeout` no time
              --> routes.yaml:23:22      hint: write `5s` or leave the key out
            error[defaults.max_header]: `defaults` takes heads of up to 1MiB
              --> routes.yaml:23:38      hint: between `1KiB` and `64KiB`
            error[defaults.retries]: `defaults` is sent again on no fault, or not once
              --> routes.yaml:23:53      hint: write `retries: none`
            routes.yaml: refused (3 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "edge: {",
        "edge: { header_timeout: 0s,",
        expect![[r#"
        error[listener.zero]: listener "edge" gives `header_timeout` no time
          --> routes.yaml:3:27      hint: write `10s` or leave the key out
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    spoilt(
        "cert: edge.pem",
        "cert: \"-----BEGIN PRIVATE KEY-----\"",
        expect![[r#"
            error[listener.literal]: listener "edge" holds a key itself where its file should be named
              --> routes.yaml:3:48      hint: secrets don't stand in the table
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}
