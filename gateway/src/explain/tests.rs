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
