//! What must not be found in logs.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use events::{Channel, CodeIssued, Notice, Purpose, SecurityNotice};
use notifications::{Budget, SmsConfig, SmsProvider, TwilioConfig};
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

use crate::{
    doubles::{ACCOUNT_SID, AUTH_TOKEN, Answer, Double, FROM, TWILIO_REFUSED},
    stage::{BEGUN, Stage, await_that},
};

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a log").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

/// Security case 8. The log is that of the whole process: what the tests beside this one say is looked
/// at as well. What other crates say of bytes on a wire is not ours, and off unless asked for.
#[tokio::test]
async fn users_08_no_code_and_no_number_reaches_a_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("no other test has a log");
    let double = Double::twilio().await;
    let stage = Stage::start_with_texts(SmsConfig {
        providers: vec![SmsProvider {
            twilio: Some(TwilioConfig {
                account_sid: ACCOUNT_SID.to_owned(),
                key_sid: None,
                auth_token: host::Secret::new(AUTH_TOKEN),
                from: Some(FROM.to_owned()),
                messaging_service_sid: None,
                api: Some(double.url()),
            }),
            ..SmsProvider::default()
        }],
        budget: Budget {
            per_number: 1,
            ..Budget::default()
        },
    })
    .await;
    double.will_answer([Answer::page(503)]);
    // One that is put off, one over the budget, one that is refused with its number in the answer.
    for to in ["+12025550177", "+12025550177", TWILIO_REFUSED] {
        let code = CodeIssued {
            to: to.to_owned(),
            channel: Channel::Sms,
            code: "27182818".to_owned(),
            link: None,
            purpose: Purpose::StepUp,
            expires_at: BEGUN + std::time::Duration::from_secs(600),
        };
        stage.app.deliver(&code).await.1.expect("noted");
    }
    let notice = SecurityNotice {
        user_id: Uuid::now_v7(),
        to: "zoe@example.com".to_owned(),
        channel: Channel::Email,
        what: Notice::EmailChanged,
        at: BEGUN,
        about: Some("a walrus".to_owned()),
        undo: Some("/undo?token=57721566".to_owned()),
    };
    stage.app.deliver(&notice).await.1.expect("noted");
    let mail = stage.mail_of(1).await;
    assert!(
        mail[0]
            .text
            .contains("https://vorota.example/undo?token=57721566")
    );
    stage.advance(2);
    await_that("all to be done with", || async {
        let sql = "select count(*) from notifications.message where state = 'waiting'";
        let waiting: i64 = sqlx::query_scalar(sql)
            .fetch_one(stage.app.pool())
            .await
            .expect("a count");
        waiting == 0
    })
    .await;
    stage.app.stop().await;

    let log = String::from_utf8(log.0.lock().expect("a log").clone()).expect("a text");
    assert!(
        log.contains("a provider did not take a text"),
        "the log is not looked at"
    );
    for (what, secret) in [
        ("a code", "27182818"),
        ("a number", "2025550177"),
        ("a refused number", &TWILIO_REFUSED[1..]),
        ("an address", "zoe@example.com"),
        ("a link", "57721566"),
        ("what a notice is about", "a walrus"),
        ("a provider's secret", AUTH_TOKEN),
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what} is in the log: {line:?}");
    }
}
