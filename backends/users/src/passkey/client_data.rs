//! What the browser says of a ceremony (WebAuthn Level 3, §5.8.1): which one, of whose challenge, on
//! whose page. The authenticator signs its hash, so nobody in between can say otherwise.

use serde::Deserialize;

use super::{Flaw, octets::Octets, relying_party::RelyingParty};

/// How many random bytes a challenge has (§13.4.3 asks for 16 at least).
pub(super) const CHALLENGE_LEN: usize = 32;

/// What a ceremony asks for.
pub(super) type Challenge = [u8; CHALLENGE_LEN];

/// The two ceremonies. A signature of one must never count in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// A new passkey is made.
    Create,
    /// A passkey proves somebody.
    Get,
}

impl Ceremony {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

// Browsers may say more as the years go by, and are told to (§5.8.1): what is unknown is no mistake.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    #[serde(rename = "type")]
    ceremony: String,
    challenge: Octets,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

impl ClientData {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Flaw> {
        serde_json::from_slice(json).map_err(|_| Flaw::Malformed("clientDataJSON"))
    }

    /// The challenge that was answered, if it can be one of ours.
    pub(super) fn challenge(&self) -> Result<Challenge, Flaw> {
        let bytes = self.challenge.0.as_slice();
        bytes.try_into().map_err(|_| Flaw::Challenge)
    }

    /// Steps 7 to 11 of §7.1 and 10 to 14 of §7.2, but for the challenge: the store has looked at it.
    pub(super) fn judge(&self, ceremony: Ceremony, party: &RelyingParty) -> Result<(), Flaw> {
        if self.ceremony != ceremony.name() {
            return Err(Flaw::Ceremony);
        }
        if !party.is_at(&self.origin) {
            return Err(Flaw::Origin);
        }
        // Nobody frames us: a ceremony in a frame of somebody else's page is a trick.
        if self.cross_origin || self.top_origin.is_some() {
            return Err(Flaw::Framed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_page_speaks_for_us_and_only_of_the_ceremony_at_hand() {
        let party = RelyingParty::new(
            "https://bank.example",
            &["https://app.bank.example".to_owned()],
        )
        .expect("a relying party");
        let challenge = "A".repeat(43);
        let check = |change: &str| {
            let text = format!(
                r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://bank.example"{change}}}"#
            );
            let data = ClientData::parse(text.as_bytes())?;
            data.challenge()?;
            data.judge(Ceremony::Get, &party)
        };
        assert_eq!(check(""), Ok(()));
        assert_eq!(check(r#","crossOrigin":false,"brandNew":{"a":1}"#), Ok(()));
        assert_eq!(check(r#","crossOrigin":true"#), Err(Flaw::Framed));
        assert_eq!(
            check(r#","topOrigin":"https://evil.example""#),
            Err(Flaw::Framed)
        );
        // Said twice: which of the two was meant?
        assert_eq!(
            check(r#","origin":"https://app.bank.example""#),
            Err(Flaw::Malformed("clientDataJSON"))
        );

        let of = |ceremony: &str, origin: &str, challenge: &str| {
            let text =
                format!(r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}"}}"#);
            let data = ClientData::parse(text.as_bytes())?;
            data.challenge()?;
            data.judge(Ceremony::Get, &party)
        };
        for (ceremony, origin, challenge, verdict) in [
            (
                "webauthn.get",
                "https://app.bank.example",
                &*challenge,
                Ok(()),
            ),
            (
                "webauthn.create",
                "https://bank.example",
                &challenge,
                Err(Flaw::Ceremony),
            ),
            ("", "https://bank.example", &challenge, Err(Flaw::Ceremony)),
            (
                "webauthn.get",
                "https://bank.example.evil.example",
                &challenge,
                Err(Flaw::Origin),
            ),
            (
                "webauthn.get",
                "https://evil.bank.example",
                &challenge,
                Err(Flaw::Origin),
            ),
            (
                "webauthn.get",
                "http://bank.example",
                &challenge,
                Err(Flaw::Origin),
            ),
            (
                "webauthn.get",
                "https://bank.example:8443",
                &challenge,
                Err(Flaw::Origin),
            ),
            (
                "webauthn.get",
                "https://bank.example/",
                &challenge,
                Err(Flaw::Origin),
            ),
            ("webauthn.get", "null", &challenge, Err(Flaw::Origin)),
            (
                "webauthn.get",
                "https://bank.example",
                "AAAA",
                Err(Flaw::Challenge),
            ),
            (
                "webauthn.get",
                "https://bank.example",
                "no base64!",
                Err(Flaw::Malformed("clientDataJSON")),
            ),
        ] {
            assert_eq!(
                of(ceremony, origin, challenge),
                verdict,
                "{ceremony} {origin} {challenge}"
            );
        }
    }
}
