use expect_test::expect;

use super::*;

#[test]
fn who_may() {
    spoilt(
        "    auth: user\n",
        "",
        expect![[r#"
            warning[auth.unused]: no route uses the way to prove who is calling `user`
              --> routes.yaml:9:3
            error[route.auth.missing]: route "me.read" says nothing about authentication
              --> routes.yaml:38:5      hint: add `auth: user`, or `auth: none` with `why_public: …`
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "    auth: user\n",
        "    auth: []\n",
        expect![[r#"
            warning[auth.unused]: no route uses the way to prove who is calling `user`
              --> routes.yaml:9:3
            error[route.list.empty]: route "me.read" has an empty list under `auth`
              --> routes.yaml:41:11      hint: name a way, or write `auth: none` with `why_public: …`
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "    auth: user\n",
        "    auth: [user, none]\n",
        expect![[r#"
            error[route.auth.none]: route "me.read" asks for a proof or for none
              --> routes.yaml:41:11      hint: `none` stands alone
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    auth: user\n",
        "    auth: user\n    why_public: by mistake\n",
        expect![[r#"
            error[route.why_public]: route "me.read" says why it is public and is not
              --> routes.yaml:42:17      hint: leave `why_public` out, or write `auth: none`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    auth: user\n",
        "    auth: user\n    pass_authorization: true\n",
        expect![[r#"
            error[route.pass_authorization]: route "me.read" passes `Authorization` on, which is judged here
              --> routes.yaml:42:25      hint: it goes with `auth: none` alone, and without `cache`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "    auth: user\n",
        "    auth: none\n    why_public: \" \"\n",
        expect![[r#"
            warning[auth.unused]: no route uses the way to prove who is calling `user`
              --> routes.yaml:9:3
            error[route.why_public.missing]: route "me.read" is open to everybody and does not say why
              --> routes.yaml:41:11      hint: add `why_public: …`, for whoever reviews it
            error[route.allow.public]: route "me.read" lets in certain callers and asks nobody who they are
              --> routes.yaml:43:12      hint: write `auth:` and a way to prove it; only `ips` needs nobody
            error[route.limit.public]: route "me.read" counts `api` per user and asks nobody who they are
              --> routes.yaml:44:14      hint: name a limit with `per: ip`
            error[test.failed]: test 1 failed: `GET /v1/me/name` is refused by `me.read` with 401
              --> routes.yaml:46:64      hint: expected it to reach `me.read`
            routes.yaml: refused (4 errors, 1 warning)
        "#]],
    );
    spoilt(
        "    why_public: signing in\n",
        "",
        expect![[r#"
            error[route.why_public.missing]: route "users.login" is open to everybody and does not say why
              --> routes.yaml:28:11      hint: add `why_public: …`, for whoever reviews it
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "roles: [user] }",
        "roles: [] }",
        expect![[r#"
            error[route.allow.value]: route "me.read", `roles`: the list is empty: nobody would get in
              --> routes.yaml:42:21      hint: name some roles, or leave the key out
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "allow: { roles: [user] }",
        "allow: { role: user }",
        expect![[r#"
            error[route.allow.key.unknown]: route "me.read" has no key `role`
              --> routes.yaml:42:14      hint: did you mean `roles`?
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "allow: { roles: [user] }",
        "allow: {}",
        expect![[r#"
            error[route.allow.value]: route "me.read": nothing is asked of the caller
              --> routes.yaml:42:12      hint: add `roles: [..]`, `scopes: [..]`, `owner: ..` or another demand
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn kinds_of_limits() {
    spoilt(
        "  login: { per: ip, rate: 5/1m }\n",
        "  login: { per: ip }\n  both: { per: ip, rate: 5/1m, quota: 9/1d }\n",
        expect![[r#"
            error[limit.kind]: limit "login" does not say what it bounds
              --> routes.yaml:17:10      hint: one of `rate: 5/1m`, `quota: 10000/1d`, `concurrent: 4` and `failures: 5/15m`
            warning[limits.unused]: no route uses the limit `both`
              --> routes.yaml:18:3
            error[limit.kind]: limit "both" bounds `rate` and `quota` at once
              --> routes.yaml:18:9      hint: one of `rate: 5/1m`, `quota: 10000/1d`, `concurrent: 4` and `failures: 5/15m`
            routes.yaml: refused (2 errors, 1 warning)
        "#]],
    );
    spoilt(
        "  api: { per: user, rate: 50/1s }\n",
        "  api: { per: [ip, key], concurrent: 4 }\n  tries: { per: header:x-a, failures: 5/15m, penalty: { from: 30s, to: 1h } }\n",
        expect![[r#"
            warning[limits.unused]: no route uses the limit `tries`
              --> routes.yaml:19:3
            error[limit.value]: limit "tries", `per`: leaves the address out: whoever fails on purpose would lock others out
              --> routes.yaml:19:17      hint: write `per: ip`, or put `ip` into the list
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "limits: [login]",
        "limits: [both]",
        expect![[r#"
        warning[limits.unused]: no route uses the limit `login`
          --> routes.yaml:17:3
        error[route.name.unknown]: route "users.login" names `both`, which is not in `limits`
          --> routes.yaml:30:14      hint: there is: login, api
        routes.yaml: refused (1 error, 1 warning)
    "#]],
    );
}

#[test]
fn limits_of_every_request() {
    spoilt(
        "defaults: { plugins: [request_id] }",
        "defaults: { plugins: [request_id], limits: [login, api, flod] }",
        expect![[r#"
            error[defaults.limit]: `defaults` names `api`, which does not count by address alone
              --> routes.yaml:23:52      hint: before anything is known of a request there is only its `per: ip`
            error[defaults.name.unknown]: `defaults` names `flod`, which is not in `limits`
              --> routes.yaml:23:57      hint: there is: login, api
            error[route.name.twice]: route "users.login" names `login`, which `defaults` gives it already
              --> routes.yaml:30:14
            error[route.name.twice]: route "me.read" names `api`, which `defaults` gives it already
              --> routes.yaml:43:14
            routes.yaml: refused (4 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "caches:\n",
        "overload: { lag: 5ms }\ncaches:\n",
        expect![[r#"
            error[overload.lag]: `overload` takes for lag what is none
              --> routes.yaml:19:18      hint: at least `10ms`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn limits() {
    spoilt(
        "limits: [login]",
        "limits: [api]",
        expect![[r#"
            warning[limits.unused]: no route uses the limit `login`
              --> routes.yaml:17:3
            error[route.limit.public]: route "users.login" counts `api` per user and asks nobody who they are
              --> routes.yaml:30:14      hint: name a limit with `per: ip`
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "{ per: user, rate: 50/1s }",
        "{ per: user, rate: 50/1s, scope: cluster }",
        expect![[r#"
            error[limit.value]: limit "api", `on_outage`: is missing: nobody has said what holds while Redis is away
              --> routes.yaml:18:8      hint: add `on_outage: local`, `allow` or `deny`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "{ per: user, rate: 50/1s }",
        "{ per: usr, rat: 50/1s }",
        expect![[r#"
            error[limit.kind]: limit "api" does not say what it bounds
              --> routes.yaml:18:8      hint: one of `rate: 5/1m`, `quota: 10000/1d`, `concurrent: 4` and `failures: 5/15m`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn secrets() {
    spoilt(
        "$file:identity.key",
        "0011223344556677001122334455667700112233445566770011223344556677",
        expect![[r#"
            error[identity.value]: `identity`, `sign.key`: expected `$file:path` or `$env:NAME`: secrets don't stand in the table
              --> routes.yaml:5:55
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "$file:identity.key",
        "$file:missing.key",
        expect![[r#"
            error[identity.file]: `identity` names `missing.key`, which can't be read: No such file or directory (os error 2)
              --> routes.yaml:5:55
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "$file:identity.key",
        "$env:NO_SUCH_VARIABLE",
        expect![[r#"
            error[identity.key]: `identity` has no key: the environment variable `NO_SUCH_VARIABLE` is not set
              --> routes.yaml:5:55      hint: `openssl rand -hex 32` makes one
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "$file:identity.key",
        "$file:openapi.json",
        expect![[r#"
            warning[identity.key.mode]: `identity` has a key that others on this machine may read
              --> routes.yaml:5:55      hint: chmod 600
            error[identity.key]: `identity` has a bad key: line 1: expected 64 hex digits (`openssl rand -hex 32`)
              --> routes.yaml:5:55      hint: `openssl rand -hex 32` makes one
            routes.yaml: refused (1 error, 1 warning)
        "#]],
    );
    spoilt(
        "$file:identity.key }",
        "$file:identity.key, ttl: 5m }",
        expect![[r#"
            error[identity.ttl]: `identity` is valid for 5m
              --> routes.yaml:5:80      hint: between `1s` and `60s`: backends refuse more
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "x-user-id: sub",
        "user: sub, x-identity: roles, x-mail: mail",
        expect![[r#"
        error[identity.header]: `identity` writes `user`, which is not its own to write
          --> routes.yaml:5:30      hint: begin it with `x-`, as `x-user-id`
        error[identity.header]: `identity` writes `x-identity`, which is not its own to write
          --> routes.yaml:5:47      hint: begin it with `x-`, as `x-user-id`
        error[identity.value]: `identity`, `headers.x-mail`: unknown variant `mail`, expected one of `sub`, `roles`, `sid`
          --> routes.yaml:5:62      hint: there is: sub, roles, sid
        routes.yaml: refused (3 errors, 0 warnings)
    "#]],
    );
    spoilt(
        "version: 1",
        "version: 1\nredis: redis://:secret@localhost",
        expect![[r#"
            error[redis.value]: `redis`: expected `$file:path` or `$env:NAME`: secrets don't stand in the table
              --> routes.yaml:2:8
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "version: 1",
        "version: 1\nredis: $env:NO_SUCH_VARIABLE",
        expect![[r#"
            warning[redis.unset]: `redis` is not to be had: the environment variable `NO_SUCH_VARIABLE` is not set
              --> routes.yaml:2:8      hint: each gateway counts for itself, limits of the cluster too
            routes.yaml: good (3 routes, 1 warning)
        "#]],
    );
}

/// A key that was typed instead of rolled is not shown, and not taken; one that others can read is
/// pointed at.
#[test]
fn weak_keys() {
    let folder = Folder::new();
    folder.write("identity.key", &"0a".repeat(32));
    let path = folder.write("routes.yaml", GOOD);
    std::fs::set_permissions(
        folder.path("identity.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .expect("a mode");
    expect![[r#"
        warning[identity.key.mode]: `identity` has a key that others on this machine may read
          --> routes.yaml:5:55      hint: chmod 600
        error[identity.key]: `identity` holds a key that nobody rolled: it repeats itself
          --> routes.yaml:5:55      hint: `openssl rand -hex 32` makes one
        routes.yaml: refused (1 error, 1 warning)
    "#]]
    .assert_eq(&said(&folder, &path));
}

/// What `check` says when `me.read` takes these ways too, written like those under `auth`.
fn with_ways(ways: &str, taken: &str) -> String {
    let folder = Folder::new();
    folder.write("introspection.secret", "a secret of a test");
    let table = GOOD
        .replace("auth:\n", &format!("auth:\n{ways}"))
        .replace("auth: user", &format!("auth: {taken}"));
    let path = folder.write("routes.yaml", &table);
    said(&folder, &path)
}

const INTROSPECTION: &str = "endpoint: \"https://b/ask\", client_id: gateway, client_secret: $file:introspection.secret, audience: api";

#[test]
fn two_ways_that_refuse_each_other() {
    let staff = |issuer: &str, more: &str| {
        let keys = "audience: api, jwks: \"http://b/k\", algs: [EdDSA], stale_keys: 1h";
        format!("  staff: {{ jwt: {{ issuer: \"{issuer}\", {keys}{more} }} }}\n")
    };
    expect![[r#"
        error[route.auth.rivals]: route "me.read" takes `user` or `staff`, and each refuses the other's tokens
          --> routes.yaml:42:11      hint: at most one way that takes tokens of `https://localhost:8443`
        routes.yaml: refused (1 error, 0 warnings)
    "#]].assert_eq(&with_ways(
        &staff("https://localhost:8443", ""),
        "[user, staff]",
    ));
    // Two issuers can be told apart; the people whom they know can't, until the table says how.
    expect![[r#"
        warning[route.auth.subjects]: route "me.read" takes `user` or `staff`, and `7` of the one would be `7` of the other
          --> routes.yaml:42:11      hint: give `staff` its `claims: { sub_prefix: "staff:" }`
        routes.yaml: good (3 routes, 1 warning)
    "#]].assert_eq(&with_ways(&staff("https://b", ""), "[user, staff]"));
    let prefix = ", claims: { sub_prefix: \"staff:\" }";
    expect![[r#"
        routes.yaml: good (3 routes, 0 warnings)
    "#]]
    .assert_eq(&with_ways(&staff("https://b", prefix), "[user, staff]"));
}

#[test]
fn a_way_that_takes_all_stands_last() {
    let any = |tokens: &str| {
        let prefix = "claims: { sub_prefix: \"opaque:\" }";
        format!(
            "  opaque: {{ introspection: {{ {INTROSPECTION}, tokens: {tokens}, {prefix} }} }}\n"
        )
    };
    for (tokens, taken) in [
        ("opaque", "[opaque, user]"),
        ("opaque", "[user, opaque]"),
        ("any", "[user, opaque]"),
    ] {
        let said = with_ways(&any(tokens), taken);
        assert!(said.contains("good (3 routes, 0 warnings)"), "{said}");
    }
    expect![[r#"
        error[route.auth.order]: route "me.read" takes `opaque` before `user`, which then gets nothing
          --> routes.yaml:42:11      hint: name `opaque` last: it takes all that is left
        routes.yaml: refused (1 error, 0 warnings)
    "#]].assert_eq(&with_ways(&any("any"), "[opaque, user]"));
    let two = format!(
        "{}{}",
        any("opaque"),
        any("opaque").replacen("opaque", "second", 1)
    );
    expect![[r#"
        warning[auth.unused]: no route uses the way to prove who is calling `user`
          --> routes.yaml:11:3
        error[route.auth.rivals]: route "me.read" takes `opaque` or `second`, and each refuses the other's tokens
          --> routes.yaml:43:11      hint: at most one way that takes opaque tokens
        routes.yaml: refused (1 error, 1 warning)
    "#]].assert_eq(&with_ways(&two, "[opaque, second]"));
}

#[test]
fn what_a_demand_can_not_mean() {
    spoilt(
        "    allow: { roles: [user] }\n",
        "    allow: { owner: user_id }\n",
        expect![[r#"
            error[route.allow.owner]: route "me.read" belongs to `user_id`, which its path /v1/me/{part} has not
              --> routes.yaml:42:21      hint: there is: part
            error[test.failed]: test 1 failed: `GET /v1/me/name` is refused by `me.read` with 403
              --> routes.yaml:45:64      hint: expected it to reach `me.read`
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "    allow: { roles: [user] }\n",
        "    allow: { any: [{ roles: [user] }, { owner: prt }, {}] }\n",
        expect![[r#"
            error[route.allow.owner]: route "me.read" belongs to `prt`, which its path /v1/me/{part} has not
              --> routes.yaml:42:48      hint: did you mean `part`?
            error[route.allow.value]: route "me.read", `any.2`: nothing is asked of the caller
              --> routes.yaml:42:55      hint: add `roles: [..]`, `scopes: [..]`, `owner: ..` or another demand
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "    allow: { roles: [user] }\n",
        "    allow: { ips: [10.0.0.1/8], second_factor_within: 5 }\n",
        expect![[r#"
            error[route.allow.value]: route "me.read", `ips.0`: `10.0.0.1/8` is no address block
              --> routes.yaml:42:20      hint: did you mean `10.0.0.0/8`?
            error[route.allow.value]: route "me.read", `second_factor_within`: invalid type: integer `5`, expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:42:55      hint: did you mean `5s`?
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

/// A place can be asked of nobody in particular.
#[test]
fn a_public_route_may_ask_where_from() {
    spoilt(
        "    why_public: signing in\n",
        "    why_public: signing in\n    allow: { ips: [10.0.0.0/8] }\n",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
}

#[test]
fn a_shadow() {
    spoilt(
        "    allow: { roles: [user] }\n",
        "    allow: { roles: [admin], mode: shadow }\n",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    spoilt(
        "    validate: openapi.json#login\n",
        "    validate: { operation: openapi.json#login, mode: shade }\n",
        expect![[r#"
            error[route.value]: route "users.login", `validate.mode`: unknown variant `shade`, expected `enforce` or `shadow`
              --> routes.yaml:31:54      hint: there is: enforce, shadow
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "{ per: user, rate: 50/1s }",
        "{ per: user, rate: 50/1s, mode: shade }",
        expect![[r#"
            error[limit.mode]: limit "api" has a bad mode: unknown variant `shade`, expected `enforce` or `shadow`
              --> routes.yaml:18:40      hint: `shadow` counts what it would refuse; leave it out to refuse
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    // What stands further in would be read by nobody.
    spoilt(
        "  user:\n    jwt:\n",
        "  user:\n    jwt:\n      mode: shadow\n",
        expect![[r#"
            error[auth.mode]: auth "user" has its `mode` in `jwt`
              --> routes.yaml:11:13      hint: write it beside: `{ jwt: { … }, mode: shadow }`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    // A way that refuses nobody keeps nobody out.
    spoilt(
        "  user:\n    jwt:\n",
        "  user:\n    mode: shadow\n    jwt:\n",
        expect![[r#"
            error[route.why_public.missing]: route "me.read" is open to everybody and does not say why
              --> routes.yaml:42:11      hint: add `why_public: …`, for whoever reviews it
            error[test.failed]: test 1 failed: `GET /v1/me/name` is refused by `me.read` with 401
              --> routes.yaml:46:64      hint: expected it to reach `me.read`
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

/// The table's own tests can say how somebody is who they are.
#[test]
fn a_case_may_have_a_second_factor_claims_and_a_place() {
    let demand =
        "    allow: { second_factor_within: 5m, claims: { tenant: acme }, ips: [10.0.0.0/8] }\n";
    let case = |who: &str, expected: &str| {
        format!("  - {{ request: GET /v1/me/name, {who}, expect: {expected} }}\n")
    };
    let good = "as: { second_factor: 2m, claims: { tenant: acme } }";
    let table = GOOD.replace("    allow: { roles: [user] }\n", demand);
    let start = table.find("tests:\n").expect("tests") + "tests:\n".len();
    let refused = "{ route: me.read, status: 403 }";
    let table = table[..start].to_owned()
        + &case(&format!("{good}, from: 10.1.1.1"), "{ route: me.read }")
        + &case(&format!("{good}, from: 11.1.1.1"), refused)
        + &case(good, refused)
        + &case(
            "as: { second_factor: 6m, claims: { tenant: acme } }, from: 10.1.1.1",
            refused,
        )
        + &case("as: { second_factor: 2m }, from: 10.1.1.1", refused);
    let said = check(&table);
    assert!(said.contains("routes.yaml: good"), "{said}");
}
