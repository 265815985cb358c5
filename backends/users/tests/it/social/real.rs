//! npm's oidc-provider in Google's place: a certified provider, with a browser that goes where it is
//! sent.

use std::collections::BTreeMap;

use local::provider::Provider;
use serde_json::json;

use super::{Google, PAGE, SECRET, Secret, VERIFIER, begin, brought_home, come_back, exchange};
use crate::stage::Stage;

const CALLBACK: &str = "https://id.example.com/v1/auth/social/google/callback";

/// Signs in there: gives where the browser is sent back to.
async fn sign_in_there(location: &str) -> String {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([]);
    let client = client.build().expect("a client");
    let mut cookies = BTreeMap::new();
    let (mut url, mut form) = (location.to_owned(), None::<&str>);
    let mut prompts = vec!["prompt=consent", "prompt=login&login=alice&password=x"];
    for _ in 0..12 {
        let jar: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = match form.take() {
            None => client.get(&url),
            Some(form) => client
                .post(&url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form),
        };
        request = request.header("cookie", jar.join("; "));
        let answer = request.send().await.expect("an answer");
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("a text");
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a pair");
            cookies.insert(name.to_owned(), value.to_owned());
        }
        match answer.headers().get("location") {
            Some(there) => {
                let there = there.to_str().expect("a text");
                if there.starts_with(CALLBACK) {
                    return there.to_owned();
                }
                let base: url::Url = url.parse().expect("a URL");
                url = base.join(there).expect("a URL").into();
            }
            None => {
                let status = answer.status();
                form = prompts.pop();
                assert!(
                    form.is_some(),
                    "{status} {}",
                    answer.text().await.expect("a text")
                );
            }
        }
    }
    panic!("sent around for ever, at last to {url}");
}

#[tokio::test]
async fn a_browser_signs_in_at_a_certified_provider() {
    let provider = Provider::start(json!({
        "clients": [{
            "client_id": "ours", "client_secret": SECRET, "redirect_uris": [CALLBACK],
            "response_types": ["code"], "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "client_secret_post",
        }],
        "accounts": { "alice": {
            "email": "alice@gmail.com", "email_verified": true, "name": "Alice", "groups": ["admin"],
        } },
        "more": {
            "claims": {
                "openid": ["sub"], "profile": ["name", "groups"], "email": ["email", "email_verified"],
            },
        },
    }));
    let provider = provider.expect("a provider");
    let issuer = provider.issuer().to_owned();
    let stage = Stage::start_by_the_clock_with(|config| {
        config.base_url = super::HERE.to_owned();
        config.social.google = Some(Google {
            client_id: "ours".to_owned(),
            client_secret: Secret::new(SECRET),
            native_client_ids: Vec::new(),
            issuer,
        });
        config.social.return_to = vec![PAGE.to_owned()];
    })
    .await;
    let mut users = Vec::new();
    for _ in 0..2 {
        let sent = begin(&stage, "google").await;
        let back = sign_in_there(&sent.location).await;
        let brought = back
            .strip_prefix(CALLBACK)
            .and_then(|rest| rest.strip_prefix('?'));
        let brought = brought.expect("a query").to_owned();
        assert!(brought.contains("iss="), "it says who it is: {brought}");
        let code = brought_home(&come_back(&stage, &sent, &brought).await, "code");
        let answer = exchange(&stage, &code, VERIFIER).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.claims()["roles"], json!(["user"]));
        users.push(super::user_of(&answer));
    }
    assert_eq!(users[0], users[1]);
    let kept = "select issuer || ' ' || subject || ' ' || email from users.identity";
    assert_eq!(
        stage.column::<String>(kept).await,
        [format!("{} alice alice@gmail.com", provider.issuer())]
    );
}
