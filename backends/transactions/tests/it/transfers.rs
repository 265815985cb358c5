use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{Bank, uuid, wish};

#[tokio::test]
async fn money_moves_and_both_sides_can_read_it() {
    let bank = Bank::open().await;
    let (ann, bob, eve) = (
        bank.user(10_000).await,
        bank.user(0).await,
        bank.user(0).await,
    );
    let answer = bank.pay(ann, bob, 1_234).await;
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    let transfer: Value = answer.json();
    assert_eq!(
        transfer,
        json!({
            "id": transfer["id"],
            "from": ann.wallet,
            "to": bob.wallet,
            "amount": {"amount": 1_234, "currency": "USD"},
            "created_at": transfer["created_at"],
        })
    );
    assert_eq!(uuid(&transfer["id"]).get_version_num(), 7);
    assert_eq!(
        (bank.posted(ann).await, bank.posted(bob).await),
        (8_766, 1_234)
    );

    let path = format!("/v1/transfers/{}", uuid(&transfer["id"]));
    for party in [ann, bob] {
        let read: Value = bank.get(party.id, &path).await.json();
        assert_eq!(read, transfer);
    }
    for path in [
        path.as_str(),
        "/v1/transfers/7",
        &format!("/v1/transfers/{}", Uuid::now_v7()),
    ] {
        let answer = bank.get(eve.id, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
    bank.assert_proven().await;
}

#[tokio::test]
async fn the_full_balance_is_spent_once_by_200_at_once() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(5_000).await, bank.user(0).await);
    let answers = join_all((0..200).map(|_| bank.pay(ann, bob, 5_000))).await;
    let posted = answers
        .iter()
        .filter(|answer| answer.status.as_u16() == 201)
        .count();
    let refused = answers
        .iter()
        .filter(|answer| answer.status.as_u16() == 422 && answer.code() == "insufficient_funds")
        .count();
    assert_eq!((posted, refused), (1, 199));
    assert_eq!((bank.posted(ann).await, bank.posted(bob).await), (0, 5_000));
    bank.assert_proven().await;
}

#[tokio::test]
async fn opposite_transfers_at_once_all_arrive() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(5_000).await, bank.user(5_000).await);
    let there = join_all((0..100).map(|_| bank.pay(ann, bob, 3)));
    let back = join_all((0..100).map(|_| bank.pay(bob, ann, 2)));
    let (there, back) = futures::join!(there, back);
    assert!(
        there
            .iter()
            .chain(&back)
            .all(|answer| answer.status.as_u16() == 201)
    );
    assert_eq!(
        (bank.posted(ann).await, bank.posted(bob).await),
        (4_900, 5_100)
    );
    bank.assert_proven().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_is_refused_and_moves_nothing() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(100).await, bank.user(100).await);
    let eur = bank.wallet_in(ann.id, "EUR", 100).await;
    let nowhere = Uuid::now_v7();
    let euros =
        |from, to| json!({"from": from, "to": to, "amount": {"amount": 1, "currency": "EUR"}});
    for (refused, status, code) in [
        (wish(ann.wallet, bob.wallet, 101), 422, "insufficient_funds"),
        (wish(ann.wallet, ann.wallet, 1), 422, "same_wallet"),
        (wish(ann.wallet, eur, 1), 422, "currency_mismatch"),
        (wish(eur, bob.wallet, 1), 422, "currency_mismatch"),
        (euros(eur, bob.wallet), 422, "currency_mismatch"),
        (euros(ann.wallet, bob.wallet), 422, "currency_mismatch"),
        (wish(bob.wallet, ann.wallet, 1), 404, "wallet_not_found"),
        (wish(nowhere, bob.wallet, 1), 404, "wallet_not_found"),
        (wish(ann.wallet, nowhere, 1), 404, "wallet_not_found"),
    ] {
        let key = Uuid::new_v4().to_string();
        let answer = bank.transfer(ann.id, &key, &refused).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{refused}"
        );
        let problem: Value = answer.json();
        assert!(problem["request_id"].is_string(), "{problem}");
    }
    assert_eq!((bank.posted(ann).await, bank.posted(bob).await), (100, 100));
    bank.assert_proven().await;
}

#[tokio::test]
async fn what_is_no_amount_is_refused() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(i64::from(u32::MAX)).await, bank.user(0).await);
    let body = |amount: &str, currency: &str| {
        format!(
            r#"{{"from":"{}","to":"{}","amount":{{"amount":{amount},"currency":"{currency}"}}}}"#,
            ann.wallet, bob.wallet
        )
    };
    let send = async |body: String| {
        let call = bank.transfer(ann.id, &Uuid::new_v4().to_string(), &json!({}));
        call.body(body).send().await
    };
    for amount in [
        "0",
        "-0",
        "-1",
        "-1234",
        "1e3",
        "1E3",
        "1.0",
        "0.5",
        "12.34",
        "9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "\"1234\"",
        "\"+1\"",
        "\"-1\"",
        "\"1e3\"",
        "\"NaN\"",
        "\"\"",
        "null",
        "true",
        "[]",
        "{}",
    ] {
        let answer = send(body(amount, "USD")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (422, "bad_amount"),
            "{amount}"
        );
    }
    for currency in ["usd", "US", "XXX", "", "USD "] {
        let answer = send(body("1", currency)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (422, "bad_amount"),
            "{currency}"
        );
    }
    for malformed in ["NaN", "+1", "01", "1_000", "0x10", "Infinity", ""] {
        let answer = send(body(malformed, "USD")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "bad_body"),
            "{malformed}"
        );
    }
    let max = send(body("9007199254740991", "USD")).await;
    assert_eq!(
        (max.status.as_u16(), max.code().as_str()),
        (422, "insufficient_funds")
    );
    assert_eq!(bank.posted(bob).await, 0);
}

#[tokio::test]
async fn what_is_no_wish_is_refused() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(100).await, bank.user(0).await);
    let good = wish(ann.wallet, bob.wallet, 1);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    // Mass assignment is a field nobody knows.
    for body in [
        with("posted", json!(1_000_000)),
        with("flags", json!(1)),
        with("actor", json!(bob.id)),
        with("from", json!(7)),
        with("from", json!("7")),
        with("amount", json!(1)),
        with("amount", json!({"amount": 1})),
        with(
            "amount",
            json!({"amount": 1, "currency": "USD", "scale": 2}),
        ),
        json!({}),
        json!([]),
    ] {
        let answer = bank.transfer(ann.id, "k", &body).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "bad_body"),
            "{body}"
        );
    }
    let keyless = bank
        .transfer(ann.id, "k", &good)
        .without("idempotency-key")
        .send()
        .await;
    assert_eq!(
        (keyless.status.as_u16(), keyless.code().as_str()),
        (400, "idempotency_key_required")
    );
    assert_eq!(bank.posted(ann).await, 100);
}

/// JPY has no decimals and BHD three: the unit is the currency's own.
#[tokio::test]
async fn minor_units_are_those_of_the_currency() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(0).await, bank.user(0).await);
    for (currency, exponent) in [("JPY", 0), ("BHD", 3)] {
        let from = bank.wallet_in(ann.id, currency, 1_000).await;
        let to = bank.wallet_in(bob.id, currency, 0).await;
        let wish =
            json!({"from": from, "to": to, "amount": {"amount": 1_000, "currency": currency}});
        let answer = bank.transfer(ann.id, currency, &wish).send().await;
        assert_eq!(answer.status.as_u16(), 201);
        let wallet: Value = bank.get(bob.id, &format!("/v1/wallets/{to}")).await.json();
        assert_eq!(wallet["posted"], 1_000);
        let list: Value = bank.app.get("/v1/currencies").send().await.json();
        let entries = list["items"].as_array().expect("items");
        let entry = entries
            .iter()
            .find(|entry| entry["code"] == currency)
            .expect("listed");
        assert_eq!(entry["exponent"], exponent);
    }
    bank.assert_proven().await;
}
