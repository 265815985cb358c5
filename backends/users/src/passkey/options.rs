//! What we ask of browsers, in the JSON that `parseCreationOptionsFromJSON` and
//! `parseRequestOptionsFromJSON` read (WebAuthn Level 3, §5.1.9 and §5.1.10).

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    CEREMONY_TTL, client_data::Challenge, octets::Octets, public_key::ALGORITHMS,
    relying_party::RelyingParty,
};
use crate::account::Account;

/// What to ask `navigator.credentials.create()` for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasskeyCreation {
    public_key: CreationOptions,
}

/// What to ask `navigator.credentials.get()` for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasskeyRequest {
    public_key: RequestOptions,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreationOptions {
    rp: CreationParty,
    user: CreationUser,
    challenge: Octets,
    pub_key_cred_params: Vec<CredentialParameters>,
    /// Milliseconds.
    timeout: i64,
    /// The account's passkeys: one device needs no second.
    exclude_credentials: Vec<CredentialDescriptor>,
    authenticator_selection: AuthenticatorSelection,
    #[schema(pattern = "^none$")]
    attestation: &'static str,
    extensions: CreationExtensions,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RequestOptions {
    challenge: Octets,
    /// Milliseconds.
    timeout: i64,
    rp_id: String,
    /// The account's passkeys; empty where nobody was named, so that the browser offers its own.
    allow_credentials: Vec<CredentialDescriptor>,
    #[schema(pattern = "^required$")]
    user_verification: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct CreationParty {
    id: String,
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreationUser {
    id: Octets,
    name: String,
    display_name: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct CredentialParameters {
    #[serde(rename = "type")]
    #[schema(pattern = "^public-key$")]
    kind: &'static str,
    /// By its number in COSE.
    alg: i64,
}

/// A passkey, as a browser looks for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialDescriptor {
    #[serde(rename = "type")]
    #[schema(pattern = "^public-key$")]
    kind: &'static str,
    id: Octets,
    transports: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthenticatorSelection {
    #[schema(pattern = "^preferred$")]
    resident_key: &'static str,
    #[schema(pattern = "^required$")]
    user_verification: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreationExtensions {
    /// Asks whether the passkey can be found without a name being typed first.
    cred_props: bool,
}

/// A finger, a face or a PIN: without one a passkey is only a thing that was found.
const REQUIRED: &str = "required";

impl CredentialDescriptor {
    pub(super) fn new(credential_id: &[u8], transports: Vec<String>) -> Self {
        Self {
            kind: "public-key",
            id: Octets::from(credential_id),
            transports,
        }
    }
}

impl PasskeyCreation {
    pub(super) fn new(
        party: &RelyingParty,
        product: &str,
        account: &Account,
        challenge: &Challenge,
        known: Vec<CredentialDescriptor>,
    ) -> Self {
        let name = [&account.email, &account.phone]
            .into_iter()
            .flatten()
            .next();
        let name = name.cloned().unwrap_or_else(|| account.id.to_string());
        let parameters = ALGORITHMS.map(|alg| CredentialParameters {
            kind: "public-key",
            alg,
        });
        Self {
            public_key: CreationOptions {
                rp: CreationParty {
                    id: party.id().to_owned(),
                    name: product.to_owned(),
                },
                user: CreationUser {
                    id: Octets::from(&account.id.as_bytes()[..]),
                    display_name: name.clone(),
                    name,
                },
                challenge: Octets::from(&challenge[..]),
                pub_key_cred_params: parameters.into(),
                timeout: timeout_ms(),
                exclude_credentials: known,
                authenticator_selection: AuthenticatorSelection {
                    resident_key: "preferred",
                    user_verification: REQUIRED,
                },
                attestation: "none",
                extensions: CreationExtensions { cred_props: true },
            },
        }
    }
}

impl PasskeyRequest {
    pub(super) fn new(
        party: &RelyingParty,
        challenge: &Challenge,
        known: Vec<CredentialDescriptor>,
    ) -> Self {
        Self {
            public_key: RequestOptions {
                challenge: Octets::from(&challenge[..]),
                timeout: timeout_ms(),
                rp_id: party.id().to_owned(),
                allow_credentials: known,
                user_verification: REQUIRED,
            },
        }
    }
}

fn timeout_ms() -> i64 {
    CEREMONY_TTL.whole_seconds() * 1000
}
