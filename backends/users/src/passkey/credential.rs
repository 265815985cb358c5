//! What browsers bring: a credential as its `toJSON()` writes it (WebAuthn Level 3, §5.1). Fields
//! that are unknown here are passed over, since browsers add some as the years go by.

use ring::digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::octets::Octets;

/// A passkey that `navigator.credentials.create()` has made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewCredential {
    pub(super) id: Octets,
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "reading it is the check")]
    kind: CredentialType,
    pub(super) response: AttestationResponse,
    #[serde(default)]
    pub(super) client_extension_results: ExtensionResults,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttestationResponse {
    #[serde(rename = "clientDataJSON")]
    pub(super) client_data_json: Octets,
    pub(super) attestation_object: Octets,
    /// How browsers reach it.
    #[serde(default)]
    #[schema(max_items = 16)]
    transports: Vec<String>,
}

/// What a passkey that `navigator.credentials.get()` has found says to a challenge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assertion {
    pub(super) id: Octets,
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "reading it is the check")]
    kind: CredentialType,
    pub(super) response: AssertionResponse,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    pub(super) client_data_json: Octets,
    pub(super) authenticator_data: Octets,
    pub(super) signature: Octets,
    /// Whose it is, by the id that we gave them.
    pub(super) user_handle: Option<Octets>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtensionResults {
    #[serde(default)]
    pub(super) cred_props: CredProps,
}

/// What the browser knows of the passkey.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct CredProps {
    /// Whether it is found without a name being typed first.
    pub(super) rk: Option<bool>,
}

/// There is one kind of them.
#[derive(Debug, Deserialize, ToSchema)]
enum CredentialType {
    #[serde(rename = "public-key")]
    PublicKey,
}

/// What its owner calls a passkey: one line of up to 64 characters.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "work laptop")]
pub(crate) struct PasskeyName(String);

impl PasskeyName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PasskeyName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        let length = text.chars().count();
        if !(1..=64).contains(&length) || text.chars().any(char::is_control) {
            return Err("expected one line of 1 to 64 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

impl AttestationResponse {
    /// The ways that have a name (§5.8.4), once each: they are told to browsers again.
    pub(super) fn transports(&self) -> Vec<String> {
        let known = ["ble", "hybrid", "internal", "nfc", "smart-card", "usb"];
        let said = |way: &&str| self.transports.iter().any(|said| said == way);
        known.into_iter().filter(said).map(str::to_owned).collect()
    }
}

impl AssertionResponse {
    /// What was signed (§7.2, step 21): the authenticator's data, and the hash of the browser's.
    pub(super) fn signed(&self) -> Vec<u8> {
        let hash = digest::digest(&digest::SHA256, &self.client_data_json.0);
        [self.authenticator_data.0.as_slice(), hash.as_ref()].concat()
    }
}
