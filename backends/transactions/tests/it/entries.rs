use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::bank::{Bank, User, uuid};

async fn page(bank: &Bank, user: User, query: &str) -> Value {
    let answer = bank
        .get(
            user.id,
            &format!("/v1/wallets/{}/entries{query}", user.wallet),
        )
        .await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn each_side_sees_its_own() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(1_000).await, bank.user(0).await);
    let transfer: Value = bank.pay(ann, bob, 300).await.json();
    let entry = |direction: &str, counterparty: User, balance_after: i64| {
        json!({
            "id": transfer["id"],
            "kind": "transfer",
            "direction": direction,
            "amount": {"amount": 300, "currency": "USD"},
            "counterparty": counterparty.wallet,
            "balance_after": balance_after,
            "created_at": transfer["created_at"],
        })
    };
    let ours = page(&bank, ann, "").await;
    assert_eq!(ours["items"][0], entry("out", bob, 700));
    let opening = &ours["items"][1];
    assert_eq!(
        opening,
        &json!({
            "id": opening["id"],
            "kind": "opening",
            "direction": "in",
            "amount": {"amount": 1_000, "currency": "USD"},
            "counterparty": null,
            "balance_after": 1_000,
            "created_at": opening["created_at"],
        })
    );
    assert_eq!(ours["next_cursor"], Value::Null);
    assert_eq!(
        page(&bank, bob, "").await["items"],
        json!([entry("in", ann, 300)])
    );

    // The opening entry is no transfer between users.
    let answer = bank
        .get(ann.id, &format!("/v1/transfers/{}", uuid(&opening["id"])))
        .await;
    assert_eq!(answer.code(), "not_found");
}

#[tokio::test]
async fn pages_go_back_in_time_without_gap_or_repetition_while_money_moves() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(1_000).await, bank.user(0).await);
    let mut expected = Vec::new();
    for n in 1..=10 {
        let (payer, payee) = if n % 3 == 0 { (bob, ann) } else { (ann, bob) };
        let transfer: Value = bank.pay(payer, payee, n).await.json();
        expected.insert(0, transfer["id"].clone());
    }
    let mut seen = Vec::new();
    let mut query = "?limit=4".to_owned();
    loop {
        let page = page(&bank, bob, &query).await;
        seen.extend(
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|entry| entry["id"].clone()),
        );
        // What comes meanwhile is newer than the page, so it does not show further back.
        bank.pay(ann, bob, 1).await;
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=4&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(1_000).await, bank.user(1_000).await);
    bank.pay(ann, bob, 1).await;
    let page = page(&bank, ann, "?limit=1").await;
    let cursor = page["next_cursor"].as_str().expect("there is more");
    for (user, cursor) in [(bob, cursor), (ann, "x"), (ann, &cursor[1..])] {
        let path = format!("/v1/wallets/{}/entries?cursor={cursor}", user.wallet);
        let answer = bank.get(user.id, &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "bad_cursor")
        );
    }
    for limit in ["0", "101", "-1", "x"] {
        let answer = bank
            .get(
                ann.id,
                &format!("/v1/wallets/{}/entries?limit={limit}", ann.wallet),
            )
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "bad_request"),
            "{limit}"
        );
    }
}

/// The journal's numbers run over all accounts: whoever read them could count everybody's transfers.
#[tokio::test]
async fn a_cursor_tells_nothing_that_the_page_does_not() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(1_000).await, bank.user(0).await);
    bank.pay(ann, bob, 1).await;
    let page = page(&bank, ann, "?limit=1").await;
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("base64");
    let position: Value = serde_json::from_slice(&bytes[16..]).expect("JSON behind the tag");
    assert_eq!(position, page["items"][0]["id"]);
}
