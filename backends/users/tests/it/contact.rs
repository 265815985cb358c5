//! Phones, codes in place of passwords, forgotten passwords, and changes of how somebody is reached.

use events::{Channel, Notice};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Answer, PASSWORD, Stage};

const ANN: &str = "ann@example.com";
const PHONE: &str = "+14155550123";
const ANOTHER: &str = "another long and fine one";

/// What an outsider sees of an answer.
fn seen(mut answer: Answer) -> (u16, String, Value) {
    answer.headers.remove("date");
    for secret in ["request_id", "flow_id"] {
        if let Some(value) = answer.body.get_mut(secret) {
            value.take();
        }
    }
    (answer.status, format!("{:?}", answer.headers), answer.body)
}

#[tokio::test]
async fn somebody_may_come_by_phone_and_never_have_a_password() {
    let stage = Stage::start().await;
    let id = stage.member_by_phone(PHONE).await;
    let verified = json!({"user_id": id, "phone": PHONE});
    assert!(
        stage
            .events()
            .await
            .contains(&("users.verified".to_owned(), verified))
    );
    assert_eq!(
        stage.links(PHONE).await,
        Vec::<String>::new(),
        "no links in texts"
    );

    let asked = stage.post("/v1/auth/otp", json!({"phone": PHONE})).await;
    assert_eq!(asked.status, 202);
    let proof = json!({"flow_id": asked.body["flow_id"], "code": stage.code(PHONE).await});
    let signed_in = stage.post("/v1/auth/otp/verify", proof.clone()).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(signed_in.claims()["amr"], json!(["sms"]));
    let again = stage.post("/v1/auth/otp/verify", proof).await;
    assert_eq!((again.status, again.code()), (400, "invalid_code"));
    let me = stage.get_as(&stage.principal(&signed_in), "/v1/me").await;
    assert_eq!(
        (&me.body["phone"], me.body.get("email")),
        (&json!(PHONE), None)
    );
    let guess = json!({"phone": PHONE, "password": PASSWORD});
    assert_eq!(stage.post("/v1/auth/login", guess).await.status, 401);
}

/// Security case 1, for each question that an outsider may ask about a contact.
#[tokio::test]
async fn users_1_no_question_about_a_contact_tells_who_has_an_account() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    stage.member_by_phone(PHONE).await;
    for (path, with_password) in [
        ("/v1/auth/register", true),
        ("/v1/auth/otp", false),
        ("/v1/auth/password/forgot", false),
    ] {
        let mut answers = Vec::new();
        for contact in [
            json!({"email": ANN}),
            json!({"email": "nobody@example.com"}),
            json!({"phone": PHONE}),
            json!({"phone": "+14155550100"}),
        ] {
            let mut body = contact;
            if with_password {
                body["password"] = json!(PASSWORD);
            }
            let asked = stage.post(path, body).await;
            let flow_id = asked.body["flow_id"].clone();
            answers.push(seen(asked));
            let resent = stage
                .post("/v1/auth/verify/resend", json!({ "flow_id": flow_id }))
                .await;
            assert_eq!(resent.status, 202);
            let wrong = json!({"flow_id": flow_id, "code": "000000"});
            for path in ["/v1/auth/otp/verify", "/v1/auth/verify"] {
                let no = stage.post(path, wrong.clone()).await;
                assert_eq!((no.status, no.code()), (400, "invalid_code"));
            }
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{path}: {answers:?}"
        );
    }
    assert_eq!(
        stage.codes("+14155550100").await.len(),
        2,
        "registering alone sends to strangers"
    );
}

#[tokio::test]
async fn users_28_a_number_gets_five_texts_and_then_one_each_quarter_of_an_hour() {
    let stage = Stage::start().await;
    stage.member_by_phone(PHONE).await;
    for _ in 0..10 {
        stage.post("/v1/auth/otp", json!({"phone": PHONE})).await;
    }
    assert_eq!(stage.codes(PHONE).await.len(), 5);
    stage.advance_secs(15 * 60);
    stage.post("/v1/auth/otp", json!({"phone": PHONE})).await;
    stage.post("/v1/auth/otp", json!({"phone": PHONE})).await;
    assert_eq!(stage.codes(PHONE).await.len(), 6);
}

#[tokio::test]
async fn users_13_a_forgotten_password_is_replaced_once_and_ends_every_session() {
    let stage = Stage::start().await;
    let id = stage.member(ANN).await;
    let signed_in = stage.login(ANN, PASSWORD).await;
    let asked = stage
        .post("/v1/auth/password/forgot", json!({"email": ANN}))
        .await;
    let code = stage.code(ANN).await;
    let reset = async |password: &str| {
        let wish = json!({"flow_id": asked.body["flow_id"], "code": code, "password": password});
        stage.post("/v1/auth/password/reset", wish).await
    };
    let weak = reset("password1").await;
    assert_eq!(
        (weak.status, weak.code()),
        (422, "weak_password"),
        "and may choose again"
    );
    let done = reset(ANOTHER).await;
    assert_eq!((done.status, &done.body), (204, &Value::Null), "{done:?}");
    assert_eq!(reset("a third long and fine one").await.status, 400);

    let refresh = json!({"refresh_token": signed_in.text("refresh_token")});
    assert_eq!(stage.post("/v1/auth/refresh", refresh).await.status, 401);
    assert_eq!(stage.feed("").await["items"][0]["kind"], "session");
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 401);
    assert_eq!(stage.login(ANN, ANOTHER).await.status, 200);
    let told: Vec<_> = stage
        .notices(ANN)
        .await
        .into_iter()
        .map(|it| it.what)
        .collect();
    assert!(told.contains(&Notice::PasswordReset), "{told:?}");
    assert!(
        stage
            .acts_of(id)
            .await
            .contains(&"password.reset".to_owned())
    );
}

/// Security case 10 again: a mailbox alone replaces no password where there is a second factor.
#[tokio::test]
async fn users_10_a_reset_asks_for_the_second_factor() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let ann = stage.principal(&stage.login(ANN, PASSWORD).await);
    let secret = stage.enrol_totp(&ann).await;
    stage.advance_secs(30);
    let asked = stage
        .post("/v1/auth/password/forgot", json!({"email": ANN}))
        .await;
    let flow_id = &asked.body["flow_id"];
    let wish = json!({"flow_id": flow_id, "code": stage.code(ANN).await, "password": ANOTHER});
    let begun = stage.post("/v1/auth/password/reset", wish).await;
    assert_eq!((begun.status, begun.code()), (401, "mfa_required"));
    assert_eq!(
        stage.login(ANN, ANOTHER).await.code(),
        "invalid_credentials"
    );

    let proof = json!({"factor": "totp", "code": stage.totp(&secret)});
    let body = json!({"mfa_token": begun.body["mfa_token"], "proof": proof});
    let done = stage.post("/v1/auth/mfa/verify", body).await;
    assert_eq!(
        (done.status, &done.body),
        (204, &Value::Null),
        "nobody is signed in by it"
    );
    assert_eq!(stage.login(ANN, ANOTHER).await.code(), "mfa_required");
}

#[tokio::test]
async fn another_password_keeps_this_session_and_ends_the_others() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let other = stage.login(ANN, PASSWORD).await;
    let this = stage.login(ANN, PASSWORD).await;
    let ann = stage.principal(&this);
    let change = json!({"password": ANOTHER});
    let changed = stage
        .call_as(&ann, "PUT", "/v1/me/password", None, change)
        .await;
    assert_eq!(changed.status, 204, "{changed:?}");
    for (answer, status) in [(&this, 200), (&other, 401)] {
        let refresh = json!({"refresh_token": answer.text("refresh_token")});
        assert_eq!(stage.post("/v1/auth/refresh", refresh).await.status, status);
    }
}

#[tokio::test]
async fn another_address_is_proven_first_and_the_old_one_can_undo_it() {
    let stage = Stage::start().await;
    let id = stage.member(ANN).await;
    stage.member("bob@example.com").await;
    let signed_in = stage.login(ANN, PASSWORD).await;
    let ann = stage.principal(&signed_in);

    // Somebody else's address: the same answer, and no code that fits.
    let taken = json!({"email": "bob@example.com"});
    let taken = stage
        .call_as(&ann, "POST", "/v1/me/email", None, taken)
        .await;
    assert_eq!(taken.status, 202);
    let wish = json!({"email": "new@example.com"});
    let asked = stage
        .call_as(&ann, "POST", "/v1/me/email", None, wish)
        .await;
    let code = stage.code("new@example.com").await;
    let proof = json!({"flow_id": asked.body["flow_id"], "code": code});
    let bob = stage.principal(&stage.login("bob@example.com", PASSWORD).await);
    let confirm = "/v1/me/email/confirm";
    let stolen = stage
        .call_as(&bob, "POST", confirm, None, proof.clone())
        .await;
    assert_eq!((stolen.status, stolen.code()), (400, "invalid_code"));
    let done = stage.call_as(&ann, "POST", confirm, None, proof).await;
    assert_eq!(done.status, 204, "{done:?}");
    assert_eq!(stage.login("new@example.com", PASSWORD).await.status, 200);
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 401);

    let notice = stage
        .notices(ANN)
        .await
        .pop()
        .expect("the old address is told");
    assert_eq!(
        (notice.what, notice.about.as_deref()),
        (Notice::EmailChanged, Some("n***@example.com"))
    );
    let undo = notice.undo.expect("a way back");
    let (status, headers, page) = stage.page(&undo).await;
    assert_eq!(status, 200);
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert!(page.contains("<button>Undo it</button>"), "{page}");
    assert_eq!(
        stage.login(ANN, PASSWORD).await.status,
        401,
        "looking does nothing"
    );

    let (path, token) = undo.split_once('?').expect("a query");
    let (status, _, page) = stage.post_form(path, token).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 200);
    let refresh = json!({"refresh_token": signed_in.text("refresh_token")});
    assert_eq!(stage.post("/v1/auth/refresh", refresh).await.status, 401);
    let (status, ..) = stage.post_form(path, token).await;
    assert_eq!(status, 400, "once");
    let acts = stage.acts_of(id).await;
    assert!(
        acts.contains(&"email.changed".to_owned()) && acts.contains(&"contact.restored".to_owned())
    );
    assert!(
        !stage.codes(ANN).await.is_empty(),
        "and a code to choose another password"
    );
}

#[tokio::test]
async fn users_13_a_link_does_nothing_until_its_button_is_pressed() {
    let stage = Stage::start().await;
    stage.register(ANN, PASSWORD).await;
    let link = stage.links(ANN).await.pop().expect("a link");
    let (path, form) = link.split_once('?').expect("a query");
    for _ in 0..3 {
        let (status, headers, page) = stage.page(&link).await;
        assert_eq!(
            (status, page.contains("<button>Open my account</button>")),
            (200, true)
        );
        assert_eq!(headers["cache-control"], "no-store");
    }
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 401);
    assert_eq!(stage.post_form(path, form).await.0, 200);
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 200);
    assert_eq!(stage.post_form(path, form).await.0, 400);

    // Signing in leaves the refresh token in the browser alone.
    stage.post("/v1/auth/otp", json!({"email": ANN})).await;
    let link = stage.links(ANN).await.pop().expect("a link");
    let (path, form) = link.split_once('?').expect("a query");
    let (status, headers, page) = stage.post_form(path, form).await;
    assert_eq!(status, 200, "{page}");
    let cookie = headers["set-cookie"].to_str().expect("a text").to_owned();
    assert!(cookie.starts_with("__Host-refresh=rt_"), "{cookie}");
    for mark in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(mark), "{cookie}");
    }
    assert!(!page.contains("rt_"));
    let pair = cookie.split(';').next().expect("a pair");
    let refreshed = stage
        .post_from(None, &[("cookie", pair)], "/v1/auth/refresh", json!({}))
        .await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert!(refreshed.body.get("refresh_token").is_none());
    assert!(
        refreshed
            .header("set-cookie")
            .starts_with("__Host-refresh=rt_")
    );
}

#[tokio::test]
async fn what_a_link_brings_is_never_written_as_it_comes() {
    let stage = Stage::start().await;
    for query in [
        "?flow=x&token=%3Cscript%3E",
        "?token=%22%3E%3Cscript%3E",
        "",
        "?token=",
        "?flow=%3Cb%3E",
    ] {
        let (status, _, page) = stage.page(&format!("/auth/verify{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(
            !page.contains("<script") && !page.contains("<b>"),
            "{query}: {page}"
        );
    }
}

#[tokio::test]
async fn a_code_serves_its_own_purpose_alone() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let asked = stage.post("/v1/auth/otp", json!({"email": ANN})).await;
    let code = stage.code(ANN).await;
    let proof = json!({"flow_id": asked.body["flow_id"], "code": code});
    let mut reset = proof.clone();
    reset["password"] = json!(ANOTHER);
    for (path, body) in [
        ("/v1/auth/verify", &proof),
        ("/v1/auth/password/reset", &reset),
    ] {
        let no = stage.post(path, body.clone()).await;
        assert_eq!((no.status, no.code()), (400, "invalid_code"), "{path}");
    }
    assert_eq!(stage.post("/v1/auth/otp/verify", proof).await.status, 200);
}

#[tokio::test]
async fn users_5_6_strangers_slow_down_strangers_and_not_a_known_device() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let signed_in = stage.login(ANN, PASSWORD).await;
    let device = signed_in.text("device_token").to_owned();
    for email in [ANN, "nobody@example.com"] {
        for _ in 0..20 {
            assert_eq!(stage.login(email, "a wrong one").await.status, 401);
        }
        let slow = stage.login(email, PASSWORD).await;
        assert_eq!(
            (slow.status, slow.code()),
            (429, "too_many_attempts"),
            "{email}"
        );
        assert_eq!(slow.header("retry-after"), "301", "{email}");
    }
    let known = [("x-device-token", device.as_str())];
    let credentials = json!({"email": ANN, "password": PASSWORD});
    let owner = stage
        .post_from(None, &known, "/v1/auth/login", credentials.clone())
        .await;
    assert_eq!(owner.status, 200, "{owner:?}");
    let stranger = [("x-device-token", "dt_made-up")];
    let stranger = stage
        .post_from(None, &stranger, "/v1/auth/login", credentials)
        .await;
    assert_eq!(stranger.status, 429);
    stage.advance_secs(301);
    assert_eq!(stage.login(ANN, PASSWORD).await.status, 200);
    assert_eq!(
        stage.login(ANN, PASSWORD).await.status,
        200,
        "a right one costs nothing"
    );
}

#[tokio::test]
async fn a_new_device_is_told_and_sessions_are_seen_and_ended() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let laptop = [("user-agent", "a laptop")];
    let credentials = json!({"email": ANN, "password": PASSWORD});
    let first = stage
        .post_from(None, &laptop, "/v1/auth/login", credentials.clone())
        .await;
    assert!(
        stage.notices(ANN).await.is_empty(),
        "the first device is no news"
    );
    let phone = [("user-agent", "a phone")];
    let second = stage
        .post_from(None, &phone, "/v1/auth/login", credentials)
        .await;
    let news = stage.notices(ANN).await.pop().expect("news");
    assert_eq!(
        (news.what, news.about.as_deref()),
        (Notice::NewDevice, Some("a phone"))
    );
    assert_eq!(news.channel, Channel::Email);

    let ann = stage.principal(&second);
    let listed = stage.get_as(&ann, "/v1/me/sessions").await;
    let items = listed.body["items"].as_array().expect("a list");
    assert_eq!(items.len(), 2, "{listed:?}");
    let other = items
        .iter()
        .find(|item| item["current"] == false)
        .expect("the other");
    assert_eq!(other["user_agent"], "a laptop");
    let path = format!("/v1/me/sessions/{}", other["id"].as_str().expect("an id"));
    let bob = stage.user_in(Uuid::now_v7(), Uuid::now_v7());
    let theirs = stage
        .call_as(&bob, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(theirs.status, 404);
    let ended = stage
        .call_as(&ann, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(ended.status, 204);
    let refresh = json!({"refresh_token": first.text("refresh_token")});
    assert_eq!(stage.post("/v1/auth/refresh", refresh).await.status, 401);
    let again = stage
        .call_as(&ann, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(again.status, 404);
}

#[tokio::test]
async fn a_name_is_set_and_taken_away_and_nothing_else_is() {
    let stage = Stage::start().await;
    let id = stage.member(ANN).await;
    let ann = stage.user_in(id, Uuid::now_v7());
    let patch = async |body: Value| stage.call_as(&ann, "PATCH", "/v1/me", None, body).await;
    assert_eq!(
        patch(json!({"name": " Ann Lee "})).await.body["name"],
        "Ann Lee"
    );
    assert_eq!(patch(json!({})).await.body["name"], "Ann Lee");
    assert!(
        patch(json!({"name": null}))
            .await
            .body
            .get("name")
            .is_none()
    );
    for body in [
        json!({"roles": ["admin"]}),
        json!({"email": "x@example.com"}),
        json!({"standing": "active"}),
        json!({"name": "a\u{7}b"}),
        json!({"name": "x".repeat(101)}),
    ] {
        let no = patch(body).await;
        assert_eq!((no.status, no.code()), (400, "bad_body"));
    }
}

#[tokio::test]
async fn every_purpose_that_a_mail_can_carry_a_link_for_has_its_page() {
    let stage = Stage::start().await;
    let id = stage.member(ANN).await;
    let ann = stage.user_in(id, Uuid::now_v7());
    stage.post("/v1/auth/otp", json!({"email": ANN})).await;
    stage
        .post("/v1/auth/password/forgot", json!({"email": ANN}))
        .await;
    let wish = json!({"email": "new@example.com"});
    stage
        .call_as(&ann, "POST", "/v1/me/email", None, wish)
        .await;
    let mut links = stage.links(ANN).await;
    links.extend(stage.links("new@example.com").await);
    assert_eq!(links.len(), 4, "{links:?}");
    for link in links {
        assert_eq!(stage.page(&link).await.0, 200, "{link}");
    }
}
