//! The words around a code.

use events::Purpose;
use time::OffsetDateTime;

use super::{Letter, Paragraph, Words, clock_time};

/// Every purpose.
#[cfg(test)]
pub(super) const ALL: [Purpose; 9] = [
    Purpose::VerifyEmail,
    Purpose::VerifyPhone,
    Purpose::SignIn,
    Purpose::SecondFactor,
    Purpose::StepUp,
    Purpose::ResetPassword,
    Purpose::ChangeEmail,
    Purpose::ChangePhone,
    Purpose::LinkIdentity,
];

/// What is said about the codes of one purpose.
struct Said {
    subject: &'static str,
    /// What the code does: `It … at our place`.
    does: &'static str,
    /// What to do about a code that was not asked for.
    unasked: &'static str,
    /// The same in a text: `… is your code …`.
    to: &'static str,
    /// And what to do, in a text.
    beware: &'static str,
}

/// What operators call a code of this purpose.
pub(super) fn kind(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::VerifyEmail => "verify_email",
        Purpose::VerifyPhone => "verify_phone",
        Purpose::SignIn => "sign_in",
        Purpose::SecondFactor => "second_factor",
        Purpose::StepUp => "step_up",
        Purpose::ResetPassword => "reset_password",
        Purpose::ChangeEmail => "change_email",
        Purpose::ChangePhone => "change_phone",
        Purpose::LinkIdentity => "link_identity",
    }
}

fn said(purpose: Purpose) -> Said {
    match purpose {
        Purpose::VerifyEmail => Said {
            subject: "Your verification code",
            does: "proves that this address is yours",
            unasked: "If you did not ask for it, somebody mistyped their address: there is nothing to do.",
            to: "to prove your address",
            beware: "Not asked for? Ignore it.",
        },
        Purpose::VerifyPhone => Said {
            subject: "Your verification code",
            does: "proves that this phone number is yours",
            unasked: "If you did not ask for it, somebody mistyped their number: there is nothing to do.",
            to: "to prove your number",
            beware: "Not asked for? Ignore it.",
        },
        Purpose::SignIn => Said {
            subject: "Your code to sign in",
            does: "signs you in",
            unasked: "If you did not ask for it, somebody else has entered your address: tell them nothing, and there is nothing else to do.",
            to: "to sign in",
            beware: "Tell it to nobody.",
        },
        Purpose::SecondFactor => Said {
            subject: "Your code to finish signing in",
            does: "is the second proof of a sign-in whose first was right",
            unasked: "If you are not signing in, somebody knows your password: tell them nothing, and change it.",
            to: "to finish signing in",
            beware: "Not you? Change your password.",
        },
        Purpose::StepUp => Said {
            subject: "Your code to confirm that it is you",
            does: "confirms that it is you, before something that nobody else may do",
            unasked: "If you did not ask for it, somebody else is signed in to your account: end the sessions that you do not know, and change your password.",
            to: "to confirm that it is you",
            beware: "Not you? Change your password.",
        },
        Purpose::ResetPassword => Said {
            subject: "Your code to choose another password",
            does: "lets you choose another password",
            unasked: "If you did not ask for it, tell it to nobody, and your password stays as it is.",
            to: "to choose another password",
            beware: "Tell it to nobody.",
        },
        Purpose::ChangeEmail => Said {
            subject: "Your code to change your address",
            does: "makes this address the one of your account",
            unasked: "If you did not ask for it, somebody mistyped their address: there is nothing to do.",
            to: "to change your address",
            beware: "Not asked for? Ignore it.",
        },
        Purpose::ChangePhone => Said {
            subject: "Your code to change your phone number",
            does: "makes this phone number the one of your account",
            unasked: "If you did not ask for it, somebody mistyped their number: there is nothing to do.",
            to: "to change your number",
            beware: "Not asked for? Ignore it.",
        },
        Purpose::LinkIdentity => Said {
            subject: "Your code to link another account",
            does: "lets an account with another provider sign in to yours",
            unasked: "If you did not ask for it, tell it to nobody, and nothing is linked.",
            to: "to link another account",
            beware: "Tell it to nobody.",
        },
    }
}

impl Words {
    pub(super) fn code_letter(
        &self,
        code: &str,
        purpose: Purpose,
        expires_at: OffsetDateTime,
        link: Option<&str>,
    ) -> Letter {
        let Said {
            subject,
            does,
            unasked,
            ..
        } = said(purpose);
        let (base_url, until) = (&self.base_url, clock_time(expires_at));
        let mut paragraphs = vec![
            Paragraph::Says(format!("{subject} is {code}")),
            Paragraph::Says(format!(
                "It {does} at {base_url} and is good until {until} UTC."
            )),
        ];
        if let Some(url) = link.and_then(|path| self.link(path)) {
            paragraphs.push(Paragraph::Link("This link does the same:", url));
        }
        paragraphs.push(Paragraph::says(unasked));
        Letter::of(subject, &paragraphs)
    }

    /// The code comes first: a locked phone shows the beginning.
    pub(super) fn code_text(
        &self,
        code: &str,
        purpose: Purpose,
        expires_at: OffsetDateTime,
    ) -> String {
        let Said { to, beware, .. } = said(purpose);
        let until = clock_time(expires_at);
        format!(
            "{code} is your {}code {to}, good until {until} UTC. {beware}",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use time::macros::datetime;

    use super::super::{Content, tests::words};
    use super::*;

    fn content(code: &str, purpose: Purpose, link: Option<&str>) -> Content {
        Content::Code {
            code: code.to_owned(),
            purpose,
            expires_at: datetime!(2026-01-02 03:04:05 +02:00),
            link: link.map(str::to_owned),
        }
    }

    fn check(purpose: Purpose, link: Option<&str>, text: Expect) {
        text.assert_eq(&words().letter(&content("123456", purpose, link)).text);
    }

    #[test]
    fn a_code_is_told_with_its_end_and_its_link() {
        check(
            Purpose::VerifyEmail,
            None,
            expect![[r#"
                Your verification code is 123456

                It proves that this address is yours at https://vorota.example and is good until 01:04 UTC.

                If you did not ask for it, somebody mistyped their address: there is nothing to do.
            "#]],
        );
        check(
            Purpose::ResetPassword,
            Some("/reset?token=abc"),
            expect![[r#"
                Your code to choose another password is 123456

                It lets you choose another password at https://vorota.example and is good until 01:04 UTC.

                This link does the same:
                https://vorota.example/reset?token=abc

                If you did not ask for it, tell it to nobody, and your password stays as it is.
            "#]],
        );
    }

    #[test]
    fn a_code_cannot_write_the_html() {
        let hostile = content("<img src=x>&\"", Purpose::VerifyEmail, Some("/a?b=1&c='"));
        let html = words().letter(&hostile).html;
        assert!(
            html.contains("is &lt;img src=x&gt;&amp;&quot;</p>"),
            "{html}"
        );
        let link = "<a href=\"https://vorota.example/a?b=1&amp;c=&#39;\">";
        assert!(html.contains(link), "{html}");
    }

    #[test]
    fn a_text_begins_with_its_code_and_has_no_link() {
        let texts: String = ALL
            .iter()
            .map(|purpose| {
                words().text(&content("123456", *purpose, Some("/reset?token=abc"))) + "\n"
            })
            .collect();
        expect![[r#"
            123456 is your Vorota code to prove your address, good until 01:04 UTC. Not asked for? Ignore it.
            123456 is your Vorota code to prove your number, good until 01:04 UTC. Not asked for? Ignore it.
            123456 is your Vorota code to sign in, good until 01:04 UTC. Tell it to nobody.
            123456 is your Vorota code to finish signing in, good until 01:04 UTC. Not you? Change your password.
            123456 is your Vorota code to confirm that it is you, good until 01:04 UTC. Not you? Change your password.
            123456 is your Vorota code to choose another password, good until 01:04 UTC. Tell it to nobody.
            123456 is your Vorota code to change your address, good until 01:04 UTC. Not asked for? Ignore it.
            123456 is your Vorota code to change your number, good until 01:04 UTC. Not asked for? Ignore it.
            123456 is your Vorota code to link another account, good until 01:04 UTC. Tell it to nobody.
        "#]]
        .assert_eq(&texts);
    }

    #[test]
    fn operators_and_events_call_a_purpose_alike() {
        for purpose in ALL {
            let name = serde_json::to_value(purpose).expect("plain data");
            assert_eq!(name, kind(purpose));
        }
    }
}
