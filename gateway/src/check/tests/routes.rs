use expect_test::expect;

use super::*;

#[test]
fn routes() {
    spoilt(
        "  - id: me.read\n    match: { method: GET, path: \"/v1/me/{part}\" }\n    to: users\n",
        "  - method: GET\n",
        expect![[r#"
            error[route.key.unknown]: route 3 has no key `method`
              --> routes.yaml:38:5      hint: there is: id, match, to, rewrite, strip_prefix, mirror, redirect, respond, answered_by, auth, why_public, allow, limits, validate, cache, plugins, timeout, max_body, pass_authorization, websocket, retries, priority
            error[route.match.missing]: route 3 does not say which requests it takes
              --> routes.yaml:38:5      hint: add `match: { method: GET, path: /v1/… }`
            error[route.id.missing]: route 3 has no id
              --> routes.yaml:38:5      hint: add `id: wallets.read`
            error[route.to.missing]: route 3 goes nowhere
              --> routes.yaml:38:5      hint: add `to:` and an upstream's name, `redirect:` or `respond:`
            routes.yaml: refused (4 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "id: rates.list",
        "id: users.login",
        expect![[r#"
            error[route.id.twice]: route "users.login" has the same id as the route on line 25
              --> routes.yaml:32:9
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "id: rates.list",
        "id: rates list",
        expect![[r#"
            error[route.id]: route "rates list" has an id that metrics can't carry
              --> routes.yaml:32:9      hint: 1 to 64 of letters, digits, `.`, `_` and `-`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "path: /v1/rates",
        "path: \"/v1/me/{name}\"",
        expect![[r#"
            error[route.tie]: route "me.read" takes the same requests as route "rates.list" on line 33
              --> routes.yaml:39:12      hint: the order in the file never counts: tell them apart by host, path, method, headers or query
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "path: /v1/rates",
        "path: /v1/rates/",
        expect![[r#"
            error[route.path]: route "rates.list" has a bad path: `/` can never match: the path has an empty segment
              --> routes.yaml:33:33
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "path: /v1/rates",
        "host: Edge.test:443, path: v1/rates",
        expect![[r#"
        error[route.host]: route "rates.list" takes the host `Edge.test:443`, which none has
          --> routes.yaml:33:33      hint: write it in lower case, without a port
        error[route.path]: route "rates.list" has a bad path: `v1/rates` can never match: the path must begin with a slash
          --> routes.yaml:33:54
        routes.yaml: refused (2 errors, 0 warnings)
    "#]],
    );
    spoilt(
        "method: GET",
        "method: [get, TRACE, GET, GET]",
        expect![[r#"
        error[route.method]: route "rates.list" takes `get`, which no route can
          --> routes.yaml:33:22      hint: did you mean `GET`?
        error[route.method]: route "rates.list" takes `TRACE`, which no route can
          --> routes.yaml:33:22      hint: there is: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
        error[route.method]: route "rates.list" takes `GET` twice
          --> routes.yaml:33:22
        routes.yaml: refused (3 errors, 0 warnings)
    "#]],
    );
    spoilt(
        "method: GET",
        "method: []",
        expect![[r#"
            error[route.method]: route "rates.list" takes no method
              --> routes.yaml:33:22      hint: write `method: GET` or `method: [GET, POST]`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    cache: catalog\n",
        "    cache: catalog\n    retries: { on: [timeout], attempts: 9 }\n",
        expect![[r#"
            warning[caches.unused]: no route uses the cache `catalog`
              --> routes.yaml:20:3
            error[route.value]: route "rates.list", `retries.on.[0]`: unknown variant `timeout`, expected `connect`
              --> routes.yaml:38:20      hint: there is: connect
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "    cache: catalog\n",
        "    cache: catalog\n    retries: { on: [connect], attempts: 9 }\n",
        expect![[r#"
            error[route.retries]: route "rates.list" is sent again 9 times
              --> routes.yaml:38:41      hint: at most 3: more only feeds an outage
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    cache: catalog\n",
        "    cache: catalog\n    retries: no\n",
        expect![[r#"
            error[route.value]: route "rates.list", `retries`: invalid value: string "no", expected `none` or `{ on: [connect], attempts: 1 }`
              --> routes.yaml:38:14
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    cache: catalog\n",
        "    cache: catalog\n    plugins: []\n",
        expect![[r#"
            error[route.list.empty]: route "rates.list" has an empty list under `plugins`
              --> routes.yaml:38:14      hint: leave the key out
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    limits: [api]\n",
        "    limits: [api]\n    cache: catalog\n",
        expect![[r#"
            error[route.cache.private]: route "me.read" keeps answers that are meant for one caller
              --> routes.yaml:44:12      hint: only public routes can have a cache
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "routes:",
        "routes: []\ntests: {}\nrest:",
        expect![[r#"
            warning[upstreams.unused]: no route uses the upstream `users`
              --> routes.yaml:7:3
            warning[auth.unused]: no route uses the way to prove who is calling `user`
              --> routes.yaml:9:3
            warning[limits.unused]: no route uses the limit `login`
              --> routes.yaml:17:3
            warning[limits.unused]: no route uses the limit `api`
              --> routes.yaml:18:3
            warning[caches.unused]: no route uses the cache `catalog`
              --> routes.yaml:20:3
            error[routes.missing]: `routes` are missing: every request would be a 404
              --> routes.yaml:24:9      hint: add a list: `routes: [{ id: …, match: …, to: …, auth: … }]`
            error[tests.value]: `tests` must be a list
              --> routes.yaml:25:8
            error[key.unknown]: the table has no key `rest`
              --> routes.yaml:26:1      hint: there is: version, include, defaults, listeners, management, identity, redis, overload, upstreams, auth, rights, limits, caches, plugins, routes, tests
            error[yaml.key.duplicate]: `tests` stands there twice, first on line 25
              --> routes.yaml:46:1
            routes.yaml: refused (4 errors, 5 warnings)
        "#]],
    );
}

#[test]
fn validation() {
    spoilt(
        "openapi.json#login",
        "openapi.json",
        expect![[r#"
            error[route.validate]: route "users.login" is validated by `openapi.json`, which names no operation
              --> routes.yaml:31:15      hint: write `document.json#operationId`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "openapi.json#login",
        "missing.json#login",
        expect![[r#"
            error[route.file]: route "users.login" names `missing.json`, which can't be read: No such file or directory (os error 2)
              --> routes.yaml:31:15
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "openapi.json#login",
        "openapi.json#logon",
        expect![[r#"
            error[route.validate.value]: route "users.login", `operation`: openapi.json has no operation `logon`
              --> routes.yaml:31:15      hint: did you mean `login`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    limits: [login]\n",
        "    limits: [login]\n    max_body: 1MiB\n",
        expect![[r#"
            error[route.max_body]: route "users.login" validates bodies of up to 1MiB
              --> routes.yaml:31:15      hint: a validated body waits whole for its judgement: at most `64KiB`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn tests_of_the_table() {
    spoilt(
        "expect: { status: 401 }",
        "expect: { status: 403 }",
        expect![[r#"
            error[test.failed]: test 2 failed: `GET /v1/me/name` is refused by `me.read` with 401
              --> routes.yaml:46:41      hint: expected a refusal with 403
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "expect: { route: me.read }",
        "expect: { route: rates.list }",
        expect![[r#"
            error[test.failed]: test 1 failed: `GET /v1/me/name` reaches `me.read`
              --> routes.yaml:45:64      hint: expected it to reach `rates.list`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "as: { roles: [user] }",
        "as: { role: user }",
        expect![[r#"
        error[test.key.unknown]: test 1 has no key `role`
          --> routes.yaml:45:39      hint: did you mean `roles`?
        error[test.failed]: test 1 failed: `GET /v1/me/name` is refused by `me.read` with 403
          --> routes.yaml:45:61      hint: expected it to reach `me.read`
        routes.yaml: refused (2 errors, 0 warnings)
    "#]],
    );
    spoilt(
        "request: GET /v1/me/name, expect: { status: 401 }",
        "request: /v1/me, expect: {}",
        expect![[r#"
            error[test.request]: test 2 asks nothing
              --> routes.yaml:46:16      hint: write `request: GET /v1/me`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "request: GET /v1/me/name, expect: { status: 401 }",
        "request: GET /v1/me, expect: {}",
        expect![[r#"
            error[test.expect]: test 2 expects nothing
              --> routes.yaml:46:36      hint: write `expect: { route: … }` or `expect: { status: 401 }`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "request: GET /v1/me/name, expect",
        "request: GET /v1/me/name, headers: { \"a b\": c }, expect",
        expect![[r#"
            error[test.headers]: test 2 sends a bad header `a b`
              --> routes.yaml:46:51
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn more_conditions_than_anybody_reads() {
    let many: Vec<String> = (0..17).map(|number| format!("p{number}: x")).collect();
    let many = format!("path: /v1/rates, query: {{ {} }} }}", many.join(", "));
    spoilt(
        "path: /v1/rates }",
        &many,
        expect![[r#"
        error[route.conditions]: route "rates.list" asks for too much at once
          --> routes.yaml:33:12      hint: at most 16 headers and parameters
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
}
