//! The words about what has happened to an account.

use events::Notice;
use time::{OffsetDateTime, UtcOffset, macros::format_description};

use super::{Letter, Paragraph, Words};

/// Every notice.
#[cfg(test)]
pub(super) const ALL: [Notice; 18] = [
    Notice::NewDevice,
    Notice::PasswordChanged,
    Notice::PasswordReset,
    Notice::EmailChanged,
    Notice::PhoneChanged,
    Notice::SecondFactorAdded,
    Notice::SecondFactorRemoved,
    Notice::RecoveryCodesMade,
    Notice::RecoveryCodeUsed,
    Notice::IdentityLinked,
    Notice::IdentityRemoved,
    Notice::ApiKeyCreated,
    Notice::TokenReused,
    Notice::Frozen,
    Notice::Banned,
    Notice::Restored,
    Notice::ErasureDue,
    Notice::ExportReady,
];

const CHANGE_PASSWORD: &str = "If it was you, there is nothing to do. If it was not, change your password at once, and end the sessions that you do not know.";
const TAKE_BACK: &str = "If it was you, there is nothing to do. If it was not, somebody else is in your account: choose another password, and look at how it can be signed in to.";
const ASK: &str = "If you do not know why, write to the people who run the place.";
const UNDO: &str = "If it was not you, undo it here:";

/// Most of what comes from outside that is said.
const ABOUT: usize = 120;

/// What is said about one kind of notice.
struct Said {
    subject: &'static str,
    /// What has happened, to be followed by where and when.
    happened: &'static str,
    advice: &'static str,
    /// What the link is for, where there is one.
    link: &'static str,
    /// The same in a text, after the name.
    brief: &'static str,
}

/// What operators call it.
pub(super) fn kind(what: Notice) -> &'static str {
    match what {
        Notice::NewDevice => "new_device",
        Notice::PasswordChanged => "password_changed",
        Notice::PasswordReset => "password_reset",
        Notice::EmailChanged => "email_changed",
        Notice::PhoneChanged => "phone_changed",
        Notice::SecondFactorAdded => "second_factor_added",
        Notice::SecondFactorRemoved => "second_factor_removed",
        Notice::RecoveryCodesMade => "recovery_codes_made",
        Notice::RecoveryCodeUsed => "recovery_code_used",
        Notice::IdentityLinked => "identity_linked",
        Notice::IdentityRemoved => "identity_removed",
        Notice::ApiKeyCreated => "api_key_created",
        Notice::TokenReused => "token_reused",
        Notice::Frozen => "frozen",
        Notice::Banned => "banned",
        Notice::Restored => "restored",
        Notice::ErasureDue => "erasure_due",
        Notice::ExportReady => "export_ready",
    }
}

fn said(what: Notice) -> Said {
    match what {
        Notice::NewDevice => Said {
            subject: "A sign-in from a new device",
            happened: "Somebody signed in to your account from a device that was not seen before",
            advice: CHANGE_PASSWORD,
            link: UNDO,
            brief: "new sign-in from a device not seen before. Not you? Change your password.",
        },
        Notice::PasswordChanged => Said {
            subject: "Your password was changed",
            happened: "The password of your account was changed",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "your password was changed. Not you? Reset it at once.",
        },
        Notice::PasswordReset => Said {
            subject: "Your password was replaced",
            happened: "The password of your account was replaced by somebody who had proven your address",
            advice: "If it was you, there is nothing to do. If it was not, somebody reads your messages: secure those first, and then choose another password.",
            link: UNDO,
            brief: "your password was replaced. Not you? Reset it at once.",
        },
        Notice::EmailChanged => Said {
            subject: "Your address was changed",
            happened: "Your account has another address of mail now",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "your mail address was changed. Not you? Change your password.",
        },
        Notice::PhoneChanged => Said {
            subject: "Your phone number was changed",
            happened: "Your account has another phone number now",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "your phone number was changed. Not you? Change your password.",
        },
        Notice::SecondFactorAdded => Said {
            subject: "A second factor was added",
            happened: "A second factor was added to your account",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "a second factor was added. Not you? Change your password.",
        },
        Notice::SecondFactorRemoved => Said {
            subject: "A second factor was removed",
            happened: "A second factor was removed from your account",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "a second factor was removed. Not you? Change your password.",
        },
        Notice::RecoveryCodesMade => Said {
            subject: "New recovery codes were made",
            happened: "New recovery codes were made for your account, and the old ones are void",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "new recovery codes were made. Not you? Change your password.",
        },
        Notice::RecoveryCodeUsed => Said {
            subject: "A recovery code was used",
            happened: "A recovery code was used to sign in to your account",
            advice: "If it was you, there is nothing to do; make new codes before they run out. If it was not, somebody has your codes and your password: change both.",
            link: UNDO,
            brief: "a recovery code was used. Not you? Change your password.",
        },
        Notice::IdentityLinked => Said {
            subject: "Another account was linked to yours",
            happened: "An account with another provider may sign in to yours from now on",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "another provider's account was linked to yours. Not you? Change your password.",
        },
        Notice::IdentityRemoved => Said {
            subject: "A linked account was removed",
            happened: "An account with another provider may not sign in to yours any more",
            advice: TAKE_BACK,
            link: UNDO,
            brief: "a linked account was removed from yours. Not you? Change your password.",
        },
        Notice::ApiKeyCreated => Said {
            subject: "A key for programs was made",
            happened: "A key was made that lets programs act for you",
            advice: "If it was you, there is nothing to do. If it was not, take the key back, change your password, and end the sessions that you do not know.",
            link: UNDO,
            brief: "a key for programs was made. Not you? Change your password.",
        },
        Notice::TokenReused => Said {
            subject: "A session was ended",
            happened: "A session of yours was ended, because what keeps it signed in was used twice: it may have been copied",
            advice: "Sign in again where you were. If it happens again, look at that device, and change your password from another one.",
            link: UNDO,
            brief: "a session was ended, as it may have been copied. Not sure why? Change your password.",
        },
        Notice::Frozen => Said {
            subject: "Your account was frozen",
            happened: "Your account was frozen: you can look into it and do nothing with it",
            advice: ASK,
            link: "More about it:",
            brief: "your account was frozen.",
        },
        Notice::Banned => Said {
            subject: "Your account was closed",
            happened: "Your account was banned: nobody can sign in to it",
            advice: ASK,
            link: "More about it:",
            brief: "your account was closed.",
        },
        Notice::Restored => Said {
            subject: "Your account is open again",
            happened: "Your account is as it was before it was frozen or banned",
            advice: "There is nothing to do.",
            link: "More about it:",
            brief: "your account is open again.",
        },
        Notice::ErasureDue => Said {
            subject: "Your account will be erased",
            happened: "Your account is going to be erased, as was asked",
            advice: "If you want that, there is nothing to do. If you do not, sign in and say so before it happens.",
            link: "To keep your account:",
            brief: "your account will be erased, as was asked. To keep it, sign in and say so.",
        },
        Notice::ExportReady => Said {
            subject: "Your data can be fetched",
            happened: "A copy of all that is known of your account can be fetched",
            advice: "If you did not ask for it, change your password at once.",
            link: "Fetch it here:",
            brief: "a copy of your data can be fetched. Not asked for? Change your password.",
        },
    }
}

impl Words {
    pub(super) fn notice_letter(
        &self,
        what: Notice,
        at: OffsetDateTime,
        about: Option<&str>,
        undo: Option<&str>,
    ) -> Letter {
        let Said {
            subject,
            happened,
            advice,
            link,
            ..
        } = said(what);
        let (base_url, at) = (&self.base_url, date_and_time(at));
        let mut paragraphs = vec![Paragraph::Says(format!(
            "{happened}. It was at {base_url}, on {at} UTC."
        ))];
        if let Some(about) = about.map(as_words).filter(|about| !about.is_empty()) {
            paragraphs.push(Paragraph::Says(format!("What is known of it: {about}")));
        }
        paragraphs.push(Paragraph::says(advice));
        if let Some(url) = undo.and_then(|path| self.link(path)) {
            paragraphs.push(Paragraph::Link(link, url));
        }
        Letter::of(subject, &paragraphs)
    }

    /// Without what comes from outside: a text has no room for it, and no way to mark it as such.
    pub(super) fn notice_text(&self, what: Notice) -> String {
        match self.name.trim_end() {
            "" => format!("About your account: {}", said(what).brief),
            name => format!("{name}: {}", said(what).brief),
        }
    }
}

/// What comes from outside as one line of words that no program makes a link of: whoever names their
/// device `visit evil.example` must not have us recommend it.
fn as_words(about: &str) -> String {
    let mut words = String::new();
    let mut letters = about.chars().take(ABOUT).peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '/' if letters.peek() == Some(&'/') => {}
            letter if letter.is_control() || is_hidden(letter) => words.push(' '),
            letter => words.push(letter),
        }
        let dot_in_a_name =
            letter == '.' && letters.peek().is_some_and(|next| next.is_alphabetic());
        if dot_in_a_name || letter == '@' {
            words.push(' ');
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that take no room and turn or hide their neighbours.
fn is_hidden(letter: char) -> bool {
    matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn date_and_time(at: OffsetDateTime) -> String {
    let date_and_time =
        format_description!("[day padding:none] [month repr:long] [year] at [hour]:[minute]");
    at.to_offset(UtcOffset::UTC)
        .format(date_and_time)
        .expect("every time has a date and an hour")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use time::macros::datetime;

    use super::super::{Content, tests::words};
    use super::*;

    fn content(what: Notice, about: Option<&str>, undo: Option<&str>) -> Content {
        Content::Notice {
            what,
            at: datetime!(2026-01-02 03:04:05 +02:00),
            about: about.map(str::to_owned),
            undo: undo.map(str::to_owned),
        }
    }

    #[test]
    fn a_notice_tells_what_happened_and_how_to_undo_it() {
        let letter = words().letter(&content(
            Notice::EmailChanged,
            Some("Firefox 140.0 on Linux"),
            Some("/undo?token=abc"),
        ));
        assert_eq!(letter.subject, "Your address was changed");
        expect![[r#"
            Your account has another address of mail now. It was at https://vorota.example, on 2 January 2026 at 01:04 UTC.

            What is known of it: Firefox 140.0 on Linux

            If it was you, there is nothing to do. If it was not, somebody else is in your account: choose another password, and look at how it can be signed in to.

            If it was not you, undo it here:
            https://vorota.example/undo?token=abc
        "#]]
        .assert_eq(&letter.text);
    }

    /// Security case 28: what comes from outside is text, adds no link and no line.
    #[test]
    fn users_28_what_comes_from_outside_stays_text() {
        for (about, said) in [
            ("Firefox 140.0 on Linux", "Firefox 140.0 on Linux"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("a\r\nSubject: b\r\n\r\nc", "a Subject: b c"),
            (
                "visit https://evil.example/now",
                "visit https:/evil. example/now",
            ),
            ("write to eve@evil.example", "write to eve@ evil. example"),
            ("{{config}} %s {0}", "{{config}} %s {0}"),
            ("\u{202E}gnp.exe", "gnp. exe"),
            ("  ", ""),
        ] {
            assert_eq!(as_words(about), said, "{about:?}");
        }
        let hostile = content(Notice::NewDevice, Some("<script>\"'&{{x}}"), None);
        let letter = words().letter(&hostile);
        assert!(
            letter
                .html
                .contains("&lt;script&gt;&quot;&#39;&amp;{{x}}</p>"),
            "{}",
            letter.html
        );
        assert!(as_words(&"x".repeat(1000)).len() == ABOUT);
    }

    #[test]
    fn a_text_tells_the_same_in_a_few_words() {
        let texts: String = ALL
            .iter()
            .map(|what| words().text(&content(*what, Some("Firefox"), Some("/undo"))) + "\n")
            .collect();
        expect![[r#"
            Vorota: new sign-in from a device not seen before. Not you? Change your password.
            Vorota: your password was changed. Not you? Reset it at once.
            Vorota: your password was replaced. Not you? Reset it at once.
            Vorota: your mail address was changed. Not you? Change your password.
            Vorota: your phone number was changed. Not you? Change your password.
            Vorota: a second factor was added. Not you? Change your password.
            Vorota: a second factor was removed. Not you? Change your password.
            Vorota: new recovery codes were made. Not you? Change your password.
            Vorota: a recovery code was used. Not you? Change your password.
            Vorota: another provider's account was linked to yours. Not you? Change your password.
            Vorota: a linked account was removed from yours. Not you? Change your password.
            Vorota: a key for programs was made. Not you? Change your password.
            Vorota: a session was ended, as it may have been copied. Not sure why? Change your password.
            Vorota: your account was frozen.
            Vorota: your account was closed.
            Vorota: your account is open again.
            Vorota: your account will be erased, as was asked. To keep it, sign in and say so.
            Vorota: a copy of your data can be fetched. Not asked for? Change your password.
        "#]].assert_eq(&texts);
        let nameless = Words::new("https://vorota.example", Some("Ворота")).expect("a base URL");
        assert_eq!(
            nameless.text(&content(Notice::Restored, None, None)),
            "About your account: your account is open again."
        );
    }

    #[test]
    fn operators_and_events_call_a_notice_alike() {
        for what in ALL {
            let name = serde_json::to_value(what).expect("plain data");
            assert_eq!(name, kind(what));
        }
    }
}
