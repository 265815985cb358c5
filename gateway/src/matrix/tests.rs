use std::path::Path;

use expect_test::expect;

use super::*;
use crate::check::tests::GOOD;
use crate::testing::Folder;
use crate::{env, plan};

fn of(table: &str) -> Matrix {
    let folder = Folder::new();
    let config = folder.write("routes.yaml", table);
    let loaded = plan::load(&config, plugins::BUILTIN, &env::inert(&config));
    let loaded = loaded.map_err(|refused| refused.findings.to_string());
    matrix(&loaded.expect("a good table").plan)
}

#[test]
fn a_line_for_each_route_and_method() {
    let table = GOOD.replace(
        "tests:\n",
        "  - id: me.write\n    match: { method: [PUT, DELETE], path: \"/v1/me/{part}\", headers: { x-beta: \"1\" } }\n    \
         to: users\n    auth: user\n    allow: { ips: [10.0.0.0/8], second_factor_within: 5m }\ntests:\n",
    );
    expect![[r#"
        METHOD  PLACE                      ROUTE        STRANGER  WHO
        POST    /v1/login                  users.login  in        everybody: signing in
        GET     /v1/me/{part}              me.read      401       user, if roles: [user]
        DELETE  /v1/me/{part} [x-beta: 1]  me.write     401       user, if ips: [10.0.0.0/8], second_factor_within: 5m
        PUT     /v1/me/{part} [x-beta: 1]  me.write     401       user, if ips: [10.0.0.0/8], second_factor_within: 5m
        GET     /v1/rates                  rates.list   in        everybody: the same for everybody
    "#]].assert_eq(&of(&table).to_string());
}

#[test]
fn a_change_shows_what_it_opens() {
    let opened = GOOD
        .replace(
            "    auth: user\n    allow: { roles: [user] }\n    limits: [api]\n",
            "    auth: none\n    why_public: a mistake\n",
        )
        .replace(
            "  - { request: GET /v1/me/name, expect: { status: 401 } }\n",
            "",
        );
    let lines = of(GOOD).changes(&of(&opened));
    expect![[r#"
        - GET /v1/me/{part}  me.read  stranger: 401  user, if roles: [user]
        + GET /v1/me/{part}  me.read  stranger: in  everybody: a mistake"#]]
    .assert_eq(&lines.join("\n"));
    assert!(of(GOOD).changes(&of(GOOD)).is_empty());
}

/// Security case 17 and the exposure proof: what the shipped table opens stands in a file that a
/// review sees.
#[test]
fn the_kept_matrix_is_current() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let plan = crate::check::tests::shipped();
    let kept = root.join("deploy/routes.matrix");
    expect_test::expect_file![kept].assert_eq(&matrix(&plan).to_string());
}
