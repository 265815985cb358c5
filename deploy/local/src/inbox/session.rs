//! The receiving half of SMTP (RFC 5321) as a plain machine: lines in, answers out.
//!
//! It announces no AUTH and no STARTTLS: it is loopback's, and takes anything from anybody.

/// The largest message taken, in bytes.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;
/// RFC 5321 asks for at least 100.
const MAX_RECIPIENTS: usize = 100;

/// A message and whom it is for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Envelope {
    pub(super) recipients: Vec<String>,
    pub(super) data: Vec<u8>,
}

/// What the machine wants done after a line.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// The line was part of a message.
    Silent,
    Say(String),
    SayAndClose(String),
    /// A message is complete: keep it, then say so.
    Deliver(Envelope, String),
}

#[derive(Debug, Default)]
pub(super) struct Session {
    sender_known: bool,
    envelope: Envelope,
    state: State,
}

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Command,
    /// Inside DATA: whether the last piece ended its line, and whether the message grew too large.
    Data {
        at_line_start: bool,
        too_large: bool,
    },
}

impl Session {
    pub(super) const GREETING: &str = "220 localhost development inbox\r\n";

    /// Takes one piece of input: a line with its end, or the first part of a line too long for the
    /// reader's buffer.
    pub(super) fn take(&mut self, piece: &[u8]) -> Step {
        match self.state {
            State::Command => self.command(piece),
            State::Data {
                at_line_start,
                too_large,
            } => self.data(piece, at_line_start, too_large),
        }
    }

    fn command(&mut self, piece: &[u8]) -> Step {
        let Some(line) = piece.strip_suffix(b"\n") else {
            return Step::SayAndClose(reply("500 line too long"));
        };
        let Ok(line) = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) else {
            return Step::Say(reply("500 not text"));
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let say = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.reset();
                return Step::Say(format!(
                    "250-localhost\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE {MAX_MESSAGE}\r\n"
                ));
            }
            "HELO" => {
                self.reset();
                "250 localhost"
            }
            "MAIL" => self.mail(rest),
            "RCPT" => self.recipient(rest),
            "DATA" if self.envelope.recipients.is_empty() => "503 say RCPT first",
            "DATA" => {
                self.state = State::Data {
                    at_line_start: true,
                    too_large: false,
                };
                "354 end with a dot on a line of its own"
            }
            "RSET" => {
                self.reset();
                "250 ok"
            }
            "NOOP" => "250 ok",
            "VRFY" => "252 will be taken",
            "QUIT" => return Step::SayAndClose(reply("221 bye")),
            _ => "500 unknown command",
        };
        Step::Say(reply(say))
    }

    fn mail(&mut self, rest: &str) -> &'static str {
        let Some((_, parameters)) = path(rest, "FROM:") else {
            return "501 MAIL FROM:<address>";
        };
        let size = parameters.split_ascii_whitespace().find_map(|parameter| {
            parameter
                .to_ascii_uppercase()
                .strip_prefix("SIZE=")?
                .parse::<usize>()
                .ok()
        });
        if size.is_some_and(|size| size > MAX_MESSAGE) {
            return "552 message too large";
        }
        self.reset();
        self.sender_known = true;
        "250 ok"
    }

    fn recipient(&mut self, rest: &str) -> &'static str {
        if !self.sender_known {
            return "503 say MAIL first";
        }
        match path(rest, "TO:") {
            Some((address, _)) if !address.is_empty() => {
                if self.envelope.recipients.len() == MAX_RECIPIENTS {
                    return "452 too many recipients";
                }
                self.envelope.recipients.push(address.to_owned());
                "250 ok"
            }
            _ => "501 RCPT TO:<address>",
        }
    }

    fn data(&mut self, piece: &[u8], at_line_start: bool, too_large: bool) -> Step {
        if at_line_start && piece == b".\r\n" {
            let envelope = std::mem::take(&mut self.envelope);
            self.reset();
            return if too_large {
                Step::Say(reply("552 message too large"))
            } else {
                Step::Deliver(envelope, reply("250 taken"))
            };
        }
        // The sender doubled a dot at a line's start. A line ends with CR LF and nothing else: were
        // a bare LF enough, a message could hold the end of itself and a second message.
        let unstuffed = if at_line_start {
            piece.strip_prefix(b".").unwrap_or(piece)
        } else {
            piece
        };
        let too_large = too_large || self.envelope.data.len() + unstuffed.len() > MAX_MESSAGE;
        if !too_large {
            self.envelope.data.extend_from_slice(unstuffed);
        }
        self.state = State::Data {
            at_line_start: piece.ends_with(b"\r\n"),
            too_large,
        };
        Step::Silent
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

fn reply(text: &str) -> String {
    format!("{text}\r\n")
}

/// The address in `FROM:<address> PARAMETERS` and what follows it.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let start = rest
        .get(..keyword.len())
        .filter(|start| start.eq_ignore_ascii_case(keyword))?;
    let (address, parameters) = rest[start.len()..]
        .trim_start()
        .strip_prefix('<')?
        .split_once('>')?;
    Some((address, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays lines and returns the code of each answer, and what was delivered.
    fn play(lines: &[&[u8]]) -> (Vec<String>, Vec<Envelope>) {
        let mut session = Session::default();
        let (mut codes, mut delivered) = (Vec::new(), Vec::new());
        for line in lines {
            let said = match session.take(line) {
                Step::Silent => continue,
                Step::Say(said) | Step::SayAndClose(said) => said,
                Step::Deliver(envelope, said) => {
                    delivered.push(envelope);
                    said
                }
            };
            assert!(said.ends_with("\r\n"), "{said:?}");
            codes.push(said[..3].to_owned());
        }
        (codes, delivered)
    }

    #[test]
    fn a_message_is_taken_with_its_dots() {
        let (codes, delivered) = play(&[
            b"EHLO me\r\n",
            b"mail from:<a@example.com> BODY=8BITMIME SIZE=10\r\n",
            b"RCPT TO: <b@example.com>\r\n",
            b"DATA\r\n",
            b"Subject: s\r\n",
            b"\r\n",
            b"..dot\r\n",
            b".lone\r\n",
            b".\r\n",
            b"QUIT\r\n",
        ]);
        assert_eq!(codes, ["250", "250", "250", "354", "250", "221"]);
        assert_eq!(delivered[0].recipients, ["b@example.com"]);
        assert_eq!(delivered[0].data, b"Subject: s\r\n\r\n.dot\r\nlone\r\n");
    }

    #[test]
    fn only_cr_lf_dot_cr_lf_ends_a_message() {
        let (codes, delivered) = play(&[
            b"HELO me\r\n",
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<b@example.com>\r\n",
            b"DATA\r\n",
            b"text\n",
            b".\n",
            b".\r\n",
            b"MAIL FROM:<smuggled@example.com>\r\n",
            b".\r\n",
        ]);
        assert_eq!(codes, ["250", "250", "250", "354", "250"]);
        assert_eq!(delivered.len(), 1);
        assert!(delivered[0].data.starts_with(b"text\n.\n.\r\n"));
    }

    #[test]
    fn what_is_out_of_order_or_too_much_is_refused() {
        let many: Vec<&[u8]> = std::iter::once(&b"MAIL FROM:<>\r\n"[..])
            .chain(std::iter::repeat_n(
                &b"RCPT TO:<b@example.com>\r\n"[..],
                MAX_RECIPIENTS + 1,
            ))
            .collect();
        assert_eq!(play(&many).0.last().map(String::as_str), Some("452"));
        for (line, code) in [
            (&b"DATA\r\n"[..], "503"),
            (b"RCPT TO:<b@example.com>\r\n", "503"),
            (b"MAIL FROM:<a@example.com> SIZE=99999999\r\n", "552"),
            (b"MAIL a@example.com\r\n", "501"),
            (b"MAIL FROM:<a\r\n", "501"),
            (b"STARTTLS\r\n", "500"),
            (b"\xff\xfe\r\n", "500"),
            (b"\r\n", "500"),
            (b"a line without end", "500"),
        ] {
            assert_eq!(play(&[line]).0, [code], "{line:?}");
        }
    }

    #[test]
    fn a_message_past_the_limit_is_refused_at_its_end_and_forgotten() {
        let mut session = Session::default();
        for line in [
            &b"MAIL FROM:<>\r\n"[..],
            b"RCPT TO:<b@example.com>\r\n",
            b"DATA\r\n",
        ] {
            session.take(line);
        }
        let piece = [b'x'; 4096];
        for _ in 0..=MAX_MESSAGE / piece.len() {
            assert_eq!(session.take(&piece), Step::Silent);
        }
        session.take(b"\r\n");
        assert_eq!(
            session.take(b".\r\n"),
            Step::Say("552 message too large\r\n".to_owned())
        );
        assert_eq!(
            session.take(b"DATA\r\n"),
            Step::Say("503 say RCPT first\r\n".to_owned())
        );
    }
}
