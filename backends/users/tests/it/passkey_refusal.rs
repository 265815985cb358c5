//! Passkeys in dishonest hands. Each refusal of a sign-in is the same to the one who tries.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    authenticator::{Authenticator, BACKED_UP, PRESENT, VERIFIED, encode},
    passkey::{PATH, add, creation, enrol, request, sign_in, signed_in, verify, whose},
    stage::{Answer, Stage},
};

/// A way to be dishonest.
type Trick = fn(&mut Authenticator);

/// What is wrong with each of these ends either ceremony.
const TRICKS: [(&str, Trick); 8] = [
    ("another page", |it| {
        it.origin = "https://evil.example".into()
    }),
    ("another port", |it| {
        it.origin = "https://localhost:9443".into()
    }),
    ("a frame", |it| it.framed = true),
    ("another domain", |it| it.rp_id = "evil.example".into()),
    ("nobody there", |it| it.flags = VERIFIED),
    ("nobody known", |it| it.flags = PRESENT),
    ("a copy of what can't be copied", |it| it.flags |= BACKED_UP),
    ("no ceremony at all", |it| it.ceremony = Some("payment.get")),
];

#[track_caller]
fn refused(answer: &Answer, why: &str) {
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    let expected = json!({
        "type": "about:blank",
        "title": "The passkey proves nobody",
        "status": 401,
        "code": "invalid_credentials",
        "request_id": null,
    });
    assert_eq!((answer.status, body), (401, expected), "{why}");
}

#[tokio::test]
async fn no_passkey_is_made_on_another_page_or_of_an_unverified_person() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let cross: (&str, Trick) = ("the other ceremony", |it| {
        it.ceremony = Some("webauthn.get")
    });
    for (why, trick) in TRICKS.into_iter().chain([cross]) {
        let mut device = Authenticator::new();
        trick(&mut device);
        let options = creation(&stage, &ann).await;
        let answer = add(&stage, &ann, device.create(&options)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "passkey_refused"),
            "{why}"
        );
        // The challenge is spent: honesty comes too late.
        let answer = add(&stage, &ann, Authenticator::new().create(&options)).await;
        assert_eq!((answer.status, answer.code()), (422, "passkey_refused"));
    }
    assert_eq!(stage.get_as(&ann, PATH).await.body["items"], json!([]));
}

#[tokio::test]
async fn a_challenge_makes_one_passkey_in_its_own_session_and_time() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let bob = signed_in(&stage, "bob@example.com").await;
    let mut device = Authenticator::new();
    let refusal = (422, "passkey_refused".to_owned());
    let verdict = |answer: Answer| (answer.status, answer.code().to_owned());

    let options = creation(&stage, &ann).await;
    let credential = device.create(&options);
    assert_eq!(
        verdict(add(&stage, &bob, credential.clone()).await),
        refusal,
        "somebody else's"
    );
    let elsewhere = stage.login("ann@example.com", crate::stage::PASSWORD).await;
    let elsewhere = whose(&stage, &elsewhere);
    assert_eq!(
        verdict(add(&stage, &elsewhere, credential.clone()).await),
        refusal,
        "another session's"
    );
    stage.advance_secs(299);
    let answer = add(&stage, &ann, credential.clone()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let ann = whose(&stage, &sign_in(&stage, &mut device).await);
    assert_eq!(
        verdict(add(&stage, &ann, credential).await),
        refusal,
        "used already"
    );

    let mut late = Authenticator::new();
    let credential = late.create(&creation(&stage, &ann).await);
    stage.advance_secs(300);
    let ann = whose(&stage, &sign_in(&stage, &mut device).await);
    assert_eq!(
        verdict(add(&stage, &ann, credential).await),
        refusal,
        "late"
    );
    // What signs people in makes no passkeys.
    let mut options = creation(&stage, &ann).await;
    options["public_key"]["challenge"] = request(&stage).await["public_key"]["challenge"].clone();
    let answer = add(&stage, &ann, late.create(&options)).await;
    assert_eq!(verdict(answer), refusal, "of the other ceremony");
}

#[tokio::test]
async fn a_passkey_is_one_account_s_for_ever() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let bob = signed_in(&stage, "bob@example.com").await;
    let mut device = Authenticator::new();
    enrol(&stage, &ann, &mut device).await;
    let options = creation(&stage, &bob).await;
    let answer = add(&stage, &bob, device.create(&options)).await;
    assert_eq!((answer.status, answer.code()), (409, "passkey_known"));
}

/// Security cases users 1 and 10: whatever is wrong, the answer is the same, and opens nothing.
#[tokio::test]
async fn users_1_every_refused_passkey_gets_the_same_answer() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    let id = enrol(&stage, &ann, &mut device).await;
    let cross: (&str, Trick) = ("the other ceremony", |it| {
        it.ceremony = Some("webauthn.create");
    });
    let more: [(&str, Trick); 3] = [
        cross,
        ("somebody else's name", |it| {
            it.user = Some(encode(Uuid::nil().as_bytes()));
        }),
        ("no name", |it| it.user = None),
    ];
    let honest = (device.origin.clone(), device.user.clone());
    for (why, trick) in TRICKS.into_iter().chain(more) {
        trick(&mut device);
        refused(&sign_in(&stage, &mut device).await, why);
        (device.origin, device.user) = honest.clone();
        device.rp_id = "localhost".into();
        device.flags = PRESENT | VERIFIED;
        (device.ceremony, device.framed) = (None, false);
    }

    let options = request(&stage).await;
    for (part, why) in [
        ("signature", "another signature"),
        ("authenticatorData", "other data"),
        ("clientDataJSON", "no data of a browser"),
    ] {
        let mut credential = device.get(&options);
        credential["response"][part] = json!(encode(&[1; 70]));
        refused(&verify(&stage, credential).await, why);
    }
    let fresh = request(&stage).await;
    let mut credential = device.get(&fresh);
    let other = device.get(&request(&stage).await);
    credential["response"]["signature"] = other["response"]["signature"].clone();
    refused(
        &verify(&stage, credential).await,
        "another ceremony's signature",
    );

    let options = request(&stage).await;
    let credential = device.get(&options);
    assert_eq!(verify(&stage, credential.clone()).await.status, 200);
    refused(&verify(&stage, credential).await, "a replay");
    let credential = device.get(&request(&stage).await);
    stage.advance_secs(300);
    refused(&verify(&stage, credential).await, "late");
    let mut unknown = Authenticator::new();
    unknown.user = device.user.clone();
    refused(&sign_in(&stage, &mut unknown).await, "unknown");
    // Another key under a known name.
    unknown.id = device.id.clone();
    refused(&sign_in(&stage, &mut unknown).await, "another key");

    let tokens = sign_in(&stage, &mut device).await;
    let ann = whose(&stage, &tokens);
    let path = format!("{PATH}/{id}");
    let gone = stage
        .call_as(&ann, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(gone.status, 204, "{gone:?}");
    refused(&sign_in(&stage, &mut device).await, "removed");
}

#[tokio::test]
async fn a_counter_that_goes_back_is_refused_and_recorded() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    device.count = 40;
    enrol(&stage, &ann, &mut device).await;
    assert_eq!(sign_in(&stage, &mut device).await.status, 200);
    for (shown, why) in [(40, "the same"), (7, "less"), (0, "none")] {
        device.count = shown;
        refused(&sign_in(&stage, &mut device).await, why);
    }
    device.count = 41;
    assert_eq!(sign_in(&stage, &mut device).await.status, 200);
    let acts = stage.acts_of(ann.sub.parse().expect("an id")).await;
    let seen = acts
        .iter()
        .filter(|act| *act == "passkey.counter_went_back");
    assert_eq!(seen.count(), 3, "{acts:?}");
}

/// Security case users 24.
#[tokio::test]
async fn users_24_nobody_reaches_anothers_passkey() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let bob = signed_in(&stage, "bob@example.com").await;
    let mut device = Authenticator::new();
    let id = enrol(&stage, &ann, &mut device).await;
    for id in [id.as_str(), "00000000-0000-0000-0000-000000000000", "7"] {
        let path = format!("{PATH}/{id}");
        for (method, body) in [("PATCH", json!({"name": "mine"})), ("DELETE", Value::Null)] {
            let answer = stage.call_as(&bob, method, &path, None, body).await;
            assert_eq!(
                (answer.status, answer.code()),
                (404, "not_found"),
                "{method} {id}"
            );
        }
    }
    assert_eq!(stage.get_as(&bob, PATH).await.body["items"], json!([]));
    assert_eq!(sign_in(&stage, &mut device).await.status, 200);
}

/// Security case users 11: what was asked of one sign-in is answered in that one, by its own person.
#[tokio::test]
async fn users_11_a_second_factor_is_its_owner_s_and_its_sign_in_s() {
    let stage = Stage::start().await;
    let (mut anns, mut bobs) = (Authenticator::new(), Authenticator::new());
    for (email, device) in [
        ("ann@example.com", &mut anns),
        ("bob@example.com", &mut bobs),
    ] {
        let who = signed_in(&stage, email).await;
        enrol(&stage, &who, device).await;
    }
    let begin = async |email: &str| {
        let due = stage.login(email, crate::stage::PASSWORD).await;
        let token = due.text("mfa_token").to_owned();
        let wish = json!({"mfa_token": token, "factor": "passkey"});
        let challenge = stage.post("/v1/auth/mfa/challenge", wish).await;
        (token, challenge.body["passkey"].clone())
    };
    let prove = async |token: &str, credential: Value| {
        let proof =
            json!({"mfa_token": token, "proof": {"factor": "passkey", "credential": credential}});
        stage.post("/v1/auth/mfa/verify", proof).await
    };
    let (token, options) = begin("ann@example.com").await;
    let (other_token, _) = begin("ann@example.com").await;
    let answer = prove(&other_token, anns.get(&options)).await;
    assert_eq!(answer.status, 401, "another sign-in's: {answer:?}");
    // Bob's passkey answers Ann's challenge, under his name and under hers.
    let answer = prove(&token, bobs.get(&options)).await;
    assert_eq!(answer.status, 401, "somebody else's: {answer:?}");
    let (token, _) = begin("ann@example.com").await;
    let answer = prove(&token, anns.get(&request(&stage).await)).await;
    assert_eq!(answer.status, 401, "of another purpose: {answer:?}");
    let (token, options) = begin("ann@example.com").await;
    let answer = prove(&token, anns.get(&options)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Security case users 20: the gate that every way in passes is passed here too.
#[tokio::test]
async fn users_20_a_banned_person_s_passkey_opens_nothing() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    enrol(&stage, &ann, &mut device).await;
    stage
        .execute("update users.account set standing = 'banned'")
        .await;
    let answer = sign_in(&stage, &mut device).await;
    assert_eq!((answer.status, answer.code()), (403, "account_banned"));
}
