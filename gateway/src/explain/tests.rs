use expect_test::{Expect, expect};

use super::*;
use crate::check::tests::GOOD;
use crate::testing::Folder;
use crate::{env, plan};

fn explained(method: &str, url: &str, roles: Option<&str>, expected: Expect) {
    let table = GOOD.replace(
        "tests:\n",
        "  - id: me.any\n    match: { method: [GET, DELETE], path: /v1/me/** }\n    to: users\n    auth: user\n  \
         - id: rates.write\n    match: { method: PUT, path: /v1/rates }\n    to: users\n    auth: user\ntests:\n",
    );
    let folder = Folder::new();
    let config = folder.write("routes.yaml", &table);
    let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
    let loaded = loaded
        .map_err(|refused| refused.findings.to_string())
        .expect("a good table");
    let question = Question {
        method: method.into(),
        url: url.into(),
        headers: vec![],
        caller: roles.map(|roles| Caller {
            roles: roles.split(',').map(String::from).collect(),
            ..Caller::default()
        }),
        from: None,
    };
    let explanation = explain(&loaded.plan, &question).expect("an explanation");
    expected.assert_eq(&explanation.to_string());
}

#[test]
fn a_request_that_goes_on() {
    explained(
        "GET",
        "https://edge/v1/%6de/name",
        Some("user"),
        expect![[r#"
            GET /v1/%6de/name
              is        /v1/me/name
              verdict   goes on to users
              route     me.read (GET /v1/me/{part})
              why       the most specific of 2 whose paths fit
              param     part = name
              chain
                edge      request_id    request_id    runs
                identify  user          jwt           taken as proven
                authorize allow         acl           lets through
                limit     api           rate_limit    counts, not asked here
              then      goes on to users at 127.0.0.1:9081
              timeout   5s, body up to 1MiB
              retries   1, on connect only
              cache     none
              lost      me.any: /v1/me/** is wider than /v1/me/{part}
        "#]],
    );
}

#[test]
fn a_request_that_is_refused_by_its_route() {
    explained(
        "GET",
        "https://edge/v1/me/name",
        Some("guest"),
        expect![[r#"
            GET /v1/me/name
              verdict   refused with 403 forbidden
              route     me.read (GET /v1/me/{part})
              why       the most specific of 2 whose paths fit
              param     part = name
              chain
                edge      request_id    request_id    runs
                identify  user          jwt           taken as proven
                authorize allow         acl           refuses with 403 forbidden
                limit     api           rate_limit    counts, not asked here
              then      goes on to users at 127.0.0.1:9081
              timeout   5s, body up to 1MiB
              retries   1, on connect only
              cache     none
              lost      me.any: /v1/me/** is wider than /v1/me/{part}
        "#]],
    );
    explained(
        "GET",
        "https://edge/v1/me/name",
        None,
        expect![[r#"
            GET /v1/me/name
              verdict   refused with 401 unauthenticated
              route     me.read (GET /v1/me/{part})
              why       the most specific of 2 whose paths fit
              param     part = name
              chain
                edge      request_id    request_id    runs
                identify  user          jwt           nothing to prove
                authorize allow         acl           refuses with 401 unauthenticated
                limit     api           rate_limit    counts, not asked here
              then      goes on to users at 127.0.0.1:9081
              timeout   5s, body up to 1MiB
              retries   1, on connect only
              cache     none
              lost      me.any: /v1/me/** is wider than /v1/me/{part}
        "#]],
    );
}

#[test]
fn a_request_without_a_route() {
    explained(
        "GET",
        "https://edge/v1/..%2fme",
        None,
        expect![[r#"
        GET /v1/..%2fme
          verdict   refused with 400 bad_path: the path has an encoded separator
    "#]],
    );
    explained(
        "POST",
        "https://edge/v1/rates",
        None,
        expect![[r#"
            POST /v1/rates
              verdict   refused with 405 method_not_allowed
              lost      rates.list: takes GET, not POST
              lost      rates.write: takes PUT, not POST
        "#]],
    );
    explained(
        "GET",
        "https://edge/nothing",
        None,
        expect![[r#"
        GET /nothing
          verdict   refused with 404 not_found
    "#]],
    );
}

/// What is said of a request with headers, of a table with more routes in it.
fn explained_with(routes: &str, method: &str, url: &str, headers: &[&str], expected: Expect) {
    let upstreams = "upstreams:\n  next: { targets: [\"http://127.0.0.1:9082\"] }\n";
    let table = GOOD.replace("upstreams:\n", upstreams);
    let table = table.replace("tests:\n", &format!("{routes}tests:\n"));
    let folder = Folder::new();
    let config = folder.write("routes.yaml", &table);
    let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
    let loaded = loaded
        .map_err(|refused| refused.findings.to_string())
        .expect("a good table");
    let question = Question {
        method: method.into(),
        url: url.into(),
        headers: headers.iter().map(ToString::to_string).collect(),
        caller: None,
        from: None,
    };
    let explanation = explain(&loaded.plan, &question).expect("an explanation");
    expected.assert_eq(&explanation.to_string());
}

const CANARY: &str = "  - { id: base, match: { method: GET, path: '/c/{id}' }, to: users, auth: none, why_public: a test }
  - { id: beta, match: { method: GET, path: '/c/{id}', headers: { x-beta: '1' } }, to: { users: 90, next: 10 }, auth: none, why_public: a test, rewrite: '/in/{id}', mirror: { to: next, share: 2.5% } }
  - { id: write, match: { method: POST, path: '/c/{name}' }, to: users, auth: none, why_public: a test }
  - { id: v2, match: { method: GET, path: '/c/{id}', headers: { x-beta: '1' }, query: { v: '2' } }, to: users, auth: none, why_public: a test }
  - { id: wide, match: { method: GET, path: /c/** }, to: users, auth: none, why_public: a test }
  - { id: hosted, match: { method: GET, host: '*.a.test', path: '/c/{id}' }, to: users, auth: none, why_public: a test }
  - { id: moved, match: { method: GET, path: '/m/{id}' }, redirect: { to: 'https://new.test/{id}', status: 301 }, auth: none, why_public: a test }
  - { id: fixed, match: { method: GET, path: /fixed, headers: { x-a: { present: true } } }, respond: { status: 200, body: hi }, auth: none, why_public: a test }
";

#[test]
fn conditions_shares_rewrites_and_mirrors() {
    let url = "https://edge/c/7";
    explained_with(
        CANARY,
        "GET",
        url,
        &["x-beta: 1"],
        expect![[r#"
        GET /c/7
          verdict   goes on to users (90) or next (10)
          route     beta (GET /c/{id} with x-beta: 1)
          why       the most specific of 6 whose paths fit
          param     id = 7
          chain
            edge      request_id    request_id    runs
          then      goes on to users (90) or next (10): this one to users at 127.0.0.1:9081
          as        /in/7
          mirror    2.5% of it to next
          timeout   5s, body up to 1MiB
          retries   1, on connect only
          cache     none
          lost      base: asks for less than x-beta: 1
          lost      write: takes POST
          lost      v2: asks for x-beta: 1, ?v=2
          lost      wide: /c/** is wider than /c/{id}
          lost      hosted: is for the host *.a.test
    "#]],
    );
    explained_with(
        CANARY,
        "GET",
        url,
        &[],
        expect![[r#"
        GET /c/7
          verdict   goes on to users
          route     base (GET /c/{id})
          why       the most specific of 6 whose paths fit
          param     id = 7
          chain
            edge      request_id    request_id    runs
          then      goes on to users at 127.0.0.1:9081
          timeout   5s, body up to 1MiB
          retries   1, on connect only
          cache     none
          lost      beta: asks for x-beta: 1
          lost      write: takes POST
          lost      v2: asks for x-beta: 1, ?v=2
          lost      wide: /c/** is wider than /c/{id}
          lost      hosted: is for the host *.a.test
    "#]],
    );
    explained_with(
        CANARY,
        "GET",
        "https://x.a.test/c/7",
        &[],
        expect![[r#"
        GET /c/7
          verdict   goes on to users
          route     hosted (GET *.a.test/c/{id})
          why       the most specific of 6 whose paths fit
          param     id = 7
          chain
            edge      request_id    request_id    runs
          then      goes on to users at 127.0.0.1:9081
          timeout   5s, body up to 1MiB
          retries   1, on connect only
          cache     none
          lost      base: is for any host, the winner for *.a.test
          lost      beta: is for any host, the winner for *.a.test
          lost      write: is for any host, the winner for *.a.test
          lost      v2: is for any host, the winner for *.a.test
          lost      wide: is for any host, the winner for *.a.test
    "#]],
    );
    explained_with(
        CANARY,
        "DELETE",
        url,
        &[],
        expect![[r#"
        DELETE /c/7
          verdict   refused with 405 method_not_allowed
          lost      base: takes GET, not DELETE
          lost      beta: takes GET, not DELETE
          lost      write: takes POST, not DELETE
          lost      v2: takes GET, not DELETE
          lost      wide: /c/** is wider than /c/{id}
          lost      hosted: is for the host *.a.test
    "#]],
    );
}

#[test]
fn what_the_gateway_answers_itself() {
    explained_with(
        CANARY,
        "GET",
        "https://edge/m/7?x=1",
        &[],
        expect![[r#"
        GET /m/7
          verdict   is redirected to https://new.test/7?x=1 with 301
          route     moved (GET /m/{id})
          why       the only route whose path fits
          param     id = 7
          chain
            edge      request_id    request_id    runs
          then      is redirected to https://new.test/{id} with 301
          timeout   5s, body up to 1MiB
          retries   1, on connect only
          cache     none
    "#]],
    );
    explained_with(
        CANARY,
        "GET",
        "https://edge/fixed",
        &["x-a: b"],
        expect![[r#"
            GET /fixed
              verdict   is answered with 200
              route     fixed (GET /fixed with x-a present)
              why       the only route whose path fits
              chain
                edge      request_id    request_id    runs
              then      is answered with 200
              timeout   5s, body up to 1MiB
              retries   1, on connect only
              cache     none
        "#]],
    );
    explained_with(
        CANARY,
        "GET",
        "https://edge/fixed",
        &[],
        expect![[r#"
        GET /fixed
          verdict   refused with 404 not_found
          lost      fixed: asks for x-a present
    "#]],
    );
}

#[test]
fn the_json_says_the_same() {
    let folder = Folder::new();
    let config = folder.write("routes.yaml", GOOD);
    let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
    let plan = loaded
        .map_err(|refused| refused.findings.to_string())
        .expect("a good table")
        .plan;
    let question = Question {
        method: "GET".into(),
        url: "https://edge/v1/rates?day=1".into(),
        headers: vec!["accept: application/json".into()],
        caller: None,
        from: None,
    };
    let json =
        serde_json::to_value(explain(&plan, &question).expect("an explanation")).expect("JSON");
    assert_eq!(json["way"]["route"], "rates.list");
    assert_eq!(json["way"]["cache"], "catalog");
    assert_eq!(json["path"], "/v1/rates");
}

/// What a verb can't know it says.
#[test]
fn what_roles_grant_is_not_known_here() {
    let table = GOOD
        .replacen(
            "limits:\n",
            "rights: { upstream: users, on_outage: deny }\nlimits:\n",
            1,
        )
        .replace("{ roles: [user] }", "{ permissions: [users.read] }");
    let table = &table[..table.find("tests:\n").expect("tests")];
    let folder = Folder::new();
    let config = folder.write("routes.yaml", table);
    let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
    let loaded = loaded
        .map_err(|refused| refused.findings.to_string())
        .expect("a good table");
    let said = |permissions: Option<&[&str]>| {
        let question = Question {
            method: "GET".into(),
            url: "https://edge/v1/me/name".into(),
            headers: vec![],
            caller: Some(Caller {
                roles: vec!["support".into()],
                permissions: permissions
                    .map(|names| names.iter().map(ToString::to_string).collect()),
                ..Caller::default()
            }),
            from: None,
        };
        let explanation = explain(&loaded.plan, &question).expect("an explanation");
        let way = explanation.way.expect("a route");
        let step = way.chain.iter().find(|step| step.kind == "acl");
        let step = step.expect("a rule").verdict.clone();
        format!("{}\n{step}\n", explanation.verdict)
    };
    expect![[r#"
        goes on to users, if the upstream of `rights` lets it
        lets through whom the upstream of `rights` does, not asked here
    "#]]
    .assert_eq(&said(None));
    expect![[r#"
        goes on to users
        lets through
    "#]]
    .assert_eq(&said(Some(&["users.read"])));
    expect![[r#"
        refused with 403 forbidden
        refuses with 403 forbidden
    "#]]
    .assert_eq(&said(Some(&["users.edit"])));
}
