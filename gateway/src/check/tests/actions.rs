use expect_test::expect;

use super::*;

#[test]
fn conditions() {
    spoilt(
        "path: /v1/rates",
        "path: /v1/rates, headers: { x-user-id: u1, host: a, te: b, authorization: c, X-A: d, x-a: e, \"x b\": f, x-c: \" g\", x-d: 1 }",
        expect![[r#"
            error[route.headers]: route "rates.list" asks for `x-user-id`, which a client has no say in
              --> routes.yaml:33:66      hint: who is calling is decided by `auth` and `allow`
            error[route.headers]: route "rates.list" asks for `host`, which has a key of its own
              --> routes.yaml:33:76      hint: write it under `host`
            error[route.headers]: route "rates.list" asks for `te`, which is about the connection
              --> routes.yaml:33:83      hint: ask for a header that is about the request
            error[route.headers]: route "rates.list" asks for `authorization`, whose values are secrets
              --> routes.yaml:33:101      hint: write `{ present: true }`: secrets don't stand in the table
            error[route.headers]: route "rates.list" asks for `x-a`, which it asks for twice
              --> routes.yaml:33:117      hint: upper and lower case are the same header: write one of them
            error[route.headers]: route "rates.list" asks for `x b`, which is no header's name
              --> routes.yaml:33:127      hint: letters, digits and `-`
            error[route.headers]: route "rates.list" asks for `x-c`, with a value that no header has
              --> routes.yaml:33:135      hint: visible characters, and none at its ends that are not
            error[route.value]: route "rates.list", `match.headers.x-d`: invalid type: integer `1`, expected a value in quotes, a list of values, or `{ present: true }`
              --> routes.yaml:33:146
            routes.yaml: refused (8 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "path: /v1/rates",
        "path: /v1/rates, headers: { authorization: { present: true } }, query: { v: [], w: { present: false } }",
        expect![[r#"
            error[route.value]: route "rates.list", `match.query.v`: invalid length 0, expected a value in quotes, a list of values, or `{ present: true }`
              --> routes.yaml:33:103
            error[route.value]: route "rates.list", `match.query.w`: invalid value: boolean `false`, expected a value in quotes, a list of values, or `{ present: true }`
              --> routes.yaml:33:110
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
    spoilt(
        "path: /v1/rates",
        "path: /v1/rates, host: \"*\"",
        expect![[r#"
            error[route.host]: route "rates.list" takes the host `*`, which none has
              --> routes.yaml:33:50      hint: leave the key out: any host is the default
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "path: /v1/rates",
        "path: /v1/rates, host: a.*.test",
        expect![[r#"
            error[route.host]: route "rates.list" takes the host `a.*.test`, which none has
              --> routes.yaml:33:50      hint: a `*` stands for what is before a name: `*.example.com`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

/// A good table with more routes in it.
fn with_routes(routes: &str) -> String {
    let table = GOOD.replace(
        "upstreams:\n",
        "upstreams:\n  next: { targets: [\"http://127.0.0.1:9082\"] }\n",
    );
    table.replace("tests:\n", &format!("{routes}tests:\n"))
}

fn route(id: &str, matches: &str, rest: &str) -> String {
    format!("  - {{ id: {id}, match: {{ method: GET, {matches} }}, {rest} }}\n")
}

const OPEN: &str = "auth: none, why_public: a test";

#[test]
fn good_actions() {
    let routes = [
        route(
            "beta",
            "path: /v1/rates, headers: { x-beta: [a, b] }",
            "to: next, auth: none, why_public: a test",
        ),
        route(
            "split",
            "path: '/v1/split/{id}'",
            "to: { users: 95, next: 5 }, auth: user, rewrite: '/in/{id}', mirror: { to: next, share: 0.5% }",
        ),
        route(
            "strip",
            "path: /api/**, host: '*.example.com'",
            &format!("to: next, strip_prefix: /api, {OPEN}"),
        ),
        route(
            "moved",
            "path: '/old/{id}/**'",
            &format!("redirect: {{ to: 'https://new.test/{{id}}/**' }}, {OPEN}"),
        ),
        route(
            "robots",
            "path: /robots.txt",
            &format!("respond: {{ status: 200, body: no }}, {OPEN}"),
        ),
    ];
    let tests = "  - { request: GET /v1/rates, headers: { x-beta: b }, expect: { route: beta, upstream: next } }
  - { request: GET /v1/rates, headers: { x-beta: c }, expect: { route: rates.list, upstream: users } }
  - { request: GET /v1/split/7, as: { sub: u1 }, expect: { upstream: users, path: /in/7 } }
  - { request: GET /api/x, host: a.example.com, expect: { route: strip, path: /x } }
  - { request: GET /api/x, expect: { status: 404 } }
  - { request: GET /old/7/a?b=c, expect: { route: moved, status: 308, location: \"https://new.test/7/a?b=c\" } }
  - { request: GET /robots.txt, expect: { route: robots } }
  - { request: GET /robots.txt, expect: { status: 200 } }
";
    let table = with_routes(&routes.concat()) + tests;
    expect![[r#"
        warning[route.exposure]: route "strip" leads round the rules of route "split" on line 46: `next` gets /** from it, and /in/{id} is guarded there
          --> routes.yaml:47:25      hint: give both the same `auth` and `allow`, or keep their paths apart
        routes.yaml: good (8 routes, 1 warning)
    "#]].assert_eq(&check(&table));
}

#[test]
fn tests_of_actions_that_fail() {
    let routes = [
        route(
            "moved",
            "path: /old",
            &format!("redirect: {{ to: /new }}, {OPEN}"),
        ),
        route(
            "other",
            "path: /other",
            &format!("to: next, rewrite: /in, {OPEN}"),
        ),
    ];
    let tests = "  - { request: GET /old, expect: { location: /newer } }
  - { request: GET /old, expect: { status: 301 } }
  - { request: GET /other, expect: { upstream: users } }
  - { request: GET /other, expect: { path: /out } }
  - { request: GET /other, expect: { location: /new } }
";
    let table = with_routes(&routes.concat()) + tests;
    expect![[r#"
        error[test.failed]: test 3 failed: `GET /old` has the location `/new`
          --> routes.yaml:50:34      hint: expected the location `/newer`
        error[test.failed]: test 4 failed: `GET /old` is refused by `moved` with 308
          --> routes.yaml:51:34      hint: expected a refusal with 301
        error[test.failed]: test 5 failed: `GET /other` has the upstream `next`
          --> routes.yaml:52:36      hint: expected the upstream `users`
        error[test.failed]: test 6 failed: `GET /other` has the path `/in`
          --> routes.yaml:53:36      hint: expected the path `/out`
        error[test.failed]: test 7 failed: `GET /other` has no location
          --> routes.yaml:54:36      hint: expected the location `/new`
        routes.yaml: refused (5 errors, 0 warnings)
    "#]]
    .assert_eq(&check(&table));
}

#[test]
fn one_thing_becomes_of_a_request() {
    let routes = [
        route("none", "path: /a", OPEN),
        route(
            "two",
            "path: /b",
            &format!("to: next, redirect: {{ to: /x }}, {OPEN}"),
        ),
        route(
            "idle",
            "path: /c",
            &format!("respond: {{ status: 200 }}, rewrite: /x, websocket: true, {OPEN}"),
        ),
    ];
    expect![[r#"
        warning[upstreams.unused]: no route uses the upstream `next`
          --> routes.yaml:7:3
        error[route.to.missing]: route "none" goes nowhere
          --> routes.yaml:45:5      hint: add `to:` and an upstream's name, `redirect:` or `respond:`
        error[route.to.twice]: route "two" says two things about its requests: `to` and `redirect`
          --> routes.yaml:46:70      hint: one of to, redirect, respond, answered_by stands alone
        error[route.idle]: route "idle" has `rewrite`, and goes to no upstream
          --> routes.yaml:47:86      hint: leave the key out
        error[route.idle]: route "idle" has `websocket`, and goes to no upstream
          --> routes.yaml:47:101      hint: leave the key out
        routes.yaml: refused (4 errors, 1 warning)
    "#]].assert_eq(&check(&with_routes(&routes.concat())));
}

#[test]
fn going_on() {
    let routes = [
        route(
            "a",
            "path: /a",
            &format!("to: {{ users: 0, next: 0 }}, {OPEN}"),
        ),
        route(
            "b",
            "path: /b",
            &format!("to: {{ users: 1, nxt: 5 }}, {OPEN}"),
        ),
        route("c", "path: /c", &format!("to: {{ users: -1 }}, {OPEN}")),
        route(
            "d",
            "path: /d",
            &format!("to: {{ users: 1, next: 20000 }}, cache: catalog, {OPEN}"),
        ),
        route(
            "e",
            "path: '/e/{id}'",
            &format!("to: next, rewrite: '/x/{{di}}', {OPEN}"),
        ),
        route(
            "f",
            "path: '/f/{id}'",
            &format!("to: next, rewrite: /x/../y, {OPEN}"),
        ),
        route(
            "g",
            "path: '/g/{id}'",
            &format!("to: next, strip_prefix: /f, {OPEN}"),
        ),
        route(
            "h",
            "path: /h",
            &format!("to: next, rewrite: /x, strip_prefix: /h, {OPEN}"),
        ),
        route(
            "i",
            "path: /i",
            &format!("to: next, websocket: true, mirror: {{ to: nowhere, share: 0% }}, {OPEN}"),
        ),
        route(
            "j",
            "path: /j",
            &format!("to: next, mirror: {{ to: users, share: 10 }}, {OPEN}"),
        ),
    ];
    expect![[r#"
        error[route.to.weights]: route "a" goes to nobody: no weight is above 0
          --> routes.yaml:45:52      hint: write `to: { users: 95, users_next: 5 }`
        error[route.name.unknown]: route "b" names `nxt`, which is not in `upstreams`
          --> routes.yaml:46:69      hint: did you mean `next`?
        error[route.to.weights]: route "c" goes to nobody: no weight is above 0
          --> routes.yaml:47:52      hint: write `to: { users: 95, users_next: 5 }`
        error[route.value]: route "c", `to.users`: invalid value: integer `-1`, expected u32
          --> routes.yaml:47:61
        error[route.to.weights]: route "d" gives `next` a weight of 20000
          --> routes.yaml:48:70      hint: at most 10000
        error[route.cache.shares]: route "d" keeps the answers of several upstreams as if they were one's
          --> routes.yaml:48:86      hint: leave `cache` out, or tell the versions apart by a header, in two routes
        error[route.rewrite]: route "e" has a bad `rewrite`: the route's path has no parameter `di`
          --> routes.yaml:49:74      hint: the route's path is `/e/{id}`
        error[route.rewrite]: route "f" has a bad `rewrite`: `/..` can never match: the path has a dot segment
          --> routes.yaml:50:74
        error[route.strip_prefix]: route "g" has a bad `strip_prefix`: the route's path `/g/{id}` does not begin with it
          --> routes.yaml:51:79      hint: whole segments, without parameters: `/api`
        error[route.rewrite.twice]: route "h" rewrites its path in two ways
          --> routes.yaml:52:85      hint: leave `strip_prefix` out: `rewrite` says the whole path
        error[route.mirror.websocket]: route "i" copies requests that may become WebSockets
          --> routes.yaml:53:83      hint: leave `mirror` or `websocket` out
        error[route.name.unknown]: route "i" names `nowhere`, which is not in `upstreams`
          --> routes.yaml:53:89      hint: there is: next, users
        error[route.mirror.share]: route "i" copies nothing
          --> routes.yaml:53:105      hint: write `share: 10%`, or leave `mirror` out
        error[route.value]: route "j", `mirror.share`: invalid type: integer `10`, expected a part with its sign, such as `10%` or `0.5%`
          --> routes.yaml:54:86
        routes.yaml: refused (14 errors, 0 warnings)
    "#]].assert_eq(&check(&with_routes(&routes.concat())));
}

#[test]
fn answering() {
    let routes = [
        route(
            "a",
            "path: '/a/{id}'",
            &format!("redirect: {{ to: 'https://{{id}}.test/' }}, {OPEN}"),
        ),
        route(
            "b",
            "path: /b",
            &format!("redirect: {{ to: //evil.test }}, {OPEN}"),
        ),
        route(
            "c",
            "path: /c",
            &format!("redirect: {{ to: '/x/{{id}}', status: 308 }}, {OPEN}"),
        ),
        route(
            "d",
            "path: /d",
            &format!("redirect: {{ to: /x, status: 200 }}, {OPEN}"),
        ),
        route("e", "path: /e", &format!("redirect: {{ to: /e }}, {OPEN}")),
        route(
            "f",
            "path: /f",
            &format!("respond: {{ status: 101 }}, {OPEN}"),
        ),
        route(
            "g",
            "path: /g",
            &format!("respond: {{ status: 204, body: x }}, {OPEN}"),
        ),
        route(
            "h",
            "path: /h",
            &format!(
                "respond: {{ status: 200, content_type: a, headers: {{ content-length: '1', \"x y\": z }} }}, {OPEN}"
            ),
        ),
    ];
    expect![[r#"
        warning[upstreams.unused]: no route uses the upstream `next`
          --> routes.yaml:7:3
        error[route.redirect.to]: route "a" redirects to `https://{id}.test/`: its host is none, or not only a host
          --> routes.yaml:45:71      hint: the host is fixed: a client must not choose it
        error[route.redirect.to]: route "b" redirects to `//evil.test`: it is neither `https://host/…` nor `/…`
          --> routes.yaml:46:64      hint: write `https://new.example.com/{id}` or `/new/{id}`
        error[route.redirect.to]: route "c" redirects to `/x/{id}`: the route's path has no parameter `id`
          --> routes.yaml:47:64      hint: the route's path is `/c`
        error[route.redirect.status]: route "d" redirects with 200
          --> routes.yaml:48:76      hint: 308 and 307 keep method and body, 303 asks with GET; 301 and 302 are older
        error[route.redirect.loop]: route "e" redirects to itself
          --> routes.yaml:49:64      hint: a client would go round and round
        error[route.respond.status]: route "f" answers with 101
          --> routes.yaml:50:67      hint: 200 to 599
        error[route.respond.body]: route "g" answers 204 with a body, which it can't have
          --> routes.yaml:51:78
        error[route.respond.content_type]: route "h" has no body
          --> routes.yaml:52:86      hint: add `body:`
        error[route.respond.headers]: route "h" answers with `content-length`, which is not its own to write
          --> routes.yaml:52:116
        error[route.respond.headers]: route "h" answers with `x y`, which is no header's name
          --> routes.yaml:52:128
        routes.yaml: refused (10 errors, 1 warning)
    "#]].assert_eq(&check(&with_routes(&routes.concat())));
}

#[test]
fn what_nothing_reaches() {
    let routes = [
        route("a", "path: /a/**", &format!("to: next, {OPEN}")),
        route("b", "path: /a", &format!("to: next, {OPEN}")),
        route("c", "path: '/a/{x}/**'", &format!("to: next, {OPEN}")),
    ];
    expect![[r#"
        warning[route.unreachable]: route "a" is reached by no request: other routes take all of its paths
          --> routes.yaml:45:42      hint: leave it out; `gateway explain` tells which route takes a path
        routes.yaml: good (6 routes, 1 warning)
    "#]].assert_eq(&check(&with_routes(&routes.concat())));
}

/// A guarded route, an open one, and whether the open one leads round the guarded one's rules.
#[test]
fn what_leads_round_the_rules_of_another() {
    for (guarded, open, told) in [
        // Told apart by what a client chooses.
        ("path: /a", "path: /a, headers: { x-beta: '1' }", true),
        ("path: /a, query: { v: '2' }", "path: /a", true),
        // Another path of ours becomes the guarded one over there.
        (
            "path: /admin/**",
            "path: /api/**, REWRITE: strip_prefix: /api",
            true,
        ),
        (
            "path: /admin/**",
            "path: '/x/{id}', REWRITE: rewrite: '/admin/{id}'",
            true,
        ),
        (
            "path: /admin/**",
            "path: '/x/{id}', REWRITE: rewrite: '/users/{id}'",
            false,
        ),
        // The host is the client's to choose as well.
        ("path: /admin/**, host: admin.test", "path: /**", true),
        ("path: /admin/**", "path: /**, host: www.test", true),
        (
            "path: /admin/**, host: admin.test",
            "path: /pages/**",
            false,
        ),
        // The narrower one decides; and an exception may be said.
        ("path: /admin/**", "path: /**", false),
        ("path: /v1/**", "path: /v1/rate", false),
        // Neither is within the other, and the open one decides.
        ("path: '/a/{x}/c'", "path: /a/b/**", true),
    ] {
        let (matches, rewrite) = open.split_once(", REWRITE: ").unwrap_or((open, ""));
        let rewrite = match rewrite {
            "" => String::new(),
            rewrite => format!("{rewrite}, "),
        };
        let routes = [
            route("guarded", guarded, "to: next, auth: user"),
            route("open", matches, &format!("to: next, {rewrite}{OPEN}")),
        ];
        let said = check(&with_routes(&routes.concat()));
        let line =
            "warning[route.exposure]: route \"open\" leads round the rules of route \"guarded\"";
        assert_eq!(said.contains(line), told, "{guarded} / {open}: {said}");
        assert!(said.contains("good"), "{said}");
        // The same rules on both lead round nothing.
        let same = check(&with_routes(&routes.concat().replace(OPEN, "auth: user")));
        assert!(!same.contains("exposure"), "{same}");
    }
}
