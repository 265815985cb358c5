//! Tokens that only their issuer can read, and several issuers on one route.

use super::*;

/// A way that asks the issuer about tokens.
fn introspection(name: &str, issuer: &Issuer, more: &str) -> String {
    let url = issuer.url();
    format!(
        "  {name}: {{ introspection: {{ endpoint: \"{url}/introspect\", client_id: gateway, client_secret: $file:client.secret, audience: api, {more} }} }}\n"
    )
}

fn active(sub: &str) -> serde_json::Value {
    json!({ "active": true, "token_type": "Bearer", "sub": sub, "aud": "api" })
}

#[tokio::test]
async fn several_issuers_on_one_route() {
    let (one, other) = (Issuer::start(1).await, Issuer::start(2).await);
    let keys = |issuer: &Issuer| format!("jwks: \"{}/jwks\", stale_keys: 1h", issuer.url());
    let prefixed = |issuer: &Issuer| format!("{}, claims: {{ sub_prefix: \"o:\" }}", keys(issuer));
    let auth = [
        jwt("one", &one, &keys(&one)),
        jwt("other", &other, &prefixed(&other)),
        introspection("opaque", &one, "claims: { sub_prefix: \"q:\" }"),
    ];
    one.knows("t1", active("u9"));
    let stage = Stage::open(&routes("[opaque, one, other]", &auth.concat())).await;
    for (token, sub) in [
        (one.token(json!({}), json!({})), "u1"),
        (other.token(json!({}), json!({})), "o:u1"),
        ("t1".to_owned(), "q:u9"),
    ] {
        becomes(&stage, &token, 200).await;
        assert_eq!(stage.origin.asked().await.headers["x-user-id"], sub);
    }
    // In another's name, of nobody's, unknown, and none at all.
    let forged = other.token(json!({}), json!({ "iss": one.url() }));
    let foreign = other.token(json!({}), json!({ "iss": "https://third.test" }));
    for token in [forged.as_str(), &foreign, "t2", "a.b.c"] {
        assert_eq!(ask(&stage, token).await, bad("invalid_token"), "{token}");
    }
    assert_eq!(stage.get("/", "").await.code(), "unauthenticated");
    // An issuer that is away takes its own tokens along, and no other's.
    one.feel(Mood::Closes);
    assert_eq!(ask(&stage, "t3").await, away("auth_unavailable"));
    assert_eq!(
        ask(&stage, &other.token(json!({}), json!({ "jti": 1 }))).await,
        GOOD
    );
}

/// Security case 33, for the issuer: really away, slow, broken.
#[tokio::test]
async fn gateway_33_an_issuer_that_can_t_be_asked_is_a_503_in_time() {
    let issuer = Issuer::start(1).await;
    let opaque = introspection(
        "opaque",
        &issuer,
        "cache: 0s, negative_cache: 0s, within: 500ms",
    );
    let stage = Stage::open(&routes("opaque", &opaque)).await;
    issuer.knows("t1", active("u1"));
    assert_eq!(ask(&stage, "t1").await, GOOD);
    assert_eq!(ask(&stage, "t2").await, bad("invalid_token"));
    for mood in [
        Mood::Closes,
        Mood::Hangs,
        Mood::Says(says(500, "{\"active\":true}")),
        Mood::Says(says(401, "{\"active\":true}")),
        Mood::Says(says(200, "<html>")),
        Mood::Says(says(200, "{}")),
        Mood::Says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"active\":true".into()),
        Mood::Says("SSH-2.0-OpenSSH\r\n".into()),
    ] {
        issuer.feel(mood.clone());
        let before = Instant::now();
        assert_eq!(
            ask(&stage, "t1").await,
            away("auth_unavailable"),
            "{mood:?}"
        );
        assert!(
            before.elapsed() < Duration::from_secs(5),
            "{mood:?}: {:?}",
            before.elapsed()
        );
        // Nor is it asked about twice at once, or remembered.
        issuer.feel(Mood::Serves);
        assert_eq!(ask(&stage, "t1").await, GOOD, "after {mood:?}");
    }
}

#[tokio::test]
async fn gateway_33_what_was_known_holds_while_the_issuer_is_away() {
    let issuer = Issuer::start(1).await;
    let opaque = introspection("opaque", &issuer, "cache: 50ms, stale: 1h");
    let stage = Stage::open(&routes("opaque", &opaque)).await;
    issuer.knows("t1", active("u1"));
    assert_eq!(ask(&stage, "t1").await, GOOD);
    issuer.feel(Mood::Closes);
    let (before, until) = (
        issuer.asked("/introspect"),
        Instant::now() + Duration::from_millis(300),
    );
    while Instant::now() < until {
        assert_eq!(ask(&stage, "t1").await, GOOD);
    }
    assert_eq!(ask(&stage, "t2").await, away("auth_unavailable"));
    // Once it can be asked again, it is: what was revoked meanwhile is refused.
    issuer.knows("t1", json!({ "active": false }));
    issuer.feel(Mood::Serves);
    becomes(&stage, "t1", 401).await;
    assert!(issuer.asked("/introspect") > before);
}

/// A real provider: npm's oidc-provider, with signed access tokens and opaque ones.
#[tokio::test]
async fn a_real_provider_issues_what_we_take() {
    let wish = json!({
        "clients": [{
            "client_id": "web", "client_secret": "a secret of a test",
            "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [],
        }],
        "resources": {
            "urn:api": { "accessTokenFormat": "jwt", "audience": "api", "scope": "a:read" },
            "urn:opaque": { "accessTokenFormat": "opaque", "audience": "api", "scope": "a:read" },
        },
    });
    let provider = tokio::task::spawn_blocking(|| local::provider::Provider::start(wish)).await;
    let provider = provider.unwrap().unwrap();
    let id = provider.issuer().to_owned();
    let auth = format!(
        "
  user: {{ jwt: {{ issuer: \"{id}\", audience: api, discovery: true, algs: [RS256, ES256], refresh: 1s, stale_keys: 1h, claims: {{ sub: client_id }} }} }}
  opaque: {{ introspection: {{ endpoint: \"{id}/token/introspection\", client_id: web, client_secret: $file:client.secret, audience: api, claims: {{ sub: client_id, sub_prefix: \"o:\" }} }} }}
"
    );
    let stage = Stage::open(&routes("[user, opaque]", &auth)).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = async |resource: &str| {
        let answer = client
            .post(format!("{id}/token"))
            .basic_auth("web", Some("a+secret+of+a+test"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "grant_type=client_credentials&scope=a%3Aread&resource={resource}"
            ))
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        answer["access_token"].as_str().expect(&text).to_owned()
    };
    let (signed, opaque) = (token("urn:api").await, token("urn:opaque").await);
    assert_eq!(signed.split('.').count(), 3, "{signed}");
    assert_eq!(opaque.split('.').count(), 1, "{opaque}");
    for (token, sub) in [(&signed, "web"), (&opaque, "o:web")] {
        becomes(&stage, token, 200).await;
        assert_eq!(stage.origin.asked().await.headers["x-user-id"], sub);
    }
    assert_eq!(
        ask(&stage, &format!("{opaque}x")).await,
        bad("invalid_token")
    );
    // New keys, without the old ones: tokens of the new are taken, those of the old no more.
    let rotated = client
        .post(format!("{id}/test/rotate"))
        .send()
        .await
        .unwrap();
    assert_eq!(rotated.status(), 204);
    becomes(&stage, &signed, 401).await;
    becomes(&stage, &token("urn:api").await, 200).await;
}
