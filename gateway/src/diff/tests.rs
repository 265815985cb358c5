use expect_test::{Expect, expect};

use super::*;
use crate::check::tests::GOOD;
use crate::testing::Folder;
use crate::{env, plan};

fn plan(table: &str) -> Plan {
    let folder = Folder::new();
    let config = folder.write("routes.yaml", table);
    let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
    let loaded = loaded.map_err(|refused| refused.findings.to_string());
    loaded.expect("a good table").plan
}

fn told(what: &str, with: &str, records: &str, expected: Expect) {
    assert!(GOOD.contains(what), "the good table has no {what}");
    let table = GOOD.replacen(what, with, 1);
    let cases = table.find("tests:\n").expect("tests");
    let mut records = records.as_bytes();
    let difference = diff(&plan(GOOD), &plan(&table[..cases]), Some(&mut records));
    expected.assert_eq(&difference.expect("a buffer is read").to_string());
}

fn record(method: &str, path: &str, rest: &str) -> String {
    let at = "2026-11-21T10:00:00Z";
    format!(
        "{{\"at\":\"{at}\",\"method\":\"{method}\",\"host\":\"edge.test\",\"path\":\"{path}\"{rest}}}\n"
    )
}

#[test]
fn who_would_be_hit_is_counted() {
    let mut records = String::new();
    for user in ["u1", "u2", "u1"] {
        let who = format!(",\"user\":\"{user}\",\"roles\":[\"user\"]");
        records += &record("GET", "/v1/me/name", &who);
    }
    records += &record(
        "GET",
        "/v1/me/name",
        ",\"user\":\"a\",\"roles\":[\"user\",\"admin\"]",
    );
    records += &record("GET", "/v1/rates", "");
    records += &record("GET", "/v1/me/name", "");
    told(
        "roles: [user]",
        "roles: [admin]",
        &records,
        expect![[r#"
            who may do what:
              - GET /v1/me/{part}  me.read  stranger: 401  user, if roles: [user]
              + GET /v1/me/{part}  me.read  stranger: 401  user, if roles: [admin]
            traffic: of 6 requests by 3 users, 3 would come to something else
              me.read -> me.read: 403: 3 requests by 2 users, such as GET edge.test/v1/me/name
        "#]],
    );
}

#[test]
fn a_route_that_takes_over_is_seen() {
    let records = record("POST", "/v1/login", "") + &record("GET", "/v1/rates", "");
    told(
        "  - id: rates.list\n    match: { method: GET, path: /v1/rates }\n",
        "  - id: rates.all\n    match: { method: GET, path: /v1/** }\n",
        &records,
        expect![[r#"
            who may do what:
              + GET /v1/**  rates.all  stranger: in  everybody: the same for everybody
              - GET /v1/rates  rates.list  stranger: in  everybody: the same for everybody
            traffic: of 2 requests by 0 users, 1 would come to something else
              rates.list -> rates.all: 1 request by 0 users, such as GET edge.test/v1/rates
        "#]],
    );
}

#[test]
fn what_is_no_record_is_counted_and_passed_over() {
    let long = format!("{{\"at\":\"{}\"}}\n", "x".repeat(100_000));
    let records = format!("nonsense\n\n{{}}\n{long}{}", record("GET", "/v1/rates", ""));
    told(
        "ttl: 30s",
        "ttl: 31s",
        &records,
        expect![[r#"
            who may do what: no change
            traffic: of 1 request by 0 users, 0 would come to something else; not read: 3 lines
        "#]],
    );
}

/// A second factor is as old in the replay as it was on the day.
#[test]
fn time_goes_with_the_record() {
    let at = time::macros::datetime!(2026-11-21 10:00 UTC).unix_timestamp();
    let who = |ago: i64| {
        let at = at - ago;
        format!(",\"user\":\"u{ago}\",\"roles\":[\"user\"],\"acr\":\"mfa\",\"auth_time\":{at}")
    };
    let records = record("GET", "/v1/me/name", &who(60)) + &record("GET", "/v1/me/name", &who(600));
    told(
        "allow: { roles: [user] }",
        "allow: { roles: [user], second_factor_within: 5m }",
        &records,
        expect![[r#"
            who may do what:
              - GET /v1/me/{part}  me.read  stranger: 401  user, if roles: [user]
              + GET /v1/me/{part}  me.read  stranger: 401  user, if roles: [user], second_factor_within: 5m
            traffic: of 2 requests by 2 users, 1 would come to something else
              me.read -> me.read: 403: 1 request by 1 user, such as GET edge.test/v1/me/name
        "#]],
    );
}

/// What roles grant is in no record and in no table.
#[test]
fn what_rights_decide_is_said_as_such() {
    let rights = "rights: { upstream: users, on_outage: deny }\nlimits:\n";
    let table = GOOD
        .replacen("limits:\n", rights, 1)
        .replace("{ roles: [user] }", "{ permissions: [users.read] }");
    let cases = table.find("tests:\n").expect("tests");
    let records = record(
        "GET",
        "/v1/me/name",
        ",\"user\":\"u1\",\"roles\":[\"user\"]",
    );
    let difference = diff(
        &plan(GOOD),
        &plan(&table[..cases]),
        Some(&mut records.as_bytes()),
    );
    expect![[r#"
        who may do what:
          - GET /v1/me/{part}  me.read  stranger: 401  user, if roles: [user]
          + GET /v1/me/{part}  me.read  stranger: 401  user, if permissions: [users.read]
        traffic: of 1 request by 1 user, 1 would come to something else
          me.read -> me.read, if `rights` let it: 1 request by 1 user, such as GET edge.test/v1/me/name
    "#]].assert_eq(&difference.expect("a buffer is read").to_string());
}
