//! Ways to prove who one is, and how many of them are enough.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A way to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// Something that only they know.
    Password,
    /// A code that came by mail.
    EmailCode,
    /// The link of a mail.
    EmailLink,
    /// A code that came by text message.
    SmsCode,
    /// A code from an authenticator app.
    Totp,
    /// A key that its authenticator used after it had made sure of its owner.
    Passkey,
    /// A code from paper.
    RecoveryCode,
    /// The word of another provider.
    Social,
}

/// What can be enrolled as a second factor, or stand in for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An authenticator app (RFC 6238).
    Totp,
    /// A passkey.
    Passkey,
    /// A code by text message, to the account's number.
    Sms,
    /// A code by mail, to the account's address.
    Email,
    /// One of the codes that were printed.
    RecoveryCode,
    /// The password, where the first proof was another one.
    Password,
}

/// What somebody must have at hand for a proof. Two proofs from one thing are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Memory,
    Mailbox,
    Phone,
    App,
    Key,
    Paper,
    Provider,
}

impl Factor {
    const ALL: [Self; 8] = [
        Self::Password,
        Self::EmailCode,
        Self::EmailLink,
        Self::SmsCode,
        Self::Totp,
        Self::Passkey,
        Self::RecoveryCode,
        Self::Social,
    ];

    /// Its name where it is kept.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::EmailCode => "email_code",
            Self::EmailLink => "email_link",
            Self::SmsCode => "sms_code",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::RecoveryCode => "recovery_code",
            Self::Social => "social",
        }
    }

    /// The factor of a name; none for one that a newer version has written.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.name() == name)
    }

    /// Its names in the `amr` claim: those of RFC 8176, and `fed` for the one that it lacks.
    fn amr(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["pwd"],
            Self::EmailCode | Self::EmailLink | Self::Totp | Self::RecoveryCode => &["otp"],
            Self::SmsCode => &["sms"],
            // Proof of possession, after the authenticator has made sure of its user.
            Self::Passkey => &["pop", "user"],
            Self::Social => &["fed"],
        }
    }

    fn thing(self) -> Thing {
        match self {
            Self::Password => Thing::Memory,
            Self::EmailCode | Self::EmailLink => Thing::Mailbox,
            Self::SmsCode => Thing::Phone,
            Self::Totp => Thing::App,
            Self::Passkey => Thing::Key,
            Self::RecoveryCode => Thing::Paper,
            Self::Social => Thing::Provider,
        }
    }

    /// What it is among those that are enrolled.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Password => Some(Kind::Password),
            Self::EmailCode | Self::EmailLink => Some(Kind::Email),
            Self::SmsCode => Some(Kind::Sms),
            Self::Totp => Some(Kind::Totp),
            Self::Passkey => Some(Kind::Passkey),
            Self::RecoveryCode => Some(Kind::RecoveryCode),
            Self::Social => None,
        }
    }
}

impl Kind {
    fn thing(self) -> Thing {
        match self {
            Self::Totp => Thing::App,
            Self::Passkey => Thing::Key,
            Self::Sms => Thing::Phone,
            Self::Email => Thing::Mailbox,
            Self::RecoveryCode => Thing::Paper,
            Self::Password => Thing::Memory,
        }
    }
}

/// What an account can prove itself with, beside its first proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enrolled {
    /// Second factors: `totp`, `passkey`, `sms`, `email`.
    pub(crate) kinds: Vec<Kind>,
    /// Whether a recovery code is left.
    pub(crate) has_recovery_codes: bool,
    /// Whether there is a password.
    pub(crate) has_password: bool,
}

impl Enrolled {
    /// Whether a second factor is asked for at all.
    pub(crate) fn any(&self) -> bool {
        !self.kinds.is_empty()
    }
}

/// What the gate makes of what was proven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Enough,
    /// One of these is still due.
    Due(Vec<Kind>),
}

/// Judges what was proven against what the account has enrolled. A passkey is two proofs in one: the
/// thing, and what its authenticator asked of its owner. Otherwise an account with a second factor
/// wants two proofs from two things, one of them enrolled.
pub(crate) fn judge(proven: &[Factor], enrolled: &Enrolled) -> Verdict {
    if !enrolled.any() || is_strong(proven) && has_second(proven, enrolled) {
        return Verdict::Enough;
    }
    let mut offered = enrolled.kinds.clone();
    if enrolled.has_recovery_codes {
        offered.push(Kind::RecoveryCode);
    }
    if enrolled.has_password && has_second(proven, enrolled) {
        offered.push(Kind::Password);
    }
    offered.retain(|kind| proven.iter().all(|factor| factor.thing() != kind.thing()));
    offered.sort_unstable();
    // Whoever has one thing alone, and has shown it, has shown all there is.
    if offered.is_empty() {
        Verdict::Enough
    } else {
        Verdict::Due(offered)
    }
}

/// What a fresh proof can be given with in a session: a second factor where one is enrolled, else
/// whatever one signs in with.
pub(crate) fn fresh_kinds(enrolled: &Enrolled, reach: &[Kind]) -> Vec<Kind> {
    let mut kinds = enrolled.kinds.clone();
    if enrolled.any() && enrolled.has_recovery_codes {
        kinds.push(Kind::RecoveryCode);
    }
    if !enrolled.any() {
        kinds.extend(enrolled.has_password.then_some(Kind::Password));
        kinds.extend(reach);
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn has_second(proven: &[Factor], enrolled: &Enrolled) -> bool {
    proven.iter().any(|factor| {
        *factor == Factor::RecoveryCode
            || factor
                .kind()
                .is_some_and(|kind| enrolled.kinds.contains(&kind))
    })
}

/// Two proofs from two things, or a passkey.
fn is_strong(proven: &[Factor]) -> bool {
    let first = proven.first().map(|factor| factor.thing());
    proven.contains(&Factor::Passkey) || proven.iter().any(|factor| Some(factor.thing()) != first)
}

/// The `acr` claim: `mfa` for two things, else `sfa`.
pub(crate) fn acr(proven: &[Factor]) -> &'static str {
    if is_strong(proven) { "mfa" } else { "sfa" }
}

/// The `amr` claim.
pub(crate) fn amr(proven: &[Factor]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in proven.iter().flat_map(|factor| factor.amr()) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    if is_strong(proven) {
        names.push("mfa");
    }
    names
}

/// The factors of kept names.
pub(crate) fn read(names: &[String]) -> Vec<Factor> {
    names
        .iter()
        .filter_map(|name| Factor::named(name))
        .collect()
}

/// The names of factors, to be kept.
pub(crate) fn names(factors: &[Factor]) -> Vec<String> {
    factors.iter().map(|it| it.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrolled(kinds: &[Kind]) -> Enrolled {
        Enrolled {
            kinds: kinds.to_vec(),
            has_recovery_codes: !kinds.is_empty(),
            has_password: true,
        }
    }

    #[test]
    fn every_way_in_meets_every_enrolment() {
        use Factor as F;
        use Kind as K;
        let due = |kinds: &[Kind]| Verdict::Due(kinds.to_vec());
        for (proven, kinds, verdict) in [
            // Nothing enrolled: one proof is enough.
            (&[F::Password][..], &[][..], Verdict::Enough),
            (&[F::Social], &[], Verdict::Enough),
            (&[F::EmailLink], &[], Verdict::Enough),
            // An app enrolled: each first proof wants it, or paper.
            (&[F::Password], &[K::Totp], due(&[K::Totp, K::RecoveryCode])),
            (
                &[F::EmailCode],
                &[K::Totp],
                due(&[K::Totp, K::RecoveryCode]),
            ),
            (&[F::SmsCode], &[K::Totp], due(&[K::Totp, K::RecoveryCode])),
            (&[F::Social], &[K::Totp], due(&[K::Totp, K::RecoveryCode])),
            (&[F::Password, F::Totp], &[K::Totp], Verdict::Enough),
            (&[F::Password, F::RecoveryCode], &[K::Totp], Verdict::Enough),
            (&[F::Social, F::Totp], &[K::Totp], Verdict::Enough),
            // Two proofs of which none is enrolled are not enough.
            (
                &[F::Password, F::SmsCode],
                &[K::Totp],
                due(&[K::Totp, K::RecoveryCode]),
            ),
            // Two proofs from one thing are one.
            (
                &[F::EmailCode, F::EmailLink],
                &[K::Email],
                due(&[K::RecoveryCode, K::Password]),
            ),
            (
                &[F::EmailCode],
                &[K::Email],
                due(&[K::RecoveryCode, K::Password]),
            ),
            (&[F::EmailCode, F::Password], &[K::Email], Verdict::Enough),
            (
                &[F::SmsCode],
                &[K::Sms, K::Email],
                due(&[K::Email, K::RecoveryCode, K::Password]),
            ),
            // A passkey is two in one, and asked for once it is there.
            (&[F::Passkey], &[K::Passkey, K::Totp], Verdict::Enough),
            (
                &[F::Password],
                &[K::Passkey],
                due(&[K::Passkey, K::RecoveryCode]),
            ),
        ] {
            assert_eq!(
                judge(proven, &enrolled(kinds)),
                verdict,
                "{proven:?} {kinds:?}"
            );
        }
    }

    #[test]
    fn who_has_one_thing_alone_has_shown_all_there_is() {
        let mailbox_alone = Enrolled {
            kinds: vec![Kind::Email],
            has_recovery_codes: false,
            has_password: false,
        };
        assert_eq!(judge(&[Factor::EmailCode], &mailbox_alone), Verdict::Enough);
    }

    #[test]
    fn tokens_say_what_was_proven_in_registered_words() {
        for (proven, acr_is, amr_is) in [
            (&[Factor::Password][..], "sfa", &["pwd"][..]),
            (
                &[Factor::Password, Factor::Totp],
                "mfa",
                &["pwd", "otp", "mfa"],
            ),
            (&[Factor::EmailCode, Factor::EmailLink], "sfa", &["otp"]),
            (&[Factor::Passkey], "mfa", &["pop", "user", "mfa"]),
            (&[], "sfa", &[]),
        ] {
            assert_eq!((acr(proven), &amr(proven)[..]), (acr_is, amr_is));
        }
    }

    #[test]
    fn names_are_read_again() {
        for factor in Factor::ALL {
            assert_eq!(Factor::named(factor.name()), Some(factor));
        }
        assert_eq!(
            read(&["password".into(), "palm_reading".into()]),
            [Factor::Password]
        );
    }

    #[test]
    fn a_fresh_proof_is_a_second_factor_where_there_is_one() {
        let bare = enrolled(&[]);
        assert_eq!(
            fresh_kinds(&bare, &[Kind::Email]),
            [Kind::Email, Kind::Password]
        );
        let with_app = enrolled(&[Kind::Totp]);
        assert_eq!(
            fresh_kinds(&with_app, &[Kind::Email]),
            [Kind::Totp, Kind::RecoveryCode]
        );
    }
}
