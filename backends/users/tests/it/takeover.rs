//! What somebody who holds a session for a while can't keep, and can't take.

use serde_json::{Value, json};

use crate::stage::{PASSWORD, Stage};

const ANN: &str = "ann@example.com";
const PHONE: &str = "+14155550123";
const ANOTHER: &str = "another long and fine one";

#[tokio::test]
async fn whoever_undoes_a_change_undoes_all_that_came_after_it() {
    let stage = Stage::start().await;
    let id = stage.member(ANN).await;
    let thief = stage.principal(&stage.login(ANN, PASSWORD).await);
    let change = async |path: &str, field: &str, to: &str| {
        let wish = json!({ field: to });
        let asked = stage.call_as(&thief, "POST", path, None, wish).await;
        let proof = json!({"flow_id": asked.body["flow_id"], "code": stage.code(to).await});
        let path = format!("{path}/confirm");
        let done = stage.call_as(&thief, "POST", &path, None, proof).await;
        assert_eq!(done.status, 204, "{done:?}");
    };
    change("/v1/me/email", "email", "thief@example.com").await;
    change("/v1/me/phone", "phone", PHONE).await;
    change("/v1/me/email", "email", "thief2@example.com").await;
    let wish = json!({"name": "report", "scopes": ["wallets:read"]});
    let key = stage
        .call_as(&thief, "POST", "/v1/me/api-keys", Some("k"), wish)
        .await;
    assert_eq!(key.status, 201, "{key:?}");
    stage.enrol_totp(&thief).await;
    // Begun, and kept for later.
    let wish = json!({"email": "thief3@example.com"});
    let weak = stage
        .call_as(&thief, "POST", "/v1/me/email", None, wish)
        .await;
    assert_eq!(weak.status, 403, "by now a second factor is asked for");

    let notice = stage.notices(ANN).await.into_iter().find_map(|it| it.undo);
    let undo = notice.expect("the first address was told");
    let (path, token) = undo.split_once('?').expect("a query");
    let (status, _, page) = stage.post_form(path, token).await;
    assert_eq!(status, 200, "{page}");
    let row = "select concat_ws(' ', email, coalesce(phone, 'none')) from users.account";
    assert_eq!(stage.column::<String>(row).await, [format!("{ANN} none")]);
    assert_eq!(
        stage.login(ANN, PASSWORD).await.status,
        200,
        "no factor of the thief's is left"
    );
    let keys = "select count(*) from users.api_key";
    assert_eq!(stage.column::<i64>(keys).await, [0]);
    assert_eq!(
        stage.column::<i64>("select count(*) from users.undo").await,
        [0]
    );
    let kinds: Vec<Value> = stage.feed("").await["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["kind"].clone())
        .collect();
    assert!(
        kinds.contains(&json!("api_key")) && kinds.contains(&json!("subject")),
        "{kinds:?}"
    );
    assert!(
        stage
            .acts_of(id)
            .await
            .contains(&"contact.restored".to_owned())
    );
}

#[tokio::test]
async fn what_was_begun_in_a_session_ends_with_it() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let thief = stage.principal(&stage.login(ANN, PASSWORD).await);
    let wish = json!({"email": "thief@example.com"});
    let asked = stage
        .call_as(&thief, "POST", "/v1/me/email", None, wish)
        .await;
    assert_eq!(asked.status, 202);
    let link = stage
        .links("thief@example.com")
        .await
        .pop()
        .expect("a link");
    let ann = stage.principal(&stage.login(ANN, PASSWORD).await);
    let out = stage.post_as(&ann, "/v1/auth/logout-all").await;
    assert_eq!(out.status, 204, "{out:?}");
    let resend = json!({"flow_id": asked.body["flow_id"]});
    stage.post("/v1/auth/verify/resend", resend).await;
    let (path, form) = link.split_once('?').expect("a query");
    assert_eq!(stage.post_form(path, form).await.0, 400);
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 200);
}

/// The mailbox and the password that is to be replaced are no two proofs.
#[tokio::test]
async fn users_10_a_reset_takes_no_password_for_a_second_factor() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let ann = stage.principal(&stage.login(ANN, PASSWORD).await);
    stage.enrol_totp(&ann).await;
    let reset = async || {
        let asked = stage
            .post("/v1/auth/password/forgot", json!({"email": ANN}))
            .await;
        let code = stage.code(ANN).await;
        let wish = json!({"flow_id": asked.body["flow_id"], "code": code, "password": ANOTHER});
        stage.post("/v1/auth/password/reset", wish).await
    };
    let begun = reset().await;
    let proof = json!({"factor": "password", "password": PASSWORD});
    let body = json!({"mfa_token": begun.body["mfa_token"], "proof": proof});
    let no = stage.post("/v1/auth/mfa/verify", body).await;
    assert_eq!((no.status, no.code()), (401, "invalid_token"));
    assert_eq!(
        stage.login(ANN, PASSWORD).await.code(),
        "mfa_required",
        "it is the old one"
    );

    // And where the mailbox is all that is enrolled, it replaces nothing by itself.
    stage
        .execute("update users.second_factor set kind = 'email', secret = null")
        .await;
    let alone = reset().await;
    assert_eq!(
        (alone.status, alone.code()),
        (403, "second_factor_required")
    );
    assert_eq!(stage.login(ANN, PASSWORD).await.code(), "mfa_required");
}
