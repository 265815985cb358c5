//! The way to the mail server: connections are kept and used again, TLS is required.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use host::Secret;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError, PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
        response::Category,
    },
};
use url::Url;
use uuid::Uuid;

use crate::{Config, letter, refusal::Refusal};

/// Longest wait for one answer of the server.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Longest that one message may take with all its answers.
const SENT_WITHIN: Duration = Duration::from_secs(30);
/// Connections kept at most: as many as messages are sent at once.
pub(crate) const CONNECTIONS: u32 = 4;

/// The post office.
pub(crate) struct Post {
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Post {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let login = match (&config.smtp_user, &config.smtp_password) {
            (Some(user), Some(password)) => Some((user.as_str(), password)),
            (None, None) => None,
            _ => bail!("`smtp_user` and `smtp_password` go together"),
        };
        Self::to(&config.smtp, login, &config.from)
    }

    /// The way to a mail server, for letters that are `from` somebody.
    pub(crate) fn to(
        smtp: &str,
        login: Option<(&str, &Secret)>,
        from: &str,
    ) -> anyhow::Result<Self> {
        let from: Mailbox = from
            .parse()
            .context("reading `from`: write `Name <address>`")?;
        let url = Url::parse(smtp).context("reading `smtp`: write smtps://host or smtp://host")?;
        let host = url.host_str().context("reading `smtp`: it names no host")?;
        // Brackets are how URLs write an IPv6 address, and nobody else does.
        let host = host.trim_matches(['[', ']']);
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "`smtp` holds a name or password: they belong in `smtp_user` and `smtp_password`"
        );
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(TlsParameters::new(host.to_owned())?), 465),
            // Nobody listens on the way to this very machine, and a local relay has no certificate.
            "smtp" if letter::is_loopback(&url) => (Tls::None, 25),
            "smtp" => (Tls::Required(TlsParameters::new(host.to_owned())?), 587),
            other => bail!("reading `smtp`: {other}:// is neither smtps:// nor smtp://"),
        };
        let hello = ClientId::Domain(from.email.domain().to_owned());
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .hello_name(hello)
            .timeout(Some(ANSWERS_WITHIN))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS));
        if let Some((user, password)) = login {
            ensure!(
                url.scheme() == "smtps" || !letter::is_loopback(&url),
                "a password is not sent in clear: use smtps:// or another host"
            );
            transport = transport.credentials(Credentials::new(
                user.to_owned(),
                password.reveal().to_owned(),
            ));
        }
        Ok(Self {
            from,
            transport: transport.build(),
        })
    }

    /// Who letters are from, by name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.from.name.as_deref()
    }

    /// Brings a letter to the mail server. `id` becomes its Message-ID: should a crash let it go out
    /// twice, the reader's program shows it once.
    pub(crate) async fn send(
        &self,
        id: Uuid,
        to: &str,
        letter: letter::Letter,
    ) -> Result<(), Refusal> {
        let both = MultiPart::alternative_plain_html(letter.text, letter.html);
        self.bring(id, to, letter.subject, both).await
    }

    /// Brings what is a text message elsewhere to the mail server.
    pub(crate) async fn send_text(&self, id: Uuid, to: &str, text: &str) -> Result<(), Refusal> {
        let alone = MultiPart::mixed().singlepart(SinglePart::plain(text.to_owned()));
        self.bring(id, to, "Text message", alone).await
    }

    async fn bring(
        &self,
        id: Uuid,
        to: &str,
        subject: &str,
        body: MultiPart,
    ) -> Result<(), Refusal> {
        // Parsed, not pasted: an address with a line end in it is none, and cannot add a header.
        let to: Address = to
            .parse()
            .map_err(|_| Refusal::Final("no mail address".to_owned()))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(AutoSubmitted)
            .multipart(body)
            .map_err(|error| Refusal::Final(error.to_string()))?;
        match tokio::time::timeout(SENT_WITHIN, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(&error)),
            Err(_) => Err(Refusal::later(format!("not taken within {SENT_WITHIN:?}"))),
        }
    }
}

/// A 55x speaks of this mail (RFC 5321, 4.2.1); every other failure is the server's or the way's,
/// and will pass or be mended. The server's own words stay out: they may repeat the address.
fn judge(error: &SmtpError) -> Refusal {
    match error.status() {
        Some(code) if error.is_permanent() && code.category == Category::MailSystem => {
            Refusal::Final(format!("the mail server answers {code}"))
        }
        Some(code) => Refusal::later(format!("the mail server answers {code}")),
        None if error.is_timeout() => Refusal::later("the mail server does not answer".to_owned()),
        None if error.is_tls() => Refusal::later("no TLS with the mail server".to_owned()),
        None => Refusal::later("no conversation with the mail server".to_owned()),
    }
}

/// Tells programs that answer mail (holiday notices) to leave this alone: RFC 3834.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SmsConfig;

    // The connection pool minds its connections on the runtime.
    #[tokio::test]
    async fn a_way_without_tls_is_open_to_loopback_alone() {
        for (smtp, password, complaint) in [
            ("smtp://127.0.0.1:8026", false, ""),
            ("smtp://[::1]:8026", false, ""),
            ("smtp://localhost", false, ""),
            ("smtps://mail.example", true, ""),
            ("smtp://mail.example", true, ""),
            ("smtp://127.0.0.1:8026", true, "not sent in clear"),
            (
                "smtp://ann:secret@mail.example",
                false,
                "belong in `smtp_user`",
            ),
            ("http://mail.example", false, "neither smtps:// nor smtp://"),
            ("mail.example", false, "write smtps://host"),
        ] {
            let config = Config {
                smtp: smtp.to_owned(),
                smtp_user: password.then(|| "vorota".to_owned()),
                smtp_password: password.then(|| Secret::new("hush")),
                from: "Vorota <no-reply@localhost>".to_owned(),
                base_url: "https://localhost".to_owned(),
                sms: SmsConfig::default(),
            };
            match Post::new(&config) {
                Ok(_) => assert_eq!(complaint, "", "{smtp} was taken"),
                Err(error) => {
                    let error = format!("{error:#}");
                    assert!(
                        !complaint.is_empty() && error.contains(complaint),
                        "{smtp}: {error}"
                    );
                    assert!(
                        !error.contains("hush") && !error.contains("secret"),
                        "{error}"
                    );
                }
            }
        }
    }
}
