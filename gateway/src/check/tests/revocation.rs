use expect_test::expect;

use super::*;

/// The good table, its one way with this beside it.
fn beside(revocation: &str, expected: Expect) {
    let with = format!("  user:\n    revocation: {revocation}\n    jwt:\n");
    spoilt("  user:\n    jwt:\n", &with, expected);
}

#[test]
fn what_tells_who_was_revoked() {
    beside(
        "{ feed: users, on_outage: deny, patience: 5s }",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    beside(
        "{ feed: user, on_outage: maybe, patience: 1 }",
        expect![[r#"
            error[auth.revocation.value]: auth "user", `on_outage`: unknown variant `maybe`, expected `allow` or `deny`
              --> routes.yaml:10:42      hint: there is: allow, deny
            error[auth.revocation.value]: auth "user", `patience`: invalid type: integer `1`, expected a length of time with its unit, such as `250ms`, `5s`, `1m`, `2h` or `7d`
              --> routes.yaml:10:59      hint: did you mean `1s`?
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
    beside(
        "{ feed: users, patience: 1s }",
        expect![[r#"
        error[auth.revocation.key.missing]: auth "user" lacks `on_outage`
          --> routes.yaml:10:17
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    beside(
        "{ feed: users, on_outage: allow, patience: 500ms }",
        expect![[r#"
            error[auth.revocation.patience]: auth "user" would call a moment's silence an outage
              --> routes.yaml:10:60      hint: at least `2s`: the feed is asked every half second
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    beside(
        "{ feed: users, on_outage: deny }\n    mode: shadow",
        expect![[r#"
            error[auth.revocation.shadow]: auth "user" has a `revocation`, and refuses nobody
              --> routes.yaml:10:17      hint: a way in shadow lets everybody pass: leave one of the two out
            error[route.why_public.missing]: route "me.read" is open to everybody and does not say why
              --> routes.yaml:43:11      hint: add `why_public: …`, for whoever reviews it
            error[test.failed]: test 1 failed: `GET /v1/me/name` is refused by `me.read` with 401
              --> routes.yaml:47:64      hint: expected it to reach `me.read`
            routes.yaml: refused (3 errors, 0 warnings)
        "#]],
    );
    beside(
        "",
        expect![[r#"
        error[auth.revocation.value]: auth "user": invalid type: null, expected struct Revocation
          --> routes.yaml:10:15
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
}
