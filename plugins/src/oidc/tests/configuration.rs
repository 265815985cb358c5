use plugin_sdk::Kind;
use plugin_sdk::testing::TestEnv;
use serde_json::Value;

use super::stage::{config, folder};
use super::*;

fn refusal(changes: Value) -> BuildError {
    let env = TestEnv::new(folder(), Arc::new(plugin_sdk::testing::NoTasks)).env;
    let built = Kind::of::<Plugin>().build(config(changes.clone()), &env);
    built.map(|_| ()).expect_err(&changes.to_string())
}

#[test]
fn a_fault_is_named_with_its_place() {
    let cookie = |changes: Value| {
        let mut cookie = json!({ "key": "$file:session.key" });
        for (name, value) in changes.as_object().expect("an object") {
            cookie[name] = value.clone();
        }
        json!({ "cookie": cookie })
    };
    for (changes, at, says) in [
        (json!({ "issuer": "http://sso.test" }), "issuer", "https"),
        (json!({ "issuer": "sso" }), "issuer", "no URL"),
        (json!({ "client_id": "" }), "client_id", "empty"),
        (
            json!({ "client_secret": "$file:absent" }),
            "client_secret",
            "can't be read",
        ),
        (
            json!({ "client_secret": "hunter2" }),
            "client_secret",
            "$file:",
        ),
        (
            json!({ "client_secret": "$file:session.key" }),
            "client_secret",
            "one line",
        ),
        (
            json!({ "redirect_uri": "http://edge.test/cb" }),
            "redirect_uri",
            "https",
        ),
        (json!({ "redirect_uri": "/cb" }), "redirect_uri", "no URL"),
        (
            json!({ "redirect_uri": "https://edge.test/cb?a=b" }),
            "redirect_uri",
            "more than",
        ),
        (
            json!({ "redirect_uri": "https://Edge.test/cb" }),
            "redirect_uri",
            "https://edge.test/cb",
        ),
        (
            json!({ "redirect_uri": "https://edge.test:443/cb" }),
            "redirect_uri",
            "as a browser",
        ),
        (json!({ "algs": [] }), "algs", "empty"),
        (json!({ "algs": ["none"] }), "algs.0", "none"),
        (json!({ "algs": ["HS256"] }), "algs.0", "shared secret"),
        (json!({ "scopes": ["profile"] }), "scopes", "openid"),
        (
            json!({ "scopes": ["openid", "a b"] }),
            "scopes.1",
            "no scope",
        ),
        (
            json!({ "claims": { "roles": "a..b" } }),
            "claims.roles",
            "claim",
        ),
        (json!({ "keep": [""] }), "keep.0", "no claim"),
        (json!({ "origins": ["null"] }), "origins.0", "everybody"),
        (json!({ "origins": ["*"] }), "origins.0", "no origin"),
        (json!({ "login": "auth" }), "login", "no path"),
        (json!({ "login": "//evil.test" }), "login", "no path"),
        (
            json!({ "logout": "/auth/callback" }),
            "logout",
            "redirect_uri",
        ),
        (json!({ "logout": "/auth/login" }), "logout", "login"),
        (
            json!({ "after_logout": "https://evil.test/" }),
            "after_logout",
            "no path",
        ),
        (json!({ "refresh": "500ms" }), "refresh", "1s"),
        (json!({ "leeway": "3m" }), "leeway", "2m"),
        (cookie(json!({ "name": "staff" })), "cookie.name", "__Host-"),
        (
            cookie(json!({ "name": "__Host-a b" })),
            "cookie.name",
            "no name",
        ),
        (
            cookie(json!({ "key": "$file:client.secret" })),
            "cookie.key",
            "64 hex digits",
        ),
        (cookie(json!({ "ttl": "8d" })), "cookie.ttl", "7d"),
        (
            cookie(json!({ "ttl": "1h", "idle": "2h" })),
            "cookie.idle",
            "longer",
        ),
        (cookie(json!({ "idle": "0s" })), "cookie.idle", "less"),
        (
            cookie(json!({ "same_site": "none" })),
            "cookie.same_site",
            "unknown field",
        ),
    ] {
        let error = refusal(changes.clone());
        assert_eq!(error.at.join("."), at, "{changes}: {error}");
        let text = format!("{error} {}", error.hint.as_deref().unwrap_or_default());
        assert!(text.contains(says), "{changes}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
