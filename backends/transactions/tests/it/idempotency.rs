use futures::future::join_all;
use serde_json::{Value, json};

use crate::bank::{Bank, wish};

#[tokio::test]
async fn the_same_key_gets_the_very_same_answer_and_money_moves_once() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(10_000).await, bank.user(0).await);
    let wish = wish(ann.wallet, bob.wallet, 1_234);
    let first = bank.transfer(ann.id, "k", &wish).send().await;
    let again = bank.transfer(ann.id, "k", &wish).send().await;
    assert_eq!(first.status.as_u16(), 201);
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("content-type"), first.header("content-type"));

    // Spaces and the order of fields make no other wish.
    let spaced = format!(
        r#"{{ "amount": {{"currency":"USD", "amount": 1234}}, "to": "{}", "from": "{}" }}"#,
        bob.wallet, ann.wallet
    );
    let spaced = bank.transfer(ann.id, "k", &wish).body(spaced).send().await;
    assert_eq!((spaced.status, &spaced.body), (first.status, &first.body));
    assert_eq!(bank.posted(bob).await, 1_234);
}

#[tokio::test]
async fn a_refusal_is_repeated_word_for_word() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(100).await, bank.user(1_000).await);
    let wish = wish(ann.wallet, bob.wallet, 101);
    let first = bank.transfer(ann.id, "k", &wish).send().await;
    bank.pay(bob, ann, 1_000).await;
    let again = bank.transfer(ann.id, "k", &wish).send().await;
    assert_eq!(
        (first.status.as_u16(), first.code().as_str()),
        (422, "insufficient_funds")
    );
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(bank.posted(ann).await, 1_100);
}

#[tokio::test]
async fn another_body_under_the_key_is_refused() {
    let bank = Bank::open().await;
    let (ann, bob, cid) = (bank.user(100).await, bank.user(0).await, bank.user(0).await);
    bank.transfer(ann.id, "k", &wish(ann.wallet, bob.wallet, 10))
        .send()
        .await;
    for other in [
        wish(ann.wallet, bob.wallet, 11),
        wish(ann.wallet, cid.wallet, 10),
    ] {
        let answer = bank.transfer(ann.id, "k", &other).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (409, "idempotency_key_reused")
        );
    }
    assert_eq!(bank.posted(ann).await, 90);
}

#[tokio::test]
async fn keys_are_each_user_s_own() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(100).await, bank.user(100).await);
    let one = bank
        .transfer(ann.id, "k", &wish(ann.wallet, bob.wallet, 10))
        .send()
        .await;
    let two = bank
        .transfer(bob.id, "k", &wish(bob.wallet, ann.wallet, 30))
        .send()
        .await;
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (201, 201));
    assert_eq!(two.header("idempotency-replayed"), None);
    assert_eq!((bank.posted(ann).await, bank.posted(bob).await), (120, 80));
}

#[tokio::test]
async fn the_same_key_at_once_is_one_effect_and_one_answer() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(10_000).await, bank.user(0).await);
    let wish = wish(ann.wallet, bob.wallet, 7);
    let answers = join_all((0..50).map(|_| bank.transfer(ann.id, "k", &wish).send())).await;
    let fresh = answers
        .iter()
        .filter(|answer| answer.header("idempotency-replayed").is_none())
        .count();
    assert_eq!(fresh, 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status.as_u16() == 201 && answer.body == answers[0].body)
    );
    assert_eq!(bank.posted(bob).await, 7);
    bank.assert_proven().await;
}

#[tokio::test]
async fn a_key_with_other_bodies_at_once_has_one_effect() {
    let bank = Bank::open().await;
    let (ann, bob) = (bank.user(10_000).await, bank.user(0).await);
    let answers = join_all((1..=20).map(|minor| {
        bank.transfer(ann.id, "k", &wish(ann.wallet, bob.wallet, minor))
            .send()
    }))
    .await;
    let mut statuses: Vec<u16> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(
        statuses[1..].iter().all(|status| *status == 409),
        "{statuses:?}"
    );
    let winner = answers
        .iter()
        .find(|answer| answer.status.as_u16() == 201)
        .expect("one");
    let winner: Value = winner.json();
    assert_eq!(json!(bank.posted(bob).await), winner["amount"]["amount"]);
}
