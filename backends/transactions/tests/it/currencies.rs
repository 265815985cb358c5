use serde_json::{Value, json};

use crate::bank::Bank;

#[tokio::test]
async fn currencies_are_everybody_s_and_may_be_cached() {
    let bank = Bank::open().await;
    let answer = bank.app.get("/v1/currencies").send().await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=30"));
    let list: Value = answer.json();
    let usd = json!({"code": "USD", "exponent": 2, "name": "US dollar"});
    assert!(
        list["items"].as_array().expect("items").contains(&usd),
        "{list}"
    );
}
