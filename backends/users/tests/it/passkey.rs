//! Passkeys in honest hands: made, used, renamed and removed.

use identity::Principal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    authenticator::{Authenticator, BACKED_UP, BACKUP_ELIGIBLE},
    stage::{Answer, PASSWORD, Stage},
};

pub(crate) const PATH: &str = "/v1/me/passkeys";

/// Somebody who has just signed in with their password.
pub(crate) async fn signed_in(stage: &Stage, email: &str) -> Principal {
    stage.member(email).await;
    let answer = stage.login(email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    whose(stage, &answer)
}

/// Whose tokens these are.
pub(crate) fn whose(stage: &Stage, tokens: &Answer) -> Principal {
    let claims = tokens.claims();
    let id = |claim: &str| -> Uuid {
        let id = claims[claim].as_str().expect("an id");
        id.parse().expect("an id")
    };
    Principal {
        auth_time: claims["auth_time"].as_i64(),
        acr: claims["acr"].as_str().map(str::to_owned),
        ..stage.user_in(id("sub"), id("sid"))
    }
}

/// What to ask the browser for.
pub(crate) async fn creation(stage: &Stage, who: &Principal) -> Value {
    let answer = stage.post_as(who, &format!("{PATH}/options")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.body
}

pub(crate) async fn add(stage: &Stage, who: &Principal, credential: Value) -> Answer {
    let wish = json!({"name": " work laptop ", "credential": credential});
    stage.call_as(who, "POST", PATH, None, wish).await
}

/// Makes a passkey, and gives its id.
pub(crate) async fn enrol(stage: &Stage, who: &Principal, device: &mut Authenticator) -> String {
    let options = creation(stage, who).await;
    let answer = add(stage, who, device.create(&options)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.text("id").to_owned()
}

/// What to ask the browser for, when nobody is named.
pub(crate) async fn request(stage: &Stage) -> Value {
    let answer = stage.post("/v1/auth/passkey/options", Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.body
}

pub(crate) async fn verify(stage: &Stage, credential: Value) -> Answer {
    let proof = json!({ "credential": credential });
    stage.post("/v1/auth/passkey/verify", proof).await
}

pub(crate) async fn sign_in(stage: &Stage, device: &mut Authenticator) -> Answer {
    let options = request(stage).await;
    verify(stage, device.get(&options)).await
}

/// The notices of second factors that an account's owner was to get, with what they were about.
async fn notices(stage: &Stage) -> Vec<(String, String)> {
    let events = stage.events().await.into_iter();
    let notices = events.filter(|(topic, _)| topic == "users.security_notice");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let notices = notices.map(|(_, notice)| (text(&notice["what"]), text(&notice["about"])));
    notices
        .filter(|(what, _)| what.starts_with("second_factor_"))
        .collect()
}

#[tokio::test]
async fn a_passkey_is_a_way_in_by_itself() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    let options = creation(&stage, &ann).await;
    let asked = &options["public_key"];
    assert_eq!(asked["rp"]["id"], "localhost");
    assert_eq!(asked["user"]["name"], "ann@example.com");
    assert_eq!(asked["attestation"], "none");
    assert_eq!(asked["excludeCredentials"], json!([]));
    assert_eq!(
        asked["authenticatorSelection"],
        json!({"residentKey": "preferred", "userVerification": "required"})
    );
    let made = add(&stage, &ann, device.create(&options)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let view = json!({
        "id": made.body["id"],
        "name": "work laptop",
        "aaguid": "07070707-0707-0707-0707-070707070707",
        "backup_eligible": false,
        "backed_up": false,
        "discoverable": true,
        "created_at": stage.now_text(),
        "last_used_at": null,
    });
    assert_eq!(made.body, view);

    stage.advance_secs(60);
    let options = request(&stage).await;
    assert_eq!(options["public_key"]["rpId"], "localhost");
    assert_eq!(options["public_key"]["allowCredentials"], json!([]));
    assert_eq!(options["public_key"]["userVerification"], "required");
    let tokens = verify(&stage, device.get(&options)).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let claims = tokens.claims();
    assert_eq!(claims["sub"], ann.sub.as_str());
    assert_eq!(claims["acr"], "mfa");
    assert_eq!(claims["amr"], json!(["pop", "user", "mfa"]));

    let list = stage.get_as(&ann, PATH).await;
    let mut seen = view;
    seen["last_used_at"] = json!(stage.now_text());
    assert_eq!(list.body, json!({"items": [seen], "next_cursor": null}));
}

#[tokio::test]
async fn its_owner_renames_and_removes_it_and_hears_of_it() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    stage.forget_events().await;
    let mut device = Authenticator::new();
    let id = enrol(&stage, &ann, &mut device).await;
    // From now on a fresh proof is one with the passkey.
    let path = format!("{PATH}/{id}");
    let stale = stage
        .call_as(&ann, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(
        (stale.status, stale.code()),
        (403, "second_factor_required")
    );
    let ann = whose(&stage, &sign_in(&stage, &mut device).await);
    let renamed = stage
        .call_as(&ann, "PATCH", &path, None, json!({"name": "blue key"}))
        .await;
    assert_eq!(
        (renamed.status, &renamed.body["name"]),
        (200, &json!("blue key")),
        "{renamed:?}"
    );
    for name in ["", "  ", "two\nlines", &"x".repeat(65)] {
        let answer = stage
            .call_as(&ann, "PATCH", &path, None, json!({ "name": name }))
            .await;
        assert_eq!((answer.status, answer.code()), (400, "bad_body"), "{name}");
    }

    let removed = stage
        .call_as(&ann, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(removed.status, 204, "{removed:?}");
    let again = stage
        .call_as(&ann, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!((again.status, again.code()), (404, "not_found"));
    let list = stage.get_as(&ann, PATH).await;
    assert_eq!(list.body["items"], json!([]));

    let mut acts = stage.acts_of(ann.sub.parse().expect("an id")).await;
    acts.retain(|act| act.starts_with("passkey."));
    assert_eq!(
        acts,
        ["passkey.added", "passkey.renamed", "passkey.removed"]
    );
    let told = |what: &str, about: &str| (what.to_owned(), about.to_owned());
    assert_eq!(
        notices(&stage).await,
        [
            told("second_factor_added", "work laptop"),
            told("second_factor_removed", "blue key")
        ]
    );
}

#[tokio::test]
async fn one_device_needs_no_second_passkey() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    enrol(&stage, &ann, &mut device).await;
    let ann = whose(&stage, &sign_in(&stage, &mut device).await);
    let options = creation(&stage, &ann).await;
    let known = &options["public_key"]["excludeCredentials"];
    assert_eq!(
        known,
        &json!([{
            "type": "public-key",
            "id": crate::authenticator::encode(&device.id),
            // The way that nobody knows was not kept.
            "transports": ["hybrid", "internal"],
        }])
    );
    // A browser that makes one all the same changes nothing.
    let answer = add(&stage, &ann, device.create(&options)).await;
    assert_eq!((answer.status, answer.code()), (409, "passkey_known"));
}

#[tokio::test]
async fn a_passkey_may_move_into_a_cloud_but_not_change_its_kind() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    device.flags |= BACKUP_ELIGIBLE;
    enrol(&stage, &ann, &mut device).await;
    device.flags |= BACKED_UP;
    assert_eq!(sign_in(&stage, &mut device).await.status, 200);
    let backed_up = "select backed_up from users.passkey";
    assert_eq!(stage.column::<bool>(backed_up).await, [true]);
    device.flags &= !(BACKUP_ELIGIBLE | BACKED_UP);
    assert_eq!(sign_in(&stage, &mut device).await.status, 401);
}

#[tokio::test]
async fn nobody_has_more_than_twenty() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    let options = creation(&stage, &ann).await;
    stage
        .execute(
            "insert into users.passkey (id, account_id, name, credential_id, public_key, sign_count,
                backup_eligible, backed_up, aaguid, transports, created_at)
            select gen_random_uuid(), account.id, 'key', sha256(n::text::bytea), '', 0, false, false,
                gen_random_uuid(), '{}', now()
            from users.account account, generate_series(1, 20) n",
        )
        .await;
    // They count as second factors by now, so the proof must be one.
    let ann = Principal {
        acr: Some("mfa".to_owned()),
        ..ann
    };
    let answer = add(&stage, &ann, device.create(&options)).await;
    assert_eq!((answer.status, answer.code()), (409, "too_many_passkeys"));
    let answer = stage.post_as(&ann, &format!("{PATH}/options")).await;
    assert_eq!((answer.status, answer.code()), (409, "too_many_passkeys"));
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let (mut first, mut second) = (Authenticator::new(), Authenticator::new());
    let first_id = enrol(&stage, &ann, &mut first).await;
    let ann = whose(&stage, &sign_in(&stage, &mut first).await);
    let second_id = enrol(&stage, &ann, &mut second).await;
    // Without an address no password is asked for, and no code is sent.
    stage.execute("update users.account set email = null").await;
    let remove = async |id: &str| {
        let path = format!("{PATH}/{id}");
        stage
            .call_as(&ann, "DELETE", &path, None, Value::Null)
            .await
    };
    assert_eq!(remove(&first_id).await.status, 204);
    let answer = remove(&second_id).await;
    assert_eq!((answer.status, answer.code()), (409, "last_way_in"));
    assert_eq!(sign_in(&stage, &mut second).await.status, 200);
    stage
        .execute("update users.account set email = 'ann@example.com'")
        .await;
    assert_eq!(remove(&second_id).await.status, 204);
}

/// A password alone lets nobody in any more, and a passkey goes on from there.
#[tokio::test]
async fn a_passkey_is_a_second_factor() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    enrol(&stage, &ann, &mut device).await;

    let due = stage.login("ann@example.com", PASSWORD).await;
    assert_eq!((due.status, due.code()), (401, "mfa_required"), "{due:?}");
    assert_eq!(due.body["factors"], json!(["passkey"]));
    let token = due.text("mfa_token");
    let wish = json!({"mfa_token": token, "factor": "passkey"});
    let challenge = stage.post("/v1/auth/mfa/challenge", wish).await;
    assert_eq!(challenge.status, 200, "{challenge:?}");
    let options = &challenge.body["passkey"];
    assert_eq!(
        options["public_key"]["allowCredentials"][0]["id"],
        crate::authenticator::encode(&device.id)
    );
    let proof = json!({
        "mfa_token": token,
        "proof": {"factor": "passkey", "credential": device.get(options)},
    });
    let tokens = stage.post("/v1/auth/mfa/verify", proof).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.claims()["amr"], json!(["pwd", "pop", "user", "mfa"]));
}

#[tokio::test]
async fn browsers_find_the_pages_that_were_named() {
    let stage = Stage::start().await;
    let answer = stage.get("/.well-known/change-password").await;
    assert_eq!((answer.status, answer.code()), (404, "not_found"));
    let answer = stage.get("/.well-known/passkey-endpoints").await;
    assert_eq!((answer.status, answer.body), (200, json!({})));

    let stage = Stage::start_with(|config| {
        config.password_page = Some("/account/password".to_owned());
        config.passkey_page = Some("https://id.localhost/keys".to_owned());
    })
    .await;
    let answer = stage.get("/.well-known/change-password").await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        answer.header("location"),
        "https://localhost:8443/account/password"
    );
    let answer = stage.get("/.well-known/passkey-endpoints").await;
    let keys = "https://id.localhost/keys";
    assert_eq!(answer.body, json!({"enroll": keys, "manage": keys}));
}

/// RFC 9470: what is risky wants a fresh proof, and a passkey gives it.
#[tokio::test]
async fn a_passkey_makes_a_session_fresh_again() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let mut device = Authenticator::new();
    enrol(&stage, &ann, &mut device).await;
    let ann = whose(&stage, &sign_in(&stage, &mut device).await);
    stage.advance_secs(301);
    let options = format!("{PATH}/options");
    let stale = stage.post_as(&ann, &options).await;
    assert_eq!(
        (stale.status, stale.code()),
        (403, "second_factor_required")
    );

    let wish = json!({"factor": "passkey"});
    let asked = stage
        .call_as(&ann, "POST", "/v1/auth/step-up", None, wish)
        .await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let proof = json!({
        "proof": {"factor": "passkey", "credential": device.get(&asked.body["sent"]["passkey"])},
    });
    let path = "/v1/auth/step-up/verify";
    let fresh = stage.call_as(&ann, "POST", path, None, proof.clone()).await;
    assert_eq!(fresh.status, 200, "{fresh:?}");
    let again = stage.call_as(&ann, "POST", path, None, proof).await;
    assert_eq!((again.status, again.code()), (401, "invalid_proof"));
    let ann = whose(&stage, &fresh);
    let answer = stage.post_as(&ann, &options).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
