use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::Bank;
use events::UserVerified;

#[tokio::test]
async fn a_verified_user_has_one_empty_wallet_however_often_the_event_comes() {
    let bank = Bank::open().await;
    let user_id = Uuid::new_v4();
    let verified = UserVerified {
        user_id,
        email: Some("ann@example.com".to_owned()),
        phone: None,
    };
    let (envelope, handled) = bank.app.deliver(&verified).await;
    handled.expect("handled");
    bank.app
        .redeliver(envelope)
        .await
        .expect("the same event again");
    bank.app
        .deliver(&verified)
        .await
        .1
        .expect("another event that says the same");

    let list: Value = bank.get(user_id, "/v1/wallets").await.json();
    let id = &list["items"][0]["id"];
    assert_eq!(
        list,
        json!({
            "items": [{"id": id, "currency": "USD", "posted": 0, "held": 0, "available": 0}],
            "next_cursor": null,
        })
    );
    let one: Value = bank
        .get(
            user_id,
            &format!("/v1/wallets/{}", id.as_str().expect("an id")),
        )
        .await
        .json();
    assert_eq!(one, list["items"][0]);
}

#[tokio::test]
async fn wallets_come_in_pages() {
    let bank = Bank::open().await;
    let ann = bank.user(0).await;
    let eur = bank.wallet_in(ann.id, "EUR", 500).await;
    let jpy = bank.wallet_in(ann.id, "JPY", 0).await;
    let first: Value = bank.get(ann.id, "/v1/wallets?limit=2").await.json();
    let ids = |page: &Value| -> Vec<Value> {
        page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["id"].clone())
            .collect()
    };
    assert_eq!(ids(&first), [json!(ann.wallet), json!(eur)]);
    assert_eq!(first["items"][1]["available"], 500);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second: Value = bank
        .get(ann.id, &format!("/v1/wallets?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(ids(&second), [json!(jpy)]);
    assert_eq!(second["next_cursor"], Value::Null);

    let bob = bank.user(0).await;
    let stolen = bank
        .get(bob.id, &format!("/v1/wallets?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(
        (stolen.status.as_u16(), stolen.code().as_str()),
        (400, "bad_cursor")
    );
}

#[tokio::test]
async fn another_s_wallet_looks_like_none() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(100).await, bank.user(0).await);
    let nowhere = Uuid::now_v7();
    for path in [
        format!("/v1/wallets/{}", ann.wallet),
        format!("/v1/wallets/{}/entries", ann.wallet),
        format!("/v1/wallets/{nowhere}"),
        format!("/v1/wallets/{nowhere}/entries"),
        "/v1/wallets/7".to_owned(),
        "/v1/wallets/7/entries".to_owned(),
    ] {
        let answer = bank.get(bob.id, &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (404, "wallet_not_found"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nobody_sees_nothing() {
    let bank = Bank::open().await;
    let ann = bank.user(100).await;
    for path in [
        "/v1/wallets".to_owned(),
        format!("/v1/wallets/{}", ann.wallet),
        format!("/v1/wallets/{}/entries", ann.wallet),
        format!("/v1/transfers/{}", Uuid::now_v7()),
    ] {
        // Sealed for nobody, as on a public route; then not sealed at all.
        let sealed = bank.app.get(&path).send().await;
        assert_eq!(
            (sealed.status.as_u16(), sealed.code().as_str()),
            (401, "unauthenticated"),
            "{path}"
        );
        let bare = bank.app.get(&path).without("x-identity").send().await;
        assert_eq!(bare.status.as_u16(), 401, "{path}");
    }
    let transfer = bank
        .app
        .post("/v1/transfers")
        .header("idempotency-key", "k");
    assert_eq!(transfer.json(&json!({})).send().await.status.as_u16(), 401);
}
