//! Apple's own ways.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    VERIFIER, begin, begin_bare, brought_home, come_back, enter, exchange, fresh,
    op::{CLIENT, query},
    stage, user_of,
};

#[tokio::test]
async fn apple_posts_a_form_and_wants_a_secret_that_we_sign() {
    let (op, stage) = stage().await;
    let sent = begin(&stage, "apple").await;
    let asked = query(&sent.location);
    assert_eq!(asked["response_mode"], "form_post");
    assert_eq!(asked["scope"], "openid email name");
    // The form comes from Apple's page: a `Lax` cookie would stay behind.
    assert!(
        sent.set_cookie
            .ends_with("; Secure; HttpOnly; SameSite=None")
    );

    op.says(
        json!({ "email": "x7@privaterelay.appleid.com", "email_verified": "true", "name": null }),
    );
    let user = json!({
        "name": { "firstName": "Ann", "lastName": "Lee\n\u{7}" },
        "email": "victim@gmail.com", "roles": ["admin"],
    });
    let form = form_urlencoded::Serializer::new(op.sign_in(&sent.location))
        .append_pair("user", &user.to_string())
        .finish();
    let answer = come_back(&stage, &sent, &form).await;
    let code = brought_home(&answer, "code");
    // The double has looked into the secret; see `is_ours`.
    let asked = op.last("/token");
    assert_eq!(
        (
            &*asked["client_id"],
            asked["client_secret"].split('.').count()
        ),
        (CLIENT, 3)
    );
    assert_eq!(exchange(&stage, &code, VERIFIER).await.status, 200);
    let told = "select email || ' ' || name from users.account";
    assert_eq!(
        stage.column::<String>(told).await,
        ["x7@privaterelay.appleid.com Ann Lee"],
        "of what the browser brings only the name is read"
    );
}

#[tokio::test]
async fn a_link_to_the_callback_is_no_form() {
    let (op, stage) = stage().await;
    let sent = begin_bare(&stage, "apple").await;
    let brought = op.sign_in(&sent.location);
    let path = format!("/v1/auth/social/apple/callback?{brought}");
    let answer = stage
        .call_with("GET", &path, &[("cookie", &sent.cookie)], "")
        .await;
    assert_eq!((answer.status, answer.code()), (400, "invalid_state"));
    let huge = format!("{brought}&user={}", "x".repeat(16 * 1024));
    assert_eq!(
        come_back(&stage, &sent, &huge).await.code(),
        "invalid_state"
    );
    assert_eq!(come_back(&stage, &sent, &brought).await.status, 200);
}

#[tokio::test]
async fn a_permission_is_given_back_when_the_link_is_removed_or_the_account_erased() {
    let (op, stage) = stage().await;
    let ann = user_of(&enter(&stage, &op, "apple").await);
    let kept = stage.everything_but_the_outbox().await;
    assert!(!kept.contains("to be given back"), "it is sealed");
    let sealed = "select count(*) from users.identity where refresh_token is not null";
    assert_eq!(stage.column::<i64>(sealed).await, [1]);

    let id = stage
        .column::<String>("select id::text from users.identity")
        .await
        .remove(0);
    let path = format!("/v1/me/identities/{id}");
    let who = fresh(&stage, ann);
    // The first time Apple is away, and it is tried again.
    op.script().answers.insert("/revoke", (503, Value::Null));
    let answer = stage
        .call_as(&who, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(answer.status, 204, "{answer:?}");
    op.asked("/revoke", 1).await;
    let asked = op.last("/revoke");
    assert_eq!(asked["token"], "to be given back");
    assert_eq!(asked["token_type_hint"], "refresh_token");
    let waiting = "select count(*) from users.identity_farewell";
    assert_eq!(stage.column::<i64>(waiting).await, [1]);

    // However an account goes, the database puts down what is to be given back.
    op.script().answers.clear();
    op.says(json!({ "sub": "bob", "email": "bob@gmail.com" }));
    enter(&stage, &op, "apple").await;
    stage.execute("delete from users.session").await;
    stage
        .execute("delete from users.account where email = 'bob@gmail.com'")
        .await;
    assert_eq!(stage.column::<i64>(waiting).await, [2]);
}
