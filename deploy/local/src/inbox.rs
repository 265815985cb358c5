//! The development inbox: takes every mail by SMTP, keeps the newest in memory and shows them to
//! people and to tests. It delivers nothing onwards and listens on loopback alone.

mod page;
mod receive;
mod session;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use mail_parser::MessageParser;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{net::TcpListener, task::JoinSet};

use session::Envelope;

/// How many messages are kept; the oldest go first.
const KEPT: usize = 200;
/// How much of one message's text is kept, in bytes.
const TEXT_KEPT: usize = 64 * 1024;

/// One mail as one recipient got it.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// The recipient's address, from the SMTP envelope.
    pub to: String,
    /// The subject, decoded; empty when there is none.
    pub subject: String,
    /// The plain text, or the text of the HTML where there is nothing else.
    pub text: String,
    /// When it arrived: RFC 3339, UTC.
    pub at: String,
}

/// The running inbox. Dropping it closes both ports and forgets the messages.
#[derive(Debug)]
pub struct Inbox {
    smtp: SocketAddr,
    page: SocketAddr,
    mailbox: Mailbox,
    _tasks: JoinSet<()>,
}

impl Inbox {
    /// Binds both listeners; port 0 takes a free one.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn start(smtp: SocketAddr, page: SocketAddr) -> anyhow::Result<Self> {
        let smtp = TcpListener::bind(smtp)
            .await
            .with_context(|| format!("bind the inbox's SMTP port {smtp}"))?;
        let page = TcpListener::bind(page)
            .await
            .with_context(|| format!("bind the inbox's page {page}"))?;
        let (smtp_address, page_address) = (smtp.local_addr()?, page.local_addr()?);
        let mailbox = Mailbox::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(receive::serve(smtp, mailbox.clone()));
        tasks.spawn(page::serve(page, mailbox.clone()));
        Ok(Self {
            smtp: smtp_address,
            page: page_address,
            mailbox,
            _tasks: tasks,
        })
    }

    /// Where mail is taken.
    #[must_use]
    pub fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// Where people and programs read.
    #[must_use]
    pub fn page(&self) -> SocketAddr {
        self.page
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.page)
    }

    /// Everything that is kept, newest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.mailbox.newest_first()
    }
}

/// What has arrived, oldest first.
#[derive(Clone, Debug, Default)]
struct Mailbox(Arc<Mutex<VecDeque<Message>>>);

impl Mailbox {
    fn newest_first(&self) -> Vec<Message> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .rev()
            .cloned()
            .collect()
    }

    fn deliver(&self, envelope: Envelope) {
        let at = OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .expect("UTC has a place in RFC 3339");
        let (subject, text) = read(&envelope.data);
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for to in envelope.recipients {
            if messages.len() == KEPT {
                messages.pop_front();
            }
            messages.push_back(Message {
                to,
                subject: subject.clone(),
                text: text.clone(),
                at: at.clone(),
            });
        }
    }
}

/// Subject and text of a message as it came over the wire, however odd it is.
fn read(data: &[u8]) -> (String, String) {
    let (subject, mut text) = match MessageParser::default().parse(data) {
        Some(message) => (
            message.subject().unwrap_or_default().to_owned(),
            message.body_text(0).unwrap_or_default().into_owned(),
        ),
        None => (String::new(), String::from_utf8_lossy(data).into_owned()),
    };
    let mut end = text.len().min(TEXT_KEPT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    (subject, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_messages_go_first() {
        let mailbox = Mailbox::default();
        for n in 0..KEPT + 3 {
            mailbox.deliver(Envelope {
                recipients: vec![format!("{n}@example.com")],
                data: b"Subject: hi\r\n\r\nhello\r\n".to_vec(),
            });
        }
        let messages = mailbox.newest_first();
        assert_eq!(messages.len(), KEPT);
        assert_eq!(messages[0].to, "202@example.com");
        assert_eq!(messages[KEPT - 1].to, "3@example.com");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let data = format!(
            "Content-Type: text/plain; charset=utf-8\r\n\r\nx{}",
            "ü".repeat(TEXT_KEPT)
        );
        let (_, text) = read(data.as_bytes());
        assert_eq!(text.len(), TEXT_KEPT - 1);
        assert!(text.ends_with('ü'));
    }

    #[test]
    fn odd_messages_are_read_as_far_as_they_go() {
        for (data, subject, text) in [
            (&b""[..], "", ""),
            (b"Subject: =?utf-8?b?w7xiZXI=?=\r\n\r\nx", "über", "x"),
            (
                b"Subject: s\r\nContent-Type: text/html\r\n\r\n<p>a &amp; b</p>",
                "s",
                "a & b",
            ),
        ] {
            let (read_subject, read_text) = read(data);
            assert_eq!((read_subject.as_str(), read_text.trim()), (subject, text));
        }
    }
}
