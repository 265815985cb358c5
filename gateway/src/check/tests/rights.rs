use expect_test::expect;

use super::*;

/// The good table, with this under `rights`.
fn with(rights: &str, expected: Expect) {
    spoilt(
        "limits:\n",
        &format!("rights: {rights}\nlimits:\n"),
        expected,
    );
}

/// The good table, with this under `allow`, and rights to be had or not.
fn allowing(allow: &str, rights: bool) -> String {
    let rights = match rights {
        true => "rights: { upstream: users, on_outage: deny }\nlimits:\n",
        false => "limits:\n",
    };
    let table = GOOD.replacen("limits:\n", rights, 1);
    let start = table.find("tests:\n").expect("tests");
    let table = &table[..start];
    check(&table.replace("allow: { roles: [user] }", &format!("allow: {allow}")))
}

#[test]
fn what_tells_who_may_what() {
    with(
        "{ upstream: users, on_outage: deny, patience: 5s }",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    with(
        "{ upstream: users, on_outage: stale, stale: 10m }",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    with(
        "{ upstream: user, on_outage: allow }",
        expect![[r#"
        error[rights.value]: `rights`, `on_outage`: unknown variant `allow`, expected `deny` or `stale`
          --> routes.yaml:16:38      hint: there is: deny, stale
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    with(
        "{ upstream: user, on_outage: deny }",
        expect![[r#"
        error[rights.name.unknown]: `rights` names `user`, which is not in `upstreams`
          --> routes.yaml:16:21      hint: did you mean `users`?
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    with(
        "{ upstream: users }",
        expect![[r#"
        error[rights.key.missing]: `rights` lacks `on_outage`
          --> routes.yaml:16:9
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    with(
        "{ upstream: users, on_outage: deny, stale: 10m }",
        expect![[r#"
            error[rights.stale]: `rights` say how long the last snapshot holds, and that it does not
              --> routes.yaml:16:52      hint: leave it out, or write `on_outage: stale`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    with(
        "{ upstream: users, on_outage: stale, stale: 5s }",
        expect![[r#"
            error[rights.stale.short]: `rights` let the last snapshot hold for less than `patience`
              --> routes.yaml:16:53      hint: make it longer, or write `on_outage: deny`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    with(
        "{ upstream: users, on_outage: deny, patience: 1s }",
        expect![[r#"
            error[rights.patience]: `rights` call a moment's silence an outage
              --> routes.yaml:16:55      hint: at least `2s`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn routes_ask_for_what_is_told() {
    let kept = |allow: &str, expected: Expect| expected.assert_eq(&allowing(allow, true));
    kept(
        "{ permissions: [users.read] }",
        expect![[r#"
        routes.yaml: good (3 routes, 0 warnings)
    "#]],
    );
    kept(
        "{ acl: wallets, owner_param: part, any: [{ permissions: [a] }, { owner: part }] }",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    kept(
        "{ permissions: [] }",
        expect![[r#"
        error[route.allow.value]: route "me.read", `permissions`: the list is empty: nobody would get in
          --> routes.yaml:43:27      hint: name some permissions, or leave the key out
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    kept(
        "{ acl: wallets, owner_param: prat }",
        expect![[r#"
        error[route.allow.owner]: route "me.read" belongs to `prat`, which its path /v1/me/{part} has not
          --> routes.yaml:43:41      hint: did you mean `part`?
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    kept(
        "{ roles: [user], owner_param: part }",
        expect![[r#"
        error[route.allow.value]: route "me.read", `owner_param`: goes without `acl`
          --> routes.yaml:43:42      hint: add `acl:` with the API whose rules mean it, or write `owner:`
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    kept(
        "{ any: [{ acl: wallets }] }",
        expect![[r#"
        error[route.allow.value]: route "me.read", `any.0`: nothing is asked of the caller
          --> routes.yaml:43:20      hint: add `roles: [..]`, `scopes: [..]`, `owner: ..` or another demand
        error[route.allow.key.unknown]: route "me.read" has no key `acl`
          --> routes.yaml:43:22      hint: did you mean `acr`?
        routes.yaml: refused (2 errors, 0 warnings)
    "#]],
    );
    let untold = |allow: &str, expected: Expect| expected.assert_eq(&allowing(allow, false));
    untold(
        "{ permissions: [users.read] }",
        expect![[r#"
        error[route.allow.rights]: route "me.read" asks for `permissions`, of which nobody tells this table
          --> routes.yaml:42:27      hint: add `rights: { upstream: …, on_outage: deny }` beside `auth`
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    untold(
        "{ roles: [user], any: [{ owner: part }, { permissions: [a] }] }",
        expect![[r#"
            error[route.allow.rights]: route "me.read" asks for `permissions`, of which nobody tells this table
              --> routes.yaml:42:67      hint: add `rights: { upstream: …, on_outage: deny }` beside `auth`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    untold(
        "{ acl: wallets }",
        expect![[r#"
        error[route.allow.rights]: route "me.read" asks for `acl`, of which nobody tells this table
          --> routes.yaml:42:19      hint: add `rights: { upstream: …, on_outage: deny }` beside `auth`
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
}

/// A table's own test says what the caller's roles grant; who is not said to have a permission has
/// none.
#[test]
fn a_case_says_which_permissions_there_are() {
    let table = GOOD.replacen(
        "limits:\n",
        "rights: { upstream: users, on_outage: deny }\nlimits:\n",
        1,
    );
    let demand = "allow: { permissions: [users.read], acl: parts }";
    let table = table.replace("allow: { roles: [user] }", demand);
    let start = table.find("tests:\n").expect("tests") + "tests:\n".len();
    let case = |who: &str, expected: &str| {
        format!("  - {{ request: GET /v1/me/name, as: {who}, expect: {expected} }}\n")
    };
    let refused = "{ route: me.read, status: 403 }";
    let table = table[..start].to_owned()
        + &case("{ permissions: [a, users.read] }", "{ route: me.read }")
        + &case("{ permissions: [a] }", refused)
        + &case("{ roles: [admin] }", refused);
    let said = check(&table);
    assert!(said.contains("routes.yaml: good"), "{said}");
}
