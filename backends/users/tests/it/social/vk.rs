//! VK ID, against a double that speaks by its documentation: no client and no server of anybody else's
//! speaks it here.

use serde_json::json;

use super::{
    Sent, VERIFIER, begin, begin_bare, brought_home, come_back, exchange, fresh, link_with, op::Op,
    op::query, stage, user_of,
};
use crate::stage::{Answer, Stage};

async fn come_from_vk(stage: &Stage, op: &Op, sent: &Sent) -> Answer {
    let brought = op.sign_in(&sent.location);
    let brought = format!("{brought}&device_id=a+device&type=code_v2&expires_in=600&ext_id=x");
    come_back(stage, sent, &brought).await
}

#[tokio::test]
async fn vk_id_takes_the_device_back_and_is_linked_first() {
    let (op, stage) = stage().await;
    let sent = begin(&stage, "vk").await;
    assert!(sent.location.starts_with(&format!("{}/authorize?", op.url)));
    let asked = query(&sent.location);
    assert_eq!(asked["client_id"], "51000000");
    assert_eq!(asked["scope"], "vkid.personal_info email");
    assert!(!asked.contains_key("nonce"));
    let answer = come_from_vk(&stage, &op, &sent).await;
    let code = brought_home(&answer, "code");
    let asked = op.last("/oauth2/auth");
    assert_eq!(asked["grant_type"], "authorization_code");
    assert_eq!(asked["device_id"], "a device");
    assert_eq!(
        asked["redirect_uri"],
        "https://id.example.com/v1/auth/social/vk/callback"
    );
    assert!(!asked.contains_key("client_secret") && !asked.contains_key("service_token"));
    assert_eq!(op.last("/oauth2/user_info")["client_id"], "51000000");

    // It does not say that the address is verified: nobody becomes somebody by it.
    let answer = exchange(&stage, &code, VERIFIER).await;
    assert_eq!((answer.status, answer.code()), (401, "link_required"));
    let ann = stage.member("anna@example.com").await;
    let proof = json!({ "code": answer.text("link_code") });
    let linked = link_with(&stage, &fresh(&stage, ann), proof).await;
    assert_eq!(linked.status, 201, "{linked:?}");
    assert_eq!(linked.body["email"], "anna@example.com");

    let sent = begin_bare(&stage, "vk").await;
    let answer = come_from_vk(&stage, &op, &sent).await;
    assert_eq!((answer.status, user_of(&answer)), (200, ann));
    let kept = "select issuer || ' ' || subject from users.identity";
    assert_eq!(
        stage.column::<String>(kept).await,
        [format!("{} 4242", op.url)]
    );
}

#[tokio::test]
async fn what_vk_id_says_is_read_strictly() {
    let (op, stage) = stage().await;
    let good = json!({ "access_token": "vk1.a.theirs", "user_id": 4242 });
    let changed = |name: &str, value: serde_json::Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer
    };
    for (what, path, answer) in [
        (
            "an error with 200",
            "/oauth2/auth",
            json!({ "error": "invalid_grant" }),
        ),
        (
            "an error beside a token",
            "/oauth2/auth",
            changed("error", json!("slow_down")),
        ),
        (
            "no token",
            "/oauth2/auth",
            changed("access_token", json!("")),
        ),
        ("nobody", "/oauth2/auth", changed("user_id", json!(0))),
        ("nobody", "/oauth2/auth", changed("user_id", json!(null))),
        (
            "another state",
            "/oauth2/auth",
            changed("state", json!("another")),
        ),
        (
            "another person",
            "/oauth2/user_info",
            json!({ "user": { "user_id": "4243" } }),
        ),
        (
            "nobody",
            "/oauth2/user_info",
            json!({ "user": { "user_id": "" } }),
        ),
        (
            "an error with 200",
            "/oauth2/user_info",
            json!({ "error": "invalid_token" }),
        ),
    ] {
        op.script().answers = [(path, (200, answer))].into();
        let sent = begin_bare(&stage, "vk").await;
        let answer = come_from_vk(&stage, &op, &sent).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "not_vouched"),
            "{what}"
        );
    }
    op.script().answers.clear();
    let sent = begin_bare(&stage, "vk").await;
    let brought = op.sign_in(&sent.location);
    let answer = come_back(&stage, &sent, &brought).await;
    assert_eq!(answer.code(), "not_vouched", "no device_id came back");
}
