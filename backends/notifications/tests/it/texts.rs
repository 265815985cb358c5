//! Text messages: who is asked for them and how, and what becomes of what they answer.

use events::{AddressKnown, Channel, CodeIssued, Notice, Purpose, SecurityNotice};
use notifications::{Budget, SmsConfig, SmsProvider, SmsRuConfig, TwilioConfig};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    doubles::{
        ACCOUNT_SID, API_ID, AUTH_TOKEN, Answer, Double, FROM, SMSRU_REFUSED, TWILIO_REFUSED,
    },
    stage::{BEGUN, Stage, await_that},
};

const ANN: &str = "+12025550123";
const YULIA: &str = "+79255070602";

fn twilio(double: &Double) -> SmsProvider {
    SmsProvider {
        twilio: Some(TwilioConfig {
            account_sid: ACCOUNT_SID.to_owned(),
            key_sid: None,
            auth_token: host::Secret::new(AUTH_TOKEN),
            from: Some(FROM.to_owned()),
            messaging_service_sid: None,
            api: Some(double.url()),
        }),
        ..SmsProvider::default()
    }
}

fn smsru(double: &Double) -> SmsProvider {
    SmsProvider {
        smsru: Some(SmsRuConfig {
            api_id: host::Secret::new(API_ID),
            from: None,
            api: Some(double.url()),
        }),
        ..SmsProvider::default()
    }
}

async fn stage(providers: impl IntoIterator<Item = SmsProvider>) -> Stage {
    Stage::start_with_texts(SmsConfig {
        providers: providers.into_iter().collect(),
        budget: Budget::default(),
    })
    .await
}

fn code_for(to: &str) -> CodeIssued {
    CodeIssued {
        to: to.to_owned(),
        channel: Channel::Sms,
        code: "314159".to_owned(),
        link: None,
        purpose: Purpose::SignIn,
        expires_at: BEGUN + std::time::Duration::from_secs(600),
    }
}

const SAID: &str =
    "314159 is your Vorota code to sign in, good until 03:10 UTC. Tell it to nobody.";

async fn deliver(stage: &Stage, to: &str) {
    let (_, noted) = stage.app.deliver(&code_for(to)).await;
    noted.expect("noted");
}

/// Waits until the one message is dead, and gives why.
async fn dead(stage: &Stage) -> String {
    assert!(
        !stage.message_that_is("dead").await.1,
        "it says something still"
    );
    stage.last_error().await.unwrap_or_default()
}

#[tokio::test]
async fn a_code_reaches_a_phone_by_twilio_as_its_own_library_would_send_it() {
    let double = Double::twilio().await;
    let stage = stage([twilio(&double)]).await;
    deliver(&stage, ANN).await;
    assert_eq!(stage.message_that_is("sent").await, (1, false));
    stage.app.stop().await;

    let (url, body) = (double.url(), SAID.to_owned());
    let theirs = tokio::task::spawn_blocking(move || {
        let messages = json!([
            { "to": ANN, "from": FROM, "body": body },
            { "to": TWILIO_REFUSED, "from": FROM, "body": body },
        ]);
        local::twilio::send(&url, ACCOUNT_SID, AUTH_TOKEN, &messages)
    })
    .await
    .expect("no panic")
    .expect("Twilio's library takes the double for Twilio");
    assert_eq!(
        (&theirs[0]["status"], &theirs[0]["body"]),
        (&json!("queued"), &json!(SAID))
    );
    assert_eq!(
        (&theirs[1]["status"], &theirs[1]["code"]),
        (&json!(400), &json!(21211))
    );

    let asked = double.asked();
    assert_eq!(asked[0], asked[1], "ours and theirs");
}

#[tokio::test]
async fn a_code_reaches_a_phone_by_smsru() {
    let double = Double::smsru().await;
    let stage = stage([smsru(&double)]).await;
    deliver(&stage, YULIA).await;
    assert_eq!(stage.message_that_is("sent").await, (1, false));
    let asked = &double.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/sms/send")
    );
    let fields = ["to", "msg", "json", "api_id"].map(|name| asked.field(name));
    assert_eq!(fields, ["79255070602", SAID, "1", API_ID]);
    stage.app.stop().await;
}

#[tokio::test]
async fn a_refused_number_is_given_up_at_once_and_no_other_provider_is_asked() {
    let (first, second) = (Double::twilio().await, Double::smsru().await);
    let stage = stage([twilio(&first), smsru(&second)]).await;
    deliver(&stage, TWILIO_REFUSED).await;
    assert_eq!(dead(&stage).await, "twilio: it refuses the number (21211)");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 0));
    stage.app.stop().await;
}

#[tokio::test]
async fn an_answer_of_200_that_means_failure_is_a_failure() {
    let double = Double::smsru().await;
    let stage = stage([smsru(&double)]).await;
    deliver(&stage, SMSRU_REFUSED).await;
    assert_eq!(dead(&stage).await, "smsru: it refuses the number (207)");
    stage.app.stop().await;
}

#[tokio::test]
async fn a_text_waits_for_an_account_that_has_run_dry() {
    let double = Double::smsru().await;
    double.will_answer([Answer::json(
        200,
        &json!({ "status": "ERROR", "status_code": 201, "status_text": "no money" }),
    )]);
    let stage = stage([smsru(&double)]).await;
    deliver(&stage, YULIA).await;
    stage
        .awaits_error("smsru: it refuses the request (201)")
        .await;
    stage.advance(2);
    assert_eq!(stage.message_that_is("sent").await, (2, false));
    stage.app.stop().await;
}

#[tokio::test]
async fn a_provider_that_asks_for_a_pause_gets_it() {
    let double = Double::twilio().await;
    let busy = Answer::json(429, &json!({ "code": 20429, "status": 429 }));
    double.will_answer([busy.retry_after(60)]);
    let stage = stage([twilio(&double)]).await;
    deliver(&stage, ANN).await;
    stage.awaits_error("twilio: it answers 429 (20429)").await;
    stage.advance(30);
    // Neither this text nor another one.
    deliver(&stage, "+12025550124").await;
    await_that("a second text put off", || async {
        let sql = "select count(*) from notifications.message where last_error is not null";
        let count: i64 = sqlx::query_scalar(sql)
            .fetch_one(stage.app.pool())
            .await
            .expect("a count");
        count == 2
    })
    .await;
    assert_eq!(double.asked().len(), 1);
    stage.advance(31);
    await_that("both texts", || async { double.asked().len() == 3 }).await;
    stage.app.stop().await;
}

#[tokio::test]
async fn a_text_waits_for_a_provider_that_is_away() {
    let double = Double::twilio().await;
    let (config, address) = (twilio(&double), double.address());
    drop(double);
    let stage = stage([config]).await;
    deliver(&stage, ANN).await;
    stage.awaits_error("twilio: no connection").await;
    let double = Double::twilio_at(address).await;
    stage.advance(2);
    assert_eq!(stage.message_that_is("sent").await, (2, false));
    assert_eq!(double.recipients(), [ANN]);
    stage.app.stop().await;
}

#[tokio::test]
async fn the_next_provider_is_asked_when_one_cannot_now() {
    let (first, second) = (Double::smsru().await, Double::twilio().await);
    first.will_answer([Answer::page(502)]);
    let stage = stage([smsru(&first), twilio(&second)]).await;
    deliver(&stage, YULIA).await;
    assert_eq!(stage.message_that_is("sent").await, (1, false));
    assert_eq!(
        (first.asked().len(), second.recipients()),
        (1, vec![YULIA.to_owned()])
    );
    stage.app.stop().await;
}

#[tokio::test]
async fn a_provider_gets_the_numbers_of_its_countries_alone() {
    let (russia, other) = (Double::smsru().await, Double::twilio().await);
    let only = |provider, prefix: &str| SmsProvider {
        countries: Some(vec![prefix.to_owned()]),
        ..provider
    };
    let stage = stage([only(smsru(&russia), "+7"), only(twilio(&other), "+1")]).await;
    deliver(&stage, ANN).await;
    deliver(&stage, YULIA).await;
    deliver(&stage, "+4915112345678").await;
    await_that("all three to be done with", || async {
        let sql = "select count(*) from notifications.message where state = 'waiting'";
        let waiting: i64 = sqlx::query_scalar(sql)
            .fetch_one(stage.app.pool())
            .await
            .expect("a count");
        waiting == 0
    })
    .await;
    assert_eq!(russia.recipients(), ["79255070602"]);
    assert_eq!(other.recipients(), [ANN]);
    let sql = "select last_error from notifications.message where state = 'dead'";
    let error: Option<String> = sqlx::query_scalar(sql)
        .fetch_one(stage.app.pool())
        .await
        .expect("one dead message");
    assert_eq!(
        error.as_deref(),
        Some("no provider of texts is configured for this number")
    );
    stage.app.stop().await;
}

#[tokio::test]
async fn without_a_provider_a_text_is_given_up_and_counted() {
    let stage = stage([]).await;
    deliver(&stage, ANN).await;
    assert_eq!(
        dead(&stage).await,
        "no provider of texts is configured for this number"
    );
    assert!(stage.mail().is_empty());
    let metrics = stage.metrics().await;
    let counted = r#"notifications_texts_total{outcome="refused",provider="none"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    stage.app.stop().await;
}

#[tokio::test]
async fn on_a_laptop_texts_land_in_the_inbox() {
    let stage = Stage::start_with(|smtp| notifications::Config {
        sms: SmsConfig {
            providers: vec![SmsProvider {
                inbox: Some(format!("smtp://{smtp}")),
                ..SmsProvider::default()
            }],
            budget: Budget::default(),
        },
        ..crate::stage::config(smtp)
    })
    .await;
    deliver(&stage, YULIA).await;
    let mail = stage.mail_of(1).await;
    assert_eq!(mail[0].to, "+79255070602@sms.localhost");
    assert_eq!(
        (mail[0].subject.as_str(), mail[0].text.trim_end()),
        ("Text message", SAID)
    );
    stage.app.stop().await;
}

/// Security case 28: what goes over the budget is not sent, and what must be said waits.
#[tokio::test]
async fn users_28_texts_over_the_budget_are_withheld() {
    let double = Double::twilio().await;
    let stage = Stage::start_with_texts(SmsConfig {
        providers: vec![twilio(&double)],
        budget: Budget {
            per_number: 2,
            ..Budget::default()
        },
    })
    .await;
    for _ in 0..3 {
        deliver(&stage, ANN).await;
    }
    let notice = SecurityNotice {
        user_id: Uuid::now_v7(),
        to: ANN.to_owned(),
        channel: Channel::Sms,
        what: Notice::PasswordReset,
        at: BEGUN,
        about: None,
        undo: Some("/undo?token=hush".to_owned()),
    };
    stage.app.deliver(&notice).await.1.expect("noted");
    deliver(&stage, "+881612345678").await;
    await_that("two texts", || async { double.asked().len() == 2 }).await;
    let sql = "select kind, last_error from notifications.message where state = 'dead' order by id";
    let dead: Vec<(String, Option<String>)> = sqlx::query_as(sql)
        .fetch_all(stage.app.pool())
        .await
        .expect("rows");
    assert_eq!(
        dead,
        [
            ("sign_in".to_owned(), Some("budget".to_owned())),
            (
                "sign_in".to_owned(),
                Some("a number of satellites, networks or premium services".to_owned())
            ),
        ]
    );
    let metrics = stage.metrics().await;
    for reason in ["budget_number", "off_limits"] {
        let counted = format!("notifications_texts_withheld_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&counted), "{metrics}");
    }
    stage.advance(60 * 60);
    await_that("the notice", || async { double.asked().len() == 3 }).await;
    assert_eq!(
        double.asked()[2].field("Body"),
        "Vorota: your password was replaced. Not you? Reset it at once."
    );
    stage.app.stop().await;
}

#[tokio::test]
async fn a_redelivered_event_is_one_text_and_paid_for_once() {
    let double = Double::twilio().await;
    let stage = stage([twilio(&double)]).await;
    let known = AddressKnown {
        to: ANN.to_owned(),
        channel: Channel::Sms,
    };
    let (envelope, first) = stage.app.deliver(&known).await;
    first.expect("noted");
    stage.app.redeliver(envelope).await.expect("known already");
    stage.message_that_is("sent").await;
    let sql = "select texts from notifications.text_count where counted = 'all'";
    let texts: i32 = sqlx::query_scalar(sql)
        .fetch_one(stage.app.pool())
        .await
        .expect("a count");
    assert_eq!((double.asked().len(), texts), (1, 1));
    stage.app.stop().await;
}

#[tokio::test]
async fn admins_see_which_way_a_message_took() {
    let double = Double::twilio().await;
    let stage = stage([twilio(&double)]).await;
    deliver(&stage, ANN).await;
    stage.message_that_is("sent").await;
    let seal = stage.app.seal(Some(
        host::testing::Running::<notifications::Notifications>::user(Uuid::now_v7(), &["admin"]),
    ));
    let list: Value = stage
        .app
        .get("/v1/notifications")
        .header(identity::HEADER, &seal)
        .send()
        .await
        .json();
    let first = &list["items"][0];
    assert_eq!(
        (&first["channel"], &first["to"], &first["kind"]),
        (&json!("sms"), &json!("***23"), &json!("sign_in"))
    );
    stage.app.stop().await;
}
