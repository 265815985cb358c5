//! Second factors: enrolling them, and that no way in goes round them.

use identity::Principal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Answer, PASSWORD, Stage};

const ANN: &str = "ann@example.com";
const PHONE: &str = "+14155550123";

/// Ann has an address, a number and a password, and has just signed in.
async fn ann(stage: &Stage) -> Principal {
    stage.member(ANN).await;
    let ann = stage.principal(&stage.login(ANN, PASSWORD).await);
    let wish = json!({"phone": PHONE});
    let asked = stage
        .call_as(&ann, "POST", "/v1/me/phone", None, wish)
        .await;
    let proof = json!({"flow_id": asked.body["flow_id"], "code": stage.code(PHONE).await});
    let confirmed = stage
        .call_as(&ann, "POST", "/v1/me/phone/confirm", None, proof)
        .await;
    assert_eq!(confirmed.status, 204, "{confirmed:?}");
    ann
}

/// The first proofs there are.
async fn begin(stage: &Stage, way: &str) -> Answer {
    let by_code = async |contact: Value, to: &str| {
        let asked = stage.post("/v1/auth/otp", contact).await;
        let proof = json!({"flow_id": asked.body["flow_id"], "code": stage.code(to).await});
        stage.post("/v1/auth/otp/verify", proof).await
    };
    match way {
        "password" => stage.login(ANN, PASSWORD).await,
        "email" => by_code(json!({"email": ANN}), ANN).await,
        "sms" => by_code(json!({"phone": PHONE}), PHONE).await,
        other => panic!("no such way in: {other}"),
    }
}

async fn go_on(stage: &Stage, begun: &Answer, proof: Value) -> Answer {
    let body = json!({"mfa_token": begun.body["mfa_token"], "proof": proof});
    stage.post("/v1/auth/mfa/verify", body).await
}

/// A code of a second factor by message.
async fn by_message(stage: &Stage, begun: &Answer, factor: &str, to: &str) -> Value {
    let ask = json!({"mfa_token": begun.body["mfa_token"], "factor": factor});
    let sent = stage.post("/v1/auth/mfa/challenge", ask).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    json!({"factor": factor, "flow_id": sent.body["flow_id"], "code": stage.code(to).await})
}

/// Security case 10: whatever the first proof, and whatever is enrolled.
#[tokio::test]
async fn users_10_every_way_in_meets_every_enrolled_factor() {
    for enrolled in ["totp", "sms", "email"] {
        for way in ["password", "email", "sms"] {
            let stage = Stage::start().await;
            let ann = ann(&stage).await;
            let mut secret = String::new();
            match enrolled {
                "totp" => secret = stage.enrol_totp(&ann).await,
                by_message => {
                    let path = format!("/v1/me/mfa/{by_message}");
                    let added = stage.call_as(&ann, "POST", &path, None, Value::Null).await;
                    assert_eq!(added.status, 204, "{added:?}");
                }
            }
            let begun = begin(&stage, way).await;
            let what = format!("{way}, {enrolled} enrolled: {begun:?}");
            assert_eq!(
                (begun.status, begun.code()),
                (401, "mfa_required"),
                "{what}"
            );
            assert!(begun.body.get("access_token").is_none(), "{what}");

            // Two proofs from one thing are one: then the password is the second.
            let (due, proof) = if way == enrolled {
                (
                    "password",
                    json!({"factor": "password", "password": PASSWORD}),
                )
            } else {
                stage.advance_secs(30);
                let proof = match enrolled {
                    "totp" => json!({"factor": "totp", "code": stage.totp(&secret)}),
                    "sms" => by_message(&stage, &begun, "sms", PHONE).await,
                    _ => by_message(&stage, &begun, "email", ANN).await,
                };
                (enrolled, proof)
            };
            assert_eq!(begun.body["factors"], json!([due]), "{what}");
            let done = go_on(&stage, &begun, proof.clone()).await;
            assert_eq!(done.status, 200, "{what} {done:?}");
            assert_eq!(done.claims()["acr"], "mfa");
            // Security case 11: it was good once.
            let again = go_on(&stage, &begun, proof).await;
            assert_eq!((again.status, again.code()), (401, "invalid_token"));
            // And a refresh goes on without asking.
            let refresh = json!({"refresh_token": done.text("refresh_token")});
            let refreshed = stage.post("/v1/auth/refresh", refresh).await;
            assert_eq!(
                (refreshed.status, &refreshed.claims()["acr"]),
                (200, &json!("mfa"))
            );
        }
    }
}

#[tokio::test]
async fn users_9_a_code_of_an_app_is_good_once_and_for_its_time() {
    let stage = Stage::start().await;
    let ann = ann(&stage).await;
    let secret = stage.enrol_totp(&ann).await;
    let code = |at: &str| json!({"factor": "totp", "code": at});

    // The code that enrolled it is spent.
    let begun = begin(&stage, "password").await;
    let spent = go_on(&stage, &begun, code(&stage.totp(&secret))).await;
    assert_eq!((spent.status, spent.code()), (401, "invalid_proof"));

    stage.advance_secs(30);
    let good = stage.totp(&secret);
    assert_eq!(go_on(&stage, &begun, code(&good)).await.status, 200);
    let begun = begin(&stage, "password").await;
    assert_eq!(go_on(&stage, &begun, code(&good)).await.status, 401);
    stage.advance_secs(90);
    let late = go_on(&stage, &begun, code(&good)).await;
    assert_eq!((late.status, late.code()), (401, "invalid_proof"));
}

#[tokio::test]
async fn users_11_a_token_is_of_one_person_one_program_and_five_tries() {
    let stage = Stage::start().await;
    let ann = ann(&stage).await;
    let secret = stage.enrol_totp(&ann).await;
    stage.advance_secs(30);
    let good = json!({"factor": "totp", "code": stage.totp(&secret)});

    // Another program shows it.
    let begun = begin(&stage, "password").await;
    let body = json!({"mfa_token": begun.body["mfa_token"], "proof": good});
    let elsewhere = [("user-agent", "another program")];
    let stolen = stage
        .post_from(None, &elsewhere, "/v1/auth/mfa/verify", body)
        .await;
    assert_eq!((stolen.status, stolen.code()), (401, "invalid_token"));

    // A code that was sent for one sign-in is none for another.
    let enrol = stage
        .call_as(&ann, "POST", "/v1/me/mfa/sms", None, Value::Null)
        .await;
    assert_eq!(
        enrol.status, 403,
        "the proof is no longer one of two: {enrol:?}"
    );

    let wrong = json!({"factor": "totp", "code": "000000"});
    for _ in 0..5 {
        let no = go_on(&stage, &begun, wrong.clone()).await;
        assert_eq!((no.status, no.code()), (401, "invalid_proof"));
    }
    let over = go_on(&stage, &begun, good).await;
    assert_eq!((over.status, over.code()), (401, "invalid_token"));
    let late = begin(&stage, "password").await;
    stage.advance_secs(300);
    let late = go_on(&stage, &late, wrong).await;
    assert_eq!((late.status, late.code()), (401, "invalid_token"));
}

/// Security case 6: a hundred failures end a factor for strangers, and for nobody else.
#[tokio::test]
async fn users_6_a_factor_that_was_guessed_at_is_over_for_strangers_alone() {
    let stage = Stage::start().await;
    let ann = ann(&stage).await;
    let secret = stage.enrol_totp(&ann).await;
    let codes = stage
        .call_as(
            &stage.fresh(&ann),
            "POST",
            "/v1/me/mfa/recovery-codes",
            None,
            Value::Null,
        )
        .await;
    assert_eq!(codes.status, 403, "one proof is not enough any more");

    // Ann signs in with her device, and knows its token from then on.
    stage.advance_secs(30);
    let begun = begin(&stage, "password").await;
    let proof = json!({"factor": "totp", "code": stage.totp(&secret)});
    let signed_in = go_on(&stage, &begun, proof).await;
    let device = signed_in.text("device_token").to_owned();

    for _ in 0..20 {
        let begun = begin(&stage, "password").await;
        for _ in 0..5 {
            let wrong = json!({"factor": "totp", "code": "000000"});
            assert_eq!(go_on(&stage, &begun, wrong).await.code(), "invalid_proof");
        }
    }
    stage.advance_secs(30);
    let good = json!({"factor": "totp", "code": stage.totp(&secret)});
    let begun = begin(&stage, "password").await;
    let over = go_on(&stage, &begun, good.clone()).await;
    assert_eq!((over.status, over.code()), (403, "factor_exhausted"));

    let known = [("x-device-token", device.as_str())];
    let credentials = json!({"email": ANN, "password": PASSWORD});
    let begun = stage
        .post_from(None, &known, "/v1/auth/login", credentials)
        .await;
    let body = json!({"mfa_token": begun.body["mfa_token"], "proof": good});
    let owner = stage
        .post_from(None, &known, "/v1/auth/mfa/verify", body)
        .await;
    assert_eq!(owner.status, 200, "{owner:?}");
    assert!(owner.body.get("device_token").is_none(), "it has one");
}

#[tokio::test]
async fn recovery_codes_are_good_once_each_and_go_with_the_last_factor() {
    let stage = Stage::start().await;
    let ann = ann(&stage).await;
    let path = "/v1/me/mfa/recovery-codes";
    let early = stage.call_as(&ann, "POST", path, None, Value::Null).await;
    assert_eq!((early.status, early.code()), (409, "no_second_factor"));
    let secret = stage.enrol_totp(&ann).await;
    stage.advance_secs(30);
    let begun = begin(&stage, "password").await;
    let proof = json!({"factor": "totp", "code": stage.totp(&secret)});
    let ann = stage.principal(&go_on(&stage, &begun, proof).await);
    let made = stage.call_as(&ann, "POST", path, None, Value::Null).await;
    assert_eq!(made.status, 201, "{made:?}");
    let codes = made.body["codes"].as_array().expect("codes").clone();
    assert_eq!(codes.len(), 10);
    let rows = stage.everything_but_the_outbox().await;
    assert!(!rows.contains(codes[0].as_str().expect("a code")));

    let begun = begin(&stage, "password").await;
    assert_eq!(begun.body["factors"], json!(["totp", "recovery_code"]));
    let typed = codes[0].as_str().expect("a code").to_uppercase();
    let paper = json!({"factor": "recovery_code", "code": typed});
    assert_eq!(go_on(&stage, &begun, paper.clone()).await.status, 200);
    let begun = begin(&stage, "password").await;
    let again = go_on(&stage, &begun, paper).await;
    assert_eq!((again.status, again.code()), (401, "invalid_proof"));

    let listed = stage.get_as(&ann, "/v1/me/mfa").await;
    assert_eq!(listed.body["recovery_codes_left"], 9);
    assert_eq!(listed.body["items"][0]["kind"], "totp");
    let id = listed.body["items"][0]["id"].as_str().expect("an id");
    let gone = stage
        .call_as(
            &ann,
            "DELETE",
            &format!("/v1/me/mfa/{id}"),
            None,
            Value::Null,
        )
        .await;
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(
        begin(&stage, "password").await.status,
        200,
        "one proof is enough"
    );
    let left = stage.get_as(&ann, "/v1/me/mfa").await;
    assert_eq!(left.body, json!({"items": [], "recovery_codes_left": 0}));
    let told: Vec<_> = stage
        .notices(ANN)
        .await
        .into_iter()
        .map(|it| it.what)
        .collect();
    use events::Notice as N;
    for notice in [
        N::SecondFactorAdded,
        N::RecoveryCodesMade,
        N::RecoveryCodeUsed,
        N::SecondFactorRemoved,
    ] {
        assert!(told.contains(&notice), "{notice:?} not in {told:?}");
    }
}

#[tokio::test]
async fn nobody_removes_anothers_factor_and_no_factor_stands_alone() {
    let stage = Stage::start().await;
    let ann = ann(&stage).await;
    stage.enrol_totp(&ann).await;
    let ids = stage
        .column::<Uuid>("select id from users.second_factor")
        .await;
    stage.member("bob@example.com").await;
    let bob = stage.principal(&stage.login("bob@example.com", PASSWORD).await);
    let path = format!("/v1/me/mfa/{}", ids[0]);
    let other = stage
        .call_as(&bob, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!((other.status, other.code()), (404, "not_found"));

    // Who has a number alone signs in by it: it would be first and second.
    let cat = stage.member_by_phone("+14155550199").await;
    let cat = stage.user_in(cat, Uuid::now_v7());
    let alone = stage
        .call_as(&cat, "POST", "/v1/me/mfa/sms", None, Value::Null)
        .await;
    assert_eq!((alone.status, alone.code()), (422, "bad_factor"));
}

#[tokio::test]
async fn a_risky_act_wants_a_fresh_proof_of_the_strongest_kind() {
    let stage = Stage::start().await;
    let ann = ann(&stage).await;
    let change = json!({"password": "another long and fine one"});
    let risky = async |who: &Principal| {
        stage
            .call_as(who, "PUT", "/v1/me/password", None, change.clone())
            .await
    };
    stage.advance_secs(301);
    let stale = risky(&ann).await;
    assert_eq!(
        (stale.status, stale.code()),
        (403, "second_factor_required")
    );
    let challenge = stale.header("www-authenticate");
    assert_eq!(
        challenge,
        r#"Bearer error="insufficient_user_authentication", max_age="300""#
    );

    // Nothing is enrolled, so what one signs in with is fresh enough.
    let path = "/v1/auth/step-up";
    let offered = stage.call_as(&ann, "POST", path, None, json!({})).await;
    assert_eq!(
        offered.body,
        json!({"factors": ["sms", "email", "password"]})
    );
    let verify = "/v1/auth/step-up/verify";
    let wrong = json!({"proof": {"factor": "password", "password": "not hers"}});
    let wrong = stage.call_as(&ann, "POST", verify, None, wrong).await;
    assert_eq!((wrong.status, wrong.code()), (401, "invalid_proof"));
    let right = json!({"proof": {"factor": "password", "password": PASSWORD}});
    let stepped = stage.call_as(&ann, "POST", verify, None, right).await;
    assert_eq!(stepped.status, 200, "{stepped:?}");
    let fresh = stage.principal(&stepped);
    assert_eq!(fresh.sid, ann.sid, "the session goes on");
    let secret = stage.enrol_totp(&fresh).await;

    // From now on only a second factor is.
    let weak = risky(&fresh).await;
    assert_eq!(weak.code(), "second_factor_required");
    assert!(
        weak.header("www-authenticate")
            .contains(r#"acr_values="mfa""#)
    );
    let offered = stage.call_as(&fresh, "POST", path, None, json!({})).await;
    assert_eq!(offered.body, json!({"factors": ["totp"]}));
    let right = json!({"proof": {"factor": "password", "password": PASSWORD}});
    let weak = stage.call_as(&fresh, "POST", verify, None, right).await;
    assert_eq!((weak.status, weak.code()), (422, "bad_factor"));
    stage.advance_secs(30);
    let right = json!({"proof": {"factor": "totp", "code": stage.totp(&secret)}});
    let stepped = stage.call_as(&fresh, "POST", verify, None, right).await;
    assert_eq!(
        (&stepped.claims()["acr"], stepped.status),
        (&json!("mfa"), 200)
    );
    assert_eq!(risky(&stage.principal(&stepped)).await.status, 204);

    // Without a session nothing is ever fresh.
    let id = fresh.sub.parse().expect("an id");
    let key = stage.user(id);
    let sessionless = risky(&key).await;
    assert_eq!(
        (sessionless.status, sessionless.code()),
        (403, "session_required")
    );
}
