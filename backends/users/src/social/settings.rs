//! What the operator says of the providers.

use host::Secret;
use serde::Deserialize;

/// `social` of the settings. A provider that is left out is not offered.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Social {
    /// Sign in with Google.
    #[serde(default)]
    pub google: Option<Google>,
    /// Sign in with Apple.
    #[serde(default)]
    pub apple: Option<Apple>,
    /// VK ID.
    #[serde(default)]
    pub vk: Option<Vk>,
    /// Addresses of pages that browsers may be sent back to, compared whole: without a fragment, and
    /// with the query if there is one.
    #[serde(default)]
    pub return_to: Vec<String>,
}

/// A client of Google's, as its console calls it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Google {
    /// Of the client of type "Web application".
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Whom ID tokens that apps bring may be meant for.
    #[serde(default)]
    pub native_client_ids: Vec<String>,
    /// Who signs. Another one is for tests, and for providers that speak as Google does.
    #[serde(default = "google_issuer")]
    pub issuer: String,
}

/// A client of Apple's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apple {
    /// The Services ID.
    pub client_id: String,
    /// The team's id.
    pub team_id: String,
    /// The id of the key below.
    pub key_id: String,
    /// The key for Sign in with Apple, as it is downloaded: P-256 in PKCS#8 PEM.
    pub private_key: Secret,
    /// Bundle ids of apps that bring ID tokens.
    #[serde(default)]
    pub native_client_ids: Vec<String>,
    /// Who signs. Another one is for tests.
    #[serde(default = "apple_issuer")]
    pub issuer: String,
}

/// An app of VK ID.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vk {
    /// The app's id: a number.
    pub client_id: String,
    /// The service key, of apps that VK ID calls confidential.
    #[serde(default)]
    pub service_token: Option<Secret>,
    /// Where VK ID is. Another place is for tests.
    #[serde(default = "vk_issuer")]
    pub issuer: String,
}

fn google_issuer() -> String {
    super::GOOGLE.to_owned()
}

fn apple_issuer() -> String {
    "https://appleid.apple.com".to_owned()
}

fn vk_issuer() -> String {
    "https://id.vk.ru".to_owned()
}
