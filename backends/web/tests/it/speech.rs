//! What comes in: bodies, keys, pages.

use host::testing::Call;
use serde_json::{Value, json};

use crate::stage::hall;

async fn refusal(call: Call) -> (u16, String, String) {
    let answer = call.send().await;
    let problem: Value = answer.json();
    let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), answer.code(), detail)
}

#[tokio::test]
async fn a_body_is_told_where_it_is_wrong() {
    let hall = hall().await;
    let good = json!({ "to": { "name": "ann", "age": 7 } });
    assert_eq!(hall.post("/greet").json(&good).send().await.body, "ann 7");
    for (body, detail) in [
        (
            r#"{"to":{"name":"ann","age":300}}"#,
            "at `to.age`: invalid value: integer `300`",
        ),
        (r#"{"to":{"name":"ann"}}"#, "at `to`: missing field `age`"),
        (
            r#"{"to":{"name":"ann","age":7,"role":"admin"}}"#,
            "at `to.role`: unknown field `role`",
        ),
        (r#"{"to":"#, "at `to`: EOF"),
        ("", "EOF while parsing"),
        (r#"{"to":{"name":"ann","age":7}} x"#, "trailing characters"),
        ("\"\u{0}\"", "control character"),
    ] {
        let call = hall
            .post("/greet")
            .header("content-type", "application/json")
            .body(body);
        let (status, code, told) = refusal(call).await;
        assert_eq!((status, code.as_str()), (400, "bad_body"), "{body}");
        assert!(told.starts_with(detail), "{body}: {told}");
    }
    hall.stop().await;
}

#[tokio::test]
async fn a_body_declares_itself_and_has_its_size() {
    let hall = hall().await;
    let body = r#"{"to":{"name":"ann","age":7}}"#;
    for (media_type, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("", 415),
    ] {
        let call = hall
            .post("/greet")
            .header("content-type", media_type)
            .body(body);
        assert_eq!(call.send().await.status, status, "{media_type}");
    }
    assert_eq!(
        refusal(hall.post("/greet").body(body)).await.1,
        "unsupported_media_type"
    );
    let huge = json!({ "to": { "name": "a".repeat(web::MAX_BODY_BYTES), "age": 7 } });
    let (status, code, _) = refusal(hall.post("/greet").json(&huge)).await;
    assert_eq!((status, code.as_str()), (413, "payload_too_large"));
    // Also where the handler reads the body by axum's own means.
    let (status, code, _) = refusal(hall.post("/query").json(&huge)).await;
    assert_eq!((status, code.as_str()), (413, "payload_too_large"));
    hall.stop().await;
}

#[tokio::test]
async fn what_axum_refuses_is_a_problem_too() {
    let hall = hall().await;
    let (status, code, detail) = refusal(hall.get("/double/x")).await;
    assert_eq!((status, code.as_str()), (400, "bad_request"));
    assert!(detail.contains("Cannot parse"), "{detail}");
    let (status, code, _) = refusal(hall.post("/query").body(vec![0xff])).await;
    assert_eq!((status, code.as_str()), (400, "bad_request"));
    assert_eq!(hall.get("/double/4").send().await.body, "8");
    hall.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_is_one_visible_word() {
    let hall = hall().await;
    let body = json!({ "to": { "name": "ann", "age": 7 } });
    let pay = || hall.post("/pay").json(&body);
    let (status, code, _) = refusal(pay()).await;
    assert_eq!((status, code.as_str()), (400, "idempotency_key_required"));
    let long = "k".repeat(256);
    for odd in ["", "two words", "caf\u{e9}", &long] {
        let (status, code, _) = refusal(pay().header("idempotency-key", odd)).await;
        assert_eq!((status, code.as_str()), (400, "bad_request"), "{odd}");
    }
    let twice = pay()
        .header("idempotency-key", "k")
        .also("idempotency-key", "l");
    assert_eq!(refusal(twice).await.1, "bad_request");
    hall.stop().await;
}

#[tokio::test]
async fn a_fingerprint_is_of_the_wish_not_of_its_spelling() {
    let hall = hall().await;
    let print = async |body: &'static str| {
        let call = hall.post("/pay").header("content-type", "application/json");
        call.header("idempotency-key", "k")
            .body(body)
            .send()
            .await
            .body
    };
    let one = print(r#"{"to":{"name":"ann","age":7}}"#).await;
    assert_eq!(one.len(), 32);
    assert_eq!(
        print(r#"{ "to": {"age":7, "name":"\u0061nn"} }"#).await,
        one
    );
    assert_ne!(print(r#"{"to":{"name":"ann","age":8}}"#).await, one);
    hall.stop().await;
}

#[tokio::test]
async fn a_list_is_walked_by_its_cursors() {
    let hall = hall().await;
    let mut path = "/numbers?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page: Value = hall.get(&path).send().await.json();
        seen.push(page["items"].to_string());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/numbers?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["[1,2]", "[3,4]", "[5]"]);
    for (query, code) in [
        ("limit=0", "bad_request"),
        ("limit=101", "bad_request"),
        ("limit=x", "bad_request"),
        ("cursor=AAAA", "bad_cursor"),
        ("limit=1&limit=2", "bad_request"),
    ] {
        let (status, told, _) = refusal(hall.get(&format!("/numbers?{query}"))).await;
        assert_eq!((status, told.as_str()), (400, code), "{query}");
    }
    hall.stop().await;
}
