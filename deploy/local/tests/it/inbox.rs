//! The inbox with a real client, and with what no client should send.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{MultiPart, header::ContentType},
};
use local::{inbox::Inbox, probe};

async fn start() -> Inbox {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Inbox::start(any, any).await.expect("two free ports")
}

fn client(inbox: &Inbox) -> AsyncSmtpTransport<Tokio1Executor> {
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(inbox.smtp().port())
        .build()
}

fn letter(subject: &str) -> lettre::message::MessageBuilder {
    let builder = Message::builder().from("no-reply@localhost".parse().expect("an address"));
    builder
        .to("Bo <bo@example.com>".parse().expect("an address"))
        .subject(subject)
}

#[tokio::test]
async fn a_real_client_delivers_and_both_faces_show_it() {
    let inbox = start().await;
    let text = "Ваш код: 123456\n.a dot first\n..two\n<b>not bold</b>";
    let both = MultiPart::alternative_plain_html(text.to_owned(), "<p>other</p>".to_owned());
    let client = client(&inbox);
    let first = letter("Ключ <i>").multipart(both).expect("a message");
    client.send(first).await.expect("taken");
    let second = letter("second")
        .header(ContentType::TEXT_PLAIN)
        .body("x".to_owned())
        .expect("a message");
    client
        .send(second)
        .await
        .expect("taken on the same connection");

    let answer = read(&inbox, "/api/messages").await;
    let messages: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(messages[0]["subject"], "second", "newest first");
    assert_eq!(messages[1]["to"], "bo@example.com");
    assert_eq!(messages[1]["subject"], "Ключ <i>");
    let text_read = messages[1]["text"]
        .as_str()
        .expect("text")
        .replace("\r\n", "\n");
    assert_eq!(text_read.trim_end(), text);

    let page = read(&inbox, "/").await;
    assert!(
        page.contains("Ключ &lt;i&gt;") && page.contains("&lt;b&gt;not bold"),
        "{page}"
    );
}

#[tokio::test]
async fn the_page_is_strict_and_answers_only_to_loopback_names() {
    let inbox = start().await;
    let answer = probe::get(inbox.page(), "localhost:8025", "/")
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-security-policy: default-src 'none'"),
        "{}",
        answer.head
    );
    for name in ["evil.example", "127.0.0.1.evil.example:80", ""] {
        let rebound = probe::get(inbox.page(), name, "/api/messages")
            .await
            .expect("an answer");
        assert_eq!(rebound.status, 421, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_input_is_answered_and_never_ends_the_inbox() {
    let inbox = start().await;
    let address = inbox.smtp();
    tokio::task::spawn_blocking(move || {
        let mut raw = Raw::connect(address);
        assert_eq!(raw.say(b"GET / HTTP/1.1\r\n"), "500");
        assert_eq!(raw.say(b"\xff\x00\r\n"), "500");
        assert_eq!(raw.say(b"DATA\r\n"), "503");
        assert_eq!(raw.say(&[b'x'; 5000]), "500");
        assert_eq!(raw.answer(), "", "the connection is closed");

        // A client that goes away in the middle of a message leaves none.
        let mut raw = Raw::connect(address);
        raw.say(b"MAIL FROM:<>\r\n");
        raw.say(b"RCPT TO:<half@example.com>\r\n");
        assert_eq!(raw.say(b"DATA\r\n"), "354");
        raw.0.get_mut().write_all(b"half a mess").expect("sent");
        drop(raw);

        // Everything at once, with a line longer than the reader's piece and bare line feeds.
        let mut raw = Raw::connect(address);
        let long = "y".repeat(9000);
        let all = format!(
            "MAIL FROM:<>\r\nRCPT TO:<whole@example.com>\r\nDATA\r\n\r\n{long}\n.\nend\r\n.\r\nQUIT\r\n"
        );
        assert_eq!(raw.say(all.as_bytes()), "250");
        for code in ["250", "354", "250", "221", ""] {
            assert_eq!(raw.answer(), code);
        }
    })
    .await
    .expect("the conversation held");
    let messages = inbox.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].to, "whole@example.com");
    assert_eq!(messages[0].text.len(), 9000 + "\n.\nend\r\n".len());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let inbox = start().await;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let error = Inbox::start(inbox.smtp(), any)
        .await
        .expect_err("it is taken");
    assert!(
        error.to_string().contains(&inbox.smtp().to_string()),
        "{error}"
    );
}

async fn read(inbox: &Inbox, path: &str) -> String {
    let answer = probe::get(inbox.page(), "127.0.0.1", path)
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
    answer.body
}

/// A client without manners.
struct Raw(BufReader<TcpStream>);

impl Raw {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        let mut raw = Self(BufReader::new(stream));
        assert_eq!(raw.answer(), "220");
        raw
    }

    fn say(&mut self, bytes: &[u8]) -> String {
        self.0.get_mut().write_all(bytes).expect("sent");
        self.answer()
    }

    /// The code of the next answer; nothing when the connection is closed.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        // A reset is how a server closes on input it has not read.
        let _ = self.0.read_line(&mut line);
        line.chars().take(3).collect()
    }
}
