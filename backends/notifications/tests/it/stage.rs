//! The app at work beside a mail server.

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use events::{Channel, CodeIssued, Purpose};
use host::{Clock, testing::Running};
use local::inbox::{Inbox, Message};
use notifications::{Config, Notifications, SmsConfig};
use time::{OffsetDateTime, macros::datetime};

pub(crate) struct Stage {
    pub(crate) app: Running<Notifications>,
    /// None while the mail server is down.
    pub(crate) inbox: Option<Inbox>,
    smtp: SocketAddr,
}

pub(crate) const BEGUN: OffsetDateTime = datetime!(2026-01-02 03:00 UTC);

impl Stage {
    /// With a clock that stands until it is moved.
    pub(crate) async fn start() -> Self {
        Self::start_with(config).await
    }

    /// The same, with what `config` makes of the mail server's address.
    pub(crate) async fn start_with(config: impl FnOnce(SocketAddr) -> Config) -> Self {
        let inbox = Inbox::start(any(), any()).await.expect("free ports");
        let smtp = inbox.smtp();
        let app = Running::start_at(config(smtp), Clock::stopped(BEGUN)).await;
        Self {
            app,
            inbox: Some(inbox),
            smtp,
        }
    }

    /// The same, with what texts go by.
    pub(crate) async fn start_with_texts(sms: SmsConfig) -> Self {
        Self::start_with(|smtp| Config {
            sms,
            ..config(smtp)
        })
        .await
    }

    pub(crate) fn stop_mail_server(&mut self) {
        self.inbox = None;
    }

    pub(crate) async fn start_mail_server(&mut self) {
        self.inbox = Some(
            Inbox::start(self.smtp, any())
                .await
                .expect("its port is free again"),
        );
    }

    pub(crate) fn advance(&self, secs: u64) {
        self.app.clock().advance(Duration::from_secs(secs));
    }

    pub(crate) fn mail(&self) -> Vec<Message> {
        self.inbox.as_ref().map(Inbox::messages).unwrap_or_default()
    }

    pub(crate) async fn mail_of(&self, count: usize) -> Vec<Message> {
        await_that(&format!("{count} mails"), || async {
            self.mail().len() >= count
        })
        .await;
        self.mail()
    }

    /// The one message's state, attempts and whether it still says something.
    pub(crate) async fn message(&self) -> (String, i32, bool) {
        sqlx::query_as("select state, attempts, content is not null from notifications.message")
            .fetch_one(self.app.pool())
            .await
            .expect("one message")
    }

    /// What stood in the way of the one message.
    pub(crate) async fn last_error(&self) -> Option<String> {
        sqlx::query_scalar("select last_error from notifications.message")
            .fetch_one(self.app.pool())
            .await
            .expect("one message")
    }

    /// Waits until something stands in the way of the one message, and it waits on.
    pub(crate) async fn awaits_error(&self, error: &str) {
        await_that(error, || async {
            self.last_error().await.as_deref() == Some(error)
        })
        .await;
        assert_eq!(self.message().await, ("waiting".to_owned(), 1, true));
    }

    /// What the process counts.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.app.private("/metrics").send().await;
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// Waits until the one message is in a state, and gives its attempts and whether it says something.
    pub(crate) async fn message_that_is(&self, state: &str) -> (i32, bool) {
        await_that(state, || async { self.message().await.0 == state }).await;
        let (_, attempts, says) = self.message().await;
        (attempts, says)
    }
}

/// Waits for what is due in moments.
pub(crate) async fn await_that<F: Future<Output = bool>>(what: &str, mut met: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !met().await {
        assert!(Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn code_for(to: &str) -> CodeIssued {
    CodeIssued {
        to: to.to_owned(),
        channel: Channel::Email,
        link: None,
        code: "314159".to_owned(),
        purpose: Purpose::VerifyEmail,
        expires_at: BEGUN + Duration::from_secs(600),
    }
}

pub(crate) fn config(smtp: SocketAddr) -> Config {
    Config {
        smtp: format!("smtp://{smtp}"),
        smtp_user: None,
        smtp_password: None,
        from: "Vorota <no-reply@localhost>".to_owned(),
        base_url: "https://vorota.example".to_owned(),
        sms: SmsConfig::default(),
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
