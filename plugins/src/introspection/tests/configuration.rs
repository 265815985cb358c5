use super::*;

#[test]
fn a_configuration_that_can_do_no_good_is_refused() {
    let lent = TestEnv::new(folder(), Arc::new(OnTokio));
    for (changes, at, message) in [
        (
            json!({ "endpoint": "id.test/ask" }),
            "endpoint",
            "is no URL",
        ),
        (
            json!({ "endpoint": "ftp://id.test" }),
            "endpoint",
            "is no URL",
        ),
        (
            json!({ "endpoint": "http://id.test/ask" }),
            "endpoint",
            "is not `https`: the secret and all tokens would be readable",
        ),
        (
            json!({ "endpoint": "https://me:you@id.test/ask" }),
            "endpoint",
            "has more than a host, a path and a query",
        ),
        (json!({ "client_id": "" }), "client_id", "must not be empty"),
        (
            json!({ "client_secret": "hunter2" }),
            "client_secret",
            "expected `$file:path` or `$env:NAME`: secrets don't stand in the table",
        ),
        (
            json!({ "client_secret": "$file:missing" }),
            "client_secret",
            "`missing` can't be read: No such file or directory (os error 2)",
        ),
        (
            json!({ "audience": null }),
            "",
            "takes tokens that were issued for anything to anybody",
        ),
        (json!({ "audience": "" }), "audience", "must not be empty"),
        (json!({ "issuer": "" }), "issuer", "must not be empty"),
        (json!({ "clients": [""] }), "clients", "must not be empty"),
        (
            json!({ "token_type": [] }),
            "token_type",
            "the list is empty: no token would do",
        ),
        (
            json!({ "token_type": ["DPoP"] }),
            "token_type.0",
            "unknown variant `DPoP`",
        ),
        (
            json!({ "tokens": "all" }),
            "tokens",
            "unknown variant `all`",
        ),
        (json!({ "cache": "2h" }), "cache", "more than `1h`"),
        (
            json!({ "negative_cache": "2h" }),
            "negative_cache",
            "more than `1h`",
        ),
        (json!({ "stale": "2d" }), "stale", "more than `1d`"),
        (json!({ "within": "6s" }), "within", "more than `5s`"),
        (
            json!({ "within": "1ms" }),
            "within",
            "less than `50ms`: no issuer is that quick",
        ),
        (
            json!({ "max_in_flight": 0 }),
            "max_in_flight",
            "invalid value: integer `0`",
        ),
        (
            json!({ "claims": { "sub": "a..b" } }),
            "claims.sub",
            "is no path of names",
        ),
        (
            json!({ "on_outage": "allow" }),
            "on_outage",
            "unknown field `on_outage`",
        ),
    ] {
        let error = link(&lent.env, changed(config(), changes.clone()))
            .err()
            .expect(message);
        assert_eq!(error.at.join("."), at, "{changes}: {error}");
        assert!(error.message.starts_with(message), "{changes}: {error}");
    }
    for changes in [
        json!({ "endpoint": "http://127.0.0.1:8080/ask" }),
        json!({ "endpoint": "http://localhost/ask?tenant=a" }),
        json!({ "audience": null, "clients": ["web"] }),
        json!({ "cache": "0s", "negative_cache": "0s" }),
    ] {
        assert!(
            link(&lent.env, changed(config(), changes.clone())).is_ok(),
            "{changes}"
        );
    }
}
