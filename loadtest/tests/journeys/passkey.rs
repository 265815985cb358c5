//! A passkey in a real browser: Chromium with its virtual authenticator, at the edge's own address.

use serde_json::{Value, json};

use crate::{client::text, stage::Stage};

const SCRIPT: &str = include_str!("passkey.mjs");

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_makes_a_passkey_and_signs_in_with_it() {
    let stage = Stage::open().await;
    let people = stage.product.people().iter();
    let mut users = people.filter(|person| person.role == "user");
    let person = users.next().expect("the demo has a user");
    let wish = json!({
        "url": stage.product.url(),
        "ca": stage.product.place().ca().canonicalize().expect("a file"),
        "email": person.email,
        "password": person.password,
    });
    let email = person.email.clone();
    let played = tokio::task::spawn_blocking(move || local::browser::play(SCRIPT, &wish)).await;
    let played = played
        .expect("no panic")
        .unwrap_or_else(|error| panic!("{error:#}"));

    assert_eq!(played["passkey"]["name"], "the journey's", "{played:#}");
    assert_eq!(played["passkey"]["discoverable"], true, "{played:#}");
    assert_eq!(text(&played["me"]["email"]), email);
    let refused = |answer: &Value| (answer["status"].clone(), answer["body"]["code"].clone());
    assert_eq!(
        refused(&played["replay"]),
        (json!(401), json!("invalid_credentials"))
    );
    assert_eq!(refused(&played["due"]), (json!(401), json!("mfa_required")));
    assert_eq!(played["second"], true, "{played:#}");
    assert!(
        text(&played["again"]).contains("InvalidStateError"),
        "{played:#}"
    );
}
