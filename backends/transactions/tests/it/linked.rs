//! Several transfers as one.

use host::testing::Answer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{Bank, User, uuid, wish};

async fn ask(bank: &Bank, payer: User, key: &str, transfers: Vec<Value>) -> Answer {
    let wish = json!({ "transfers": transfers });
    let call = bank.app.call_as(payer.id, "POST", "/v1/entries");
    call.header("idempotency-key", key).json(&wish).send().await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, pointer: Option<&str>) {
    let body: Value = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &body["code"]),
        (status, &json!(code)),
        "{body}"
    );
    assert_eq!(body["errors"][0]["pointer"].as_str(), pointer, "{body}");
}

#[tokio::test]
async fn all_of_them_take_place_and_each_sees_what_is_theirs() {
    let bank = Bank::open().await;
    let (ann, bob, cyd, eve) = (
        bank.user(1_000).await,
        bank.user(0).await,
        bank.user(0).await,
        bank.user(0).await,
    );
    let steps = vec![
        wish(ann.wallet, bob.wallet, 100),
        wish(ann.wallet, bob.wallet, 300),
        wish(ann.wallet, cyd.wallet, 250),
    ];
    let answer = ask(&bank, ann, "a", steps.clone()).await;
    assert_eq!(answer.status.as_u16(), 201);
    let entry: Value = answer.json();
    let made = entry["transfers"].as_array().expect("transfers");
    assert_eq!(made.len(), 3);
    for (made, step) in made.iter().zip(&steps) {
        for part in ["from", "to", "amount"] {
            assert_eq!(made[part], step[part]);
        }
        assert_eq!(made["created_at"], entry["created_at"]);
    }
    assert_eq!(made[0]["id"], entry["id"]);
    for (user, cents) in [(ann, 350), (bob, 400), (cyd, 250)] {
        assert_eq!(bank.posted(user).await, cents);
    }

    let again = ask(&bank, ann, "a", steps).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json::<Value>(), entry);

    let path = format!("/v1/entries/{}", uuid(&entry["id"]));
    assert_eq!(bank.get(ann.id, &path).await.json::<Value>(), entry);
    let theirs: Value = bank.get(cyd.id, &path).await.json();
    assert_eq!(theirs["transfers"], json!([made[2]]));
    for path in [
        &path,
        "/v1/entries/7",
        &format!("/v1/entries/{}", Uuid::now_v7()),
    ] {
        refused(&bank.get(eve.id, path).await, 404, "not_found", None);
    }
    // Each is a transfer as any other.
    let one = format!("/v1/transfers/{}", uuid(&made[2]["id"]));
    assert_eq!(bank.get(cyd.id, &one).await.json::<Value>(), made[2]);
    bank.assert_proven().await;
}

#[tokio::test]
async fn one_that_cannot_be_stops_them_all_and_is_named() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(1_000).await, bank.user(0).await);
    let euros = bank.wallet_in(bob.id, "EUR", 0).await;
    let good = || wish(ann.wallet, bob.wallet, 1);
    let nobody = Uuid::now_v7();
    let free =
        json!({"from": ann.wallet, "to": bob.wallet, "amount": {"amount": 0, "currency": "USD"}});
    for (n, (bad, status, code)) in [
        (
            wish(ann.wallet, bob.wallet, 1_000),
            422,
            "insufficient_funds",
        ),
        (wish(ann.wallet, euros, 1), 422, "currency_mismatch"),
        (wish(ann.wallet, ann.wallet, 1), 422, "same_wallet"),
        (free, 422, "bad_amount"),
        (wish(ann.wallet, nobody, 1), 404, "wallet_not_found"),
        (wish(bob.wallet, ann.wallet, 1), 404, "wallet_not_found"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = ask(&bank, ann, &n.to_string(), vec![good(), bad, good()]).await;
        refused(&answer, status, code, Some("/transfers/1"));
    }
    for (key, steps) in [("none", 0), ("many", 65)] {
        let answer = ask(&bank, ann, key, vec![good(); steps]).await;
        refused(&answer, 422, "bad_entry", None);
    }
    assert_eq!((bank.posted(ann).await, bank.posted(bob).await), (1_000, 0));
    let other = ask(&bank, ann, "0", vec![good()]).await;
    refused(&other, 409, "idempotency_key_reused", None);
    let most = ask(&bank, ann, "most", vec![good(); 64]).await;
    assert_eq!(most.status.as_u16(), 201);
    assert_eq!((bank.posted(ann).await, bank.posted(bob).await), (936, 64));
    bank.assert_proven().await;
}
