//! What opens an account, and how it comes to.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    PAGE, VERIFIER, begin, brought_home, come_back, enter, exchange, fresh, link_with,
    op::{Op, s256},
    sent, stage, stale, user_of,
};
use crate::stage::{PASSWORD, Stage};

/// What somebody is answered who must link first: the code.
async fn link_code(stage: &Stage, op: &Op, provider: &'static str) -> String {
    let answer = enter(stage, op, provider).await;
    assert_eq!(
        (answer.status, answer.code()),
        (401, "link_required"),
        "{answer:?}"
    );
    assert_eq!(answer.body["expires_in"], 600);
    answer.text("link_code").to_owned()
}

/// Security case 15, and case 1: who has an account here is nobody's to learn.
#[tokio::test]
async fn users_15_an_address_links_nothing_and_tells_nothing() {
    let (op, stage) = stage().await;
    stage.member("ann@gmail.com").await;
    let mut answers = Vec::new();
    for (what, claims) in [
        ("an address that has an account", json!({})),
        (
            "one that is not verified",
            json!({ "email_verified": false }),
        ),
        (
            "one that is not verified, and nobody's",
            json!({ "email": "x@gmail.com", "email_verified": null }),
        ),
        // Google knows that somebody could read this mailbox once, and no more.
        (
            "one of a domain that Google does not run",
            json!({ "email": "ann@example.com" }),
        ),
        ("one that is no address", json!({ "email": "ann" })),
        ("none", json!({ "email": null })),
    ] {
        op.says(claims);
        let mut answer = enter(&stage, &op, "google").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "link_required"),
            "{what}"
        );
        answer.headers.remove("date");
        answer.body["request_id"].take();
        let code = answer.body["link_code"].take();
        assert_eq!(code.as_str().map(str::len), Some(43), "{what}");
        answers.push(answer);
    }
    for answer in &answers {
        assert_eq!(
            (&answer.headers, &answer.body),
            (&answers[0].headers, &answers[0].body)
        );
    }
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.account")
            .await,
        [1]
    );
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.identity")
            .await,
        [0]
    );

    // Where Google runs the domain, it knows whose the mailbox is.
    op.says(json!({ "email": "ann@corp.example", "hd": "corp.example" }));
    assert_eq!(enter(&stage, &op, "google").await.status, 200);
}

/// Security case 15.
#[tokio::test]
async fn users_15_both_sides_are_proven_before_anything_is_linked() {
    let (op, stage) = stage().await;
    let ann = stage.member("ann@gmail.com").await;
    stage.forget_events().await;
    let code = link_code(&stage, &op, "google").await;

    let nobody = stage
        .post("/v1/me/identities", json!({ "code": code }))
        .await;
    assert_eq!((nobody.status, nobody.code()), (401, "unauthenticated"));
    // Signed in, but not freshly: a stolen access token links nothing.
    let answer = link_with(&stage, &stale(&stage, ann), json!({ "code": code })).await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "second_factor_required")
    );

    let answer = link_with(&stage, &fresh(&stage, ann), json!({ "code": code })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["provider"], "google");
    assert_eq!(answer.body["email"], "ann@gmail.com");
    assert_eq!(
        stage.acts_of(ann).await.last().map(String::as_str),
        Some("identity.linked")
    );
    let (topic, notice) = stage.events().await.pop().expect("a notice");
    assert_eq!(topic, "users.security_notice");
    assert_eq!(
        (&notice["what"], &notice["to"], &notice["about"]),
        (
            &json!("identity_linked"),
            &json!("ann@gmail.com"),
            &json!("Google")
        )
    );
    // Once.
    let again = link_with(&stage, &fresh(&stage, ann), json!({ "code": code })).await;
    assert_eq!((again.status, again.code()), (400, "invalid_code"));
    let answer = enter(&stage, &op, "google").await;
    assert_eq!((answer.status, user_of(&answer)), (200, ann));
}

/// Keycloak's GHSA-xhpr-465j-7p9q and CVE-2026-9087: a proof is of one account there, and for one here.
#[tokio::test]
async fn users_15_a_proof_is_bound_to_its_own_two_sides() {
    let (op, stage) = stage().await;
    let ann = stage.member("ann@gmail.com").await;
    let eve = stage.member("eve@example.com").await;
    // Ann's provider, in Eve's hands: it is for the account that has Ann's address alone.
    let code = link_code(&stage, &op, "google").await;
    let answer = link_with(&stage, &fresh(&stage, eve), json!({ "code": code })).await;
    assert_eq!((answer.status, answer.code()), (400, "invalid_code"));

    // What is linked in the end is whom the provider vouched for, whoever comes in between.
    op.says(json!({ "sub": "one", "email": null }));
    let one = link_code(&stage, &op, "google").await;
    op.says(json!({ "sub": "two", "email": null }));
    let two = link_code(&stage, &op, "google").await;
    let answer = link_with(&stage, &fresh(&stage, ann), json!({ "code": one })).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        stage
            .column::<String>("select subject from users.identity")
            .await,
        ["one"]
    );
    assert_eq!(enter(&stage, &op, "google").await.code(), "link_required");

    // And it is one account's.
    let answer = link_with(&stage, &fresh(&stage, eve), json!({ "code": two })).await;
    assert_eq!(answer.status, 201);
    op.says(json!({ "sub": "one", "email": null }));
    assert_eq!(user_of(&enter(&stage, &op, "google").await), ann);
    op.says(json!({ "sub": "two", "email": null }));
    assert_eq!(user_of(&enter(&stage, &op, "google").await), eve);
}

/// Begins to link, and goes to the provider.
async fn begin_link(stage: &Stage, user_id: Uuid, provider: &'static str) -> super::Sent {
    let wish = json!({ "return_to": PAGE, "code_challenge": s256(VERIFIER) });
    let path = format!("/v1/me/identities/{provider}/link");
    let answer = stage
        .call_as(&fresh(stage, user_id), "POST", &path, None, wish)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let there = answer.text("location").to_owned();
    let path = there
        .strip_prefix("https://id.example.com")
        .expect("our own");
    let answer = stage.get(path).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    // A ticket is good once.
    assert_eq!(stage.get(path).await.code(), "invalid_state");
    sent(provider, &answer)
}

#[tokio::test]
async fn somebody_who_is_signed_in_links_what_they_like() {
    let (op, stage) = stage().await;
    let ann = stage.member("ann@example.com").await;
    let sent = begin_link(&stage, ann, "google").await;
    let brought = op.sign_in(&sent.location);
    let code = brought_home(&come_back(&stage, &sent, &brought).await, "code");
    let proof = json!({ "code": code, "code_verifier": VERIFIER });
    let answer = link_with(&stage, &fresh(&stage, ann), proof).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(user_of(&enter(&stage, &op, "google").await), ann);

    let list = stage.get_as(&fresh(&stage, ann), "/v1/me/identities").await;
    let items = list.body["items"].as_array().expect("a list").clone();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["email"], "ann@gmail.com");
    assert_eq!(items[0]["last_used_at"], stage.now_text());
    for secret in ["issuer", "subject", "refresh_token"] {
        assert_eq!(items[0][secret], Value::Null);
    }
}

#[tokio::test]
async fn a_code_to_link_is_for_the_one_who_began_and_signs_nobody_in() {
    let (op, stage) = stage().await;
    let ann = stage.member("ann@example.com").await;
    let eve = stage.member("eve@example.com").await;
    let code = async |op: &Op| {
        let sent = begin_link(&stage, eve, "google").await;
        let brought = op.sign_in(&sent.location);
        brought_home(&come_back(&stage, &sent, &brought).await, "code")
    };
    // Eve has Ann's browser finish what Eve began: Ann's page has another secret, and Eve has no code.
    for (who, verifier) in [
        (ann, Some(VERIFIER)),
        (eve, None),
        (eve, Some("the secret of another page, long as the first")),
    ] {
        let proof = match verifier {
            Some(verifier) => json!({ "code": code(&op).await, "code_verifier": verifier }),
            None => json!({ "code": code(&op).await }),
        };
        let answer = link_with(&stage, &fresh(&stage, who), proof).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_code"),
            "{verifier:?}"
        );
    }
    assert_eq!(
        exchange(&stage, &code(&op).await, VERIFIER).await.code(),
        "invalid_code"
    );
    // Nor does a code that signs in link.
    let sent = begin(&stage, "google").await;
    let brought = op.sign_in(&sent.location);
    let code = brought_home(&come_back(&stage, &sent, &brought).await, "code");
    let proof = json!({ "code": code, "code_verifier": VERIFIER });
    assert_eq!(
        link_with(&stage, &fresh(&stage, eve), proof).await.code(),
        "invalid_code"
    );
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.identity")
            .await,
        [0]
    );
}

#[tokio::test]
async fn what_opens_one_account_opens_no_other() {
    let (op, stage) = stage().await;
    let ann = user_of(&enter(&stage, &op, "google").await);
    let bob = stage.member("bob@example.com").await;
    for (who, status, code) in [(bob, 409, "identity_taken"), (ann, 409, "identity_taken")] {
        let sent = begin_link(&stage, who, "google").await;
        let brought = op.sign_in(&sent.location);
        let proof = brought_home(&come_back(&stage, &sent, &brought).await, "code");
        let proof = json!({ "code": proof, "code_verifier": VERIFIER });
        let answer = link_with(&stage, &fresh(&stage, who), proof).await;
        assert_eq!((answer.status, answer.code()), (status, code));
    }
    assert_eq!(user_of(&enter(&stage, &op, "google").await), ann);
}

async fn remove(stage: &Stage, user_id: Uuid, id: &str) -> crate::stage::Answer {
    let path = format!("/v1/me/identities/{id}");
    let who = fresh(stage, user_id);
    stage
        .call_as(&who, "DELETE", &path, None, Value::Null)
        .await
}

async fn first_id(stage: &Stage) -> String {
    let ids = "select id::text from users.identity order by id limit 1";
    stage
        .column::<String>(ids)
        .await
        .pop()
        .expect("an identity")
}

#[tokio::test]
async fn a_link_is_removed_by_its_owner_unless_it_is_the_last_way_in() {
    let (op, stage) = stage().await;
    let ann = user_of(&enter(&stage, &op, "google").await);
    let id = first_id(&stage).await;
    let bob = stage.member("bob@example.com").await;
    assert_eq!(remove(&stage, bob, &id).await.status, 404);
    assert_eq!(remove(&stage, ann, "x").await.status, 404);
    let path = format!("/v1/me/identities/{id}");
    let who = stale(&stage, ann);
    let answer = stage
        .call_as(&who, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "second_factor_required")
    );

    stage
        .execute("update users.account set email = null where email = 'ann@gmail.com'")
        .await;
    let answer = remove(&stage, ann, &id).await;
    assert_eq!((answer.status, answer.code()), (409, "last_way_in"));
    assert_eq!(enter(&stage, &op, "google").await.status, 200);

    stage
        .execute("update users.account set email = 'ann@gmail.com' where email is null")
        .await;
    stage.forget_events().await;
    assert_eq!(remove(&stage, ann, &id).await.status, 204);
    assert_eq!(remove(&stage, ann, &id).await.status, 404);
    assert_eq!(
        stage.acts_of(ann).await.last().map(String::as_str),
        Some("identity.removed")
    );
    let (_, notice) = stage.events().await.pop().expect("a notice");
    assert_eq!(notice["what"], "identity_removed");
    let answer = enter(&stage, &op, "google").await;
    assert_eq!(
        answer.code(),
        "link_required",
        "the address alone opens nothing"
    );
}

#[tokio::test]
async fn of_the_last_two_ways_in_one_stays_however_they_are_removed() {
    let (op, stage) = stage().await;
    let ann = user_of(&enter(&stage, &op, "google").await);
    op.says(json!({ "sub": "another", "email": null }));
    let code = link_code(&stage, &op, "google").await;
    let answer = link_with(&stage, &fresh(&stage, ann), json!({ "code": code })).await;
    assert_eq!(answer.status, 201);
    stage.execute("update users.account set email = null").await;
    let ids = stage
        .column::<String>("select id::text from users.identity")
        .await;
    let both = ids.iter().map(|id| remove(&stage, ann, id));
    let mut answers: Vec<u16> = futures::future::join_all(both)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    answers.sort_unstable();
    assert_eq!(answers, [204, 409]);
}

#[tokio::test]
async fn a_password_is_no_way_around_the_link() {
    let (op, stage) = stage().await;
    stage.member("ann@gmail.com").await;
    let code = link_code(&stage, &op, "google").await;
    assert_eq!(stage.login("ann@gmail.com", PASSWORD).await.status, 200);
    // Signing in has linked nothing by itself.
    assert_eq!(enter(&stage, &op, "google").await.code(), "link_required");
    assert_eq!(code.len(), 43);
}
