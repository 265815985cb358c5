use expect_test::expect;

use super::*;

/// The good table with another way to prove who is calling.
fn with_way(way: &str) -> String {
    GOOD.replace("auth:\n", &format!("auth:\n  other: {way}\n"))
        .replace("auth: user", "auth: [user, other]")
}

#[test]
fn an_api_key() {
    let check = |way: &str| check(&with_way(way));
    expect![[r#"
        routes.yaml: good (3 routes, 0 warnings)
    "#]]
    .assert_eq(&check("{ api_key: { upstream: users } }"));
    expect![[r#"
        error[auth.name.unknown]: auth "other" names `user`, which is not in `upstreams`
          --> routes.yaml:9:33      hint: did you mean `users`?
        error[auth.value]: auth "other", `prefix`: is no prefix of a key
          --> routes.yaml:9:47      hint: letters, digits and `_`, and a `_` at its end: `gk_`
        routes.yaml: refused (2 errors, 0 warnings)
    "#]]
    .assert_eq(&check("{ api_key: { upstream: user, prefix: sk } }"));
    expect![[r#"
        error[auth.value]: auth "other", `scheme`: goes without `header`
          --> routes.yaml:9:63      hint: keys come in one place, so that nobody sends two
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&check(
        "{ api_key: { upstream: users, header: x-key, scheme: Key } }",
    ));
    expect![[r#"
        error[auth.value]: auth "other", `cache`: is not between `1s` and `5m`
          --> routes.yaml:9:47
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&check("{ api_key: { upstream: users, cache: 1h } }"));
    expect![[r#"
        error[auth.key.missing]: auth "other" lacks `upstream`
          --> routes.yaml:9:21
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&check("{ api_key: { header: authorization } }"));
}

#[test]
fn a_signature() {
    let folder = Folder::new();
    let secret = "c2l4dGVlbiBieXRlcyEhIQ==";
    let short = format!(
        "{{\"k\": {{\"alg\": \"hmac-sha256\", \"secret\": \"{secret}\", \"sub\": \"a\"}}}}"
    );
    folder.write("short.json", &short);
    let check = |way: &str| {
        let path = folder.write("routes.yaml", &with_way(way));
        let said = said(&folder, &path);
        assert!(!said.contains(secret));
        said
    };
    expect![[r#"
        error[auth.value]: auth "other", `keys`: short.json: the key `k` has a secret of less than 32 bytes (`openssl rand -base64 32`)
          --> routes.yaml:9:31
        routes.yaml: refused (1 error, 0 warnings)
    "#]].assert_eq(&check("{ signature: { keys: $file:short.json } }"));
    expect![[r#"
        error[auth.value]: auth "other", `keys`: is no file
          --> routes.yaml:9:31      hint: write `$file:` and its path
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&check("{ signature: { keys: partners.json } }"));
    expect![[r#"
        error[auth.value]: auth "other", `keys`: short.json: the key `k` has a secret of less than 32 bytes (`openssl rand -base64 32`)
          --> routes.yaml:9:31
        error[auth.value]: auth "other", `cover`: leaves `@path` out
          --> routes.yaml:9:56      hint: whoever is on the way could change it
        routes.yaml: refused (2 errors, 0 warnings)
    "#]].assert_eq(&check(
        "{ signature: { keys: $file:short.json, cover: [\"@method\"] } }",
    ));
    expect![[r#"
        error[auth.value]: auth "other", `keys`: short.json: the key `k` has a secret of less than 32 bytes (`openssl rand -base64 32`)
          --> routes.yaml:9:31
        error[auth.value]: auth "other", `max_age`: is not between `1s` and `1h`
          --> routes.yaml:9:58
        routes.yaml: refused (2 errors, 0 warnings)
    "#]].assert_eq(&check(
        "{ signature: { keys: $file:short.json, max_age: 2h } }",
    ));
}

#[test]
fn a_client_certificate() {
    let check = |way: &str| check(&with_way(way));
    expect![[r#"
        warning[auth.certificates]: auth "other" knows callers by their certificates, and no listener asks for one
          --> routes.yaml:9:32      hint: add `tls: { clients: { ca: … } }` to a listener
        routes.yaml: good (3 routes, 1 warning)
    "#]].assert_eq(&check(
        "{ client_certificate: { subjects: { \"dns:a.example\": { sub: a } } } }",
    ));
    expect![[r#"
        error[auth.value]: auth "other", `subjects`: is empty: nobody would be known
          --> routes.yaml:9:44
        error[auth.value]: auth "other", `subjects.billing`: `billing` is no name of a certificate
          --> routes.yaml:9:55      hint: `spiffe://…` or another URI, `dns:…`, `email:…`, `cn:…` or `sha256:…`
        routes.yaml: refused (2 errors, 0 warnings)
    "#]].assert_eq(&check(
        "{ client_certificate: { subjects: { billing: { sub: a } } } }",
    ));
    expect![[r#"
        error[auth.value]: auth "other", `subjects`: is empty: nobody would be known
          --> routes.yaml:9:44
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&check("{ client_certificate: { subjects: {} } }"));
}
