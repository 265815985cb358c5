use host::{App, DemoPerson};
use serde_json::Value;
use transactions::Transactions;
use uuid::Uuid;

use crate::bank::Bank;

fn person(user_id: Option<Uuid>) -> DemoPerson {
    DemoPerson {
        email: "ann@example.com".to_owned(),
        password: "not looked at".to_owned(),
        role: "user".to_owned(),
        user_id,
    }
}

#[tokio::test]
async fn demo_people_begin_with_money_once() {
    let bank = Bank::open().await;
    // One whom the event reached first, one whom it has not reached, and one without an account.
    let verified = bank.user(0).await;
    let unheard = Uuid::new_v4();
    let mut people = vec![
        person(Some(verified.id)),
        person(Some(unheard)),
        person(None),
    ];
    for _ in 0..3 {
        Transactions::demo(bank.app.pool(), &mut people)
            .await
            .expect("arranged");
    }
    for user_id in [verified.id, unheard] {
        let list: Value = bank.get(user_id, "/v1/wallets").await.json();
        let wallets = list["items"].as_array().expect("items");
        assert_eq!(wallets.len(), 1);
        assert_eq!(wallets[0]["available"], 100_000);
    }
    let entries: i64 = sqlx::query_scalar("select count(*) from ledger.journal")
        .fetch_one(bank.app.pool())
        .await
        .expect("a count");
    assert_eq!(entries, 2);
    bank.assert_proven().await;
}
