use expect_test::expect;

use super::*;

#[test]
fn names() {
    spoilt(
        "to: users\n    auth: user\n",
        "to: user\n    auth: usr\n",
        expect![[r#"
            warning[auth.unused]: no route uses the way to prove who is calling `user`
              --> routes.yaml:9:3
            error[route.name.unknown]: route "me.read" names `user`, which is not in `upstreams`
              --> routes.yaml:40:9      hint: did you mean `users`?
            error[route.name.unknown]: route "me.read" names `usr`, which is not in `auth`
              --> routes.yaml:41:11      hint: did you mean `user`?
            routes.yaml: refused (2 errors, 1 warning)
        "#]],
    );
    spoilt(
        "limits: [login]",
        "limits: [logn, api, api]",
        expect![[r#"
            warning[limits.unused]: no route uses the limit `login`
              --> routes.yaml:17:3
            error[route.name.unknown]: route "users.login" names `logn`, which is not in `limits`
              --> routes.yaml:30:14      hint: did you mean `login`?
            error[route.limit.public]: route "users.login" counts `api` per user and asks nobody who they are
              --> routes.yaml:30:20      hint: name a limit with `per: ip`
            error[route.limit.public]: route "users.login" counts `api` per user and asks nobody who they are
              --> routes.yaml:30:25      hint: name a limit with `per: ip`
            error[route.name.twice]: route "users.login" names `api` twice
              --> routes.yaml:30:25
            routes.yaml: refused (4 errors, 1 warning)
        "#]],
    );
    spoilt(
        "cache: catalog",
        "cache: catalogue",
        expect![[r#"
            warning[caches.unused]: no route uses the cache `catalog`
              --> routes.yaml:20:3
            error[route.name.unknown]: route "rates.list" names `catalogue`, which is not in `caches`
              --> routes.yaml:37:12      hint: did you mean `catalog`?
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "plugins: [request_id]",
        "plugins: [request-id]",
        expect![[r#"
            warning[plugins.unused]: no route uses the plugin `request_id`
              --> routes.yaml:22:3
            error[defaults.name.unknown]: `defaults` names `request-id`, which is not in `plugins`
              --> routes.yaml:23:23      hint: did you mean `request_id`?
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "    cache: catalog\n",
        "    cache: catalog\n    plugins: [request_id, cors]\n",
        expect![[r#"
        error[route.name.twice]: route "rates.list" names `request_id`, which `defaults` gives it already
          --> routes.yaml:38:15
        error[route.name.unknown]: route "rates.list" names `cors`, which is not in `plugins`
          --> routes.yaml:38:27      hint: there is: request_id
        routes.yaml: refused (2 errors, 0 warnings)
    "#]],
    );
}

#[test]
fn unused() {
    let spare = "caches:\n  spare: { ttl: 1s }\n";
    spoilt(
        "caches:\n",
        spare,
        expect![[r#"
            warning[caches.unused]: no route uses the cache `spare`
              --> routes.yaml:20:3
            routes.yaml: good (3 routes, 1 warning)
        "#]],
    );
}

#[test]
fn plugins_by_name() {
    spoilt(
        "{ builtin: request_id }",
        "{ builtin: request-id }",
        expect![[r#"
            error[plugin.kind]: plugin "request_id" is a `request-id`, which there is not
              --> routes.yaml:22:26      hint: did you mean `request_id`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "{ builtin: request_id }",
        "{ grpc: \"unix:/x\" }",
        expect![[r#"
            error[plugin.kind]: plugin "request_id" does not say what it is
              --> routes.yaml:22:15      hint: add `builtin:` with one of request_id, cors, headers
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "{ builtin: request_id }",
        "{ builtin: rate_limit, per: ip }",
        expect![[r#"
            error[plugin.kind]: plugin "request_id" is a `rate_limit`, which has a key of its own
              --> routes.yaml:22:26      hint: say it under `limits`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "{ builtin: request_id }",
        "{ builtin: request_id, accept: true }",
        expect![[r#"
            error[plugin.key.unknown]: plugin "request_id" has no key `accept`
              --> routes.yaml:22:38      hint: there is: accept_inbound
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    jwt:\n",
        "    jwd:\n",
        expect![[r#"
            error[auth.kind]: auth "user" has no way `jwd`
              --> routes.yaml:11:7      hint: did you mean `jwt`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "audience: api\n",
        "audience: api\n      colour: red\n",
        expect![[r#"
            error[auth.key.unknown]: auth "user" has no key `colour`
              --> routes.yaml:13:7      hint: there is: issuer, audience, jwks, discovery, keys, secret, algs, typ, clients, claims, stale_keys, refresh, leeway
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn what_answers_by_itself() {
    spoilt(
        "    to: users\n    auth: user\n",
        "    answered_by: request_id\n    auth: user\n",
        expect![[r#"
            error[route.answered_by]: route "me.read" is answered by `request_id`, which answers nothing itself
              --> routes.yaml:40:18
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    let oidc = "auth:\n  staff:\n    oidc:\n      issuer: https://sso.example.com\n      \
         client_id: edge\n      client_secret: $file:identity.key\n      \
         redirect_uri: https://edge.test/auth/callback\n      \
         cookie: { key: $file:identity.key }\n      algs: [EdDSA]\n";
    let table = GOOD
        .replacen("auth:\n", oidc, 1)
        .replace("    auth: user\n", "    auth: [user, staff]\n");
    expect![[r#"
        error[auth.unanswered]: auth "staff" is to answer GET /auth/callback, and no route has it do that
          --> routes.yaml:10:5      hint: add a route: `match: { method: GET, path: /auth/callback }`, `answered_by: staff`
        warning[route.auth.subjects]: route "me.read" takes `user` or `staff`, and `7` of the one would be `7` of the other
          --> routes.yaml:49:11      hint: give `staff` its `claims: { sub_prefix: "staff:" }`
        routes.yaml: refused (1 error, 1 warning)
    "#]].assert_eq(&check(&table));
    let route = "tests:\n";
    let wrong = "  - id: back\n    match: { method: POST, path: /auth/callback }\n    \
         answered_by: staff\n    auth: none\n    why_public: a test\ntests:\n";
    expect![[r#"
        error[auth.unanswered]: auth "staff" is to answer GET /auth/callback, and no route has it do that
          --> routes.yaml:10:5      hint: add a route: `match: { method: GET, path: /auth/callback }`, `answered_by: staff`
        warning[route.auth.subjects]: route "me.read" takes `user` or `staff`, and `7` of the one would be `7` of the other
          --> routes.yaml:49:11      hint: give `staff` its `claims: { sub_prefix: "staff:" }`
        error[route.answered_by]: route "back" has `staff` answer POST /auth/callback, which it does not
          --> routes.yaml:53:12      hint: it answers GET /auth/callback
        routes.yaml: refused (2 errors, 1 warning)
    "#]].assert_eq(&check(&table.replace(route, wrong)));
}

#[test]
fn a_header_that_is_none() {
    spoilt(
        "{ ttl: 30s }",
        "{ ttl: 30s, vary: [\"accept language\"] }",
        expect![[r#"
            error[cache.vary]: cache "catalog" varies by `accept language`, which is no header's name
              --> routes.yaml:20:31
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}
