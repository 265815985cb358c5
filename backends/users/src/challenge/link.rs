//! The link of a mail: it proves by a click what the code proves by typing.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use events::Purpose;
use uuid::Uuid;

use crate::{code::CodeSeal, key::Tag};

/// 256 random bits, as text. It has no `Debug`.
pub(crate) struct LinkToken(String);

impl LinkToken {
    /// What a link brought, whatever it is.
    pub(crate) fn sent(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bits)))
    }

    pub(super) fn seal(&self, seal: &CodeSeal, flow_id: Uuid) -> Tag {
        seal.seal_text(flow_id, &self.0)
    }

    pub(super) fn fits(&self, seal: &CodeSeal, flow_id: Uuid, stored: Option<&[u8]>) -> bool {
        seal.text_fits(flow_id, &self.0, stored)
    }

    /// The path that the mail names. A second factor and a step-up go on where they were begun, so
    /// they have no link: a click elsewhere would prove nothing about who began it.
    pub(super) fn path(&self, purpose: Purpose, flow_id: Uuid) -> Option<String> {
        let page = match purpose {
            Purpose::VerifyEmail => "verify",
            Purpose::SignIn => "sign-in",
            Purpose::ResetPassword => "reset-password",
            Purpose::ChangeEmail => "change-email",
            Purpose::VerifyPhone
            | Purpose::ChangePhone
            | Purpose::SecondFactor
            | Purpose::StepUp
            | Purpose::LinkIdentity => return None,
        };
        Some(format!("/auth/{page}?flow={flow_id}&token={}", self.0))
    }
}
