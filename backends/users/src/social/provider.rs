//! One provider: where a browser is sent, and what is made of what it brings back.

use std::fmt;

use axum::http::StatusCode;
use host::Secret;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use time::OffsetDateTime;
use url::Url;
use utoipa::ToSchema;

use super::{
    answer::Answer,
    apple,
    browser::{Halves, Return},
    directory::Directory,
    http::{Away, Http},
    id_token::{self, Expected, IdFault, Person},
    settings, vk,
};
use crate::{email::Email, key::Key};

/// Who can vouch for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum ProviderName {
    Google,
    Apple,
    Vk,
}

impl ProviderName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Apple => "apple",
            Self::Vk => "vk",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Google, Self::Apple, Self::Vk]
            .into_iter()
            .find(|name| name.as_str() == text)
    }

    /// As people know it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::Apple => "Apple",
            Self::Vk => "VK ID",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a provider has vouched for. Nothing else that it says gets any further than this.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Arrival {
    pub(crate) provider: ProviderName,
    /// With the subject, which account of theirs it is.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// As the provider tells it, for the person's own eyes.
    pub(crate) email: Option<String>,
    /// The same as one of ours, if the provider is the one who can know that it is the person's.
    pub(crate) proven_email: Option<String>,
    pub(crate) name: Option<String>,
    /// What ends the provider's permission, and the client that it was given to.
    pub(crate) refresh_token: Option<(String, String)>,
}

/// Why a provider's word is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error(transparent)]
    Away(#[from] Away),
    #[error("the browser was sent back by another provider")]
    MixUp,
    #[error("the provider does not take the code")]
    Code,
    #[error("what the token endpoint answered is no answer of one")]
    Malformed,
    #[error(transparent)]
    IdToken(#[from] IdFault),
    #[error("there is no way to bring a token of this provider")]
    NotNative,
}

/// One that is configured.
pub(super) struct Provider {
    pub(super) name: ProviderName,
    issuer: String,
    client_id: String,
    native_client_ids: Vec<String>,
    redirect_uri: String,
    way: Way,
    http: Http,
}

enum Way {
    Google(Directory, Secret),
    Apple(Directory, apple::Signer),
    Vk(vk::Places, Option<Secret>),
}

impl Provider {
    pub(super) fn google(
        settings: settings::Google,
        redirect_uri: String,
        http: Http,
    ) -> anyhow::Result<Self> {
        let directory = Directory::new(&settings.issuer, http.clone())?;
        Ok(Self {
            name: ProviderName::Google,
            issuer: settings.issuer,
            client_id: settings.client_id,
            native_client_ids: settings.native_client_ids,
            redirect_uri,
            way: Way::Google(directory, settings.client_secret),
            http,
        })
    }

    pub(super) fn apple(
        settings: settings::Apple,
        redirect_uri: String,
        http: Http,
    ) -> anyhow::Result<Self> {
        let directory = Directory::new(&settings.issuer, http.clone())?;
        let signer = apple::Signer::new(settings.team_id, settings.key_id, &settings.private_key)?;
        Ok(Self {
            name: ProviderName::Apple,
            issuer: settings.issuer,
            client_id: settings.client_id,
            native_client_ids: settings.native_client_ids,
            redirect_uri,
            way: Way::Apple(directory, signer),
            http,
        })
    }

    pub(super) fn vk(
        settings: settings::Vk,
        redirect_uri: String,
        http: Http,
    ) -> anyhow::Result<Self> {
        let places = vk::Places::new(&settings.issuer)?;
        Ok(Self {
            name: ProviderName::Vk,
            issuer: settings.issuer,
            client_id: settings.client_id,
            native_client_ids: Vec::new(),
            redirect_uri,
            way: Way::Vk(places, settings.service_token),
            http,
        })
    }

    pub(super) fn returns_by(&self) -> Return {
        match self.way {
            Way::Apple(..) => Return::Form,
            Way::Google(..) | Way::Vk(..) => Return::Link,
        }
    }

    /// Apps bring ID tokens of it.
    pub(super) fn is_native(&self) -> bool {
        !self.native_client_ids.is_empty()
    }

    /// Where a browser signs in there.
    pub(super) async fn authorization(
        &self,
        halves: &Halves,
        key: &Key,
        now: OffsetDateTime,
    ) -> Result<Url, Away> {
        let (mut url, scope) = match &self.way {
            Way::Google(directory, _) => (
                directory.description(now).await?.authorization.clone(),
                "openid email profile",
            ),
            Way::Apple(directory, _) => (
                directory.description(now).await?.authorization.clone(),
                "openid email name",
            ),
            Way::Vk(places, _) => (places.authorization.clone(), "vkid.personal_info email"),
        };
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", scope)
            .append_pair("state", &halves.state.text())
            .append_pair("code_challenge", &halves.challenge(key))
            .append_pair("code_challenge_method", "S256");
        match &self.way {
            Way::Google(..) => query.append_pair("nonce", &halves.nonce(key)),
            Way::Apple(..) => query
                .append_pair("nonce", &halves.nonce(key))
                // Apple's condition for telling name and address.
                .append_pair("response_mode", "form_post"),
            Way::Vk(..) => &mut query,
        };
        drop(query);
        Ok(url)
    }

    /// Changes a code for whom the provider vouches for.
    pub(super) async fn prove(
        &self,
        answer: &Answer,
        halves: &Halves,
        key: &Key,
        now: OffsetDateTime,
    ) -> Result<Arrival, ProviderError> {
        let code = answer.code.as_deref().ok_or(ProviderError::Code)?;
        match &self.way {
            Way::Google(directory, secret) => {
                self.check_issuer(directory, answer, now).await?;
                let secret = secret.reveal();
                self.change(directory, (code, secret), halves, key, now)
                    .await
            }
            Way::Apple(directory, signer) => {
                self.check_issuer(directory, answer, now).await?;
                let secret = signer.secret(&self.client_id, &self.issuer, now);
                let mut arrival = self
                    .change(directory, (code, &secret), halves, key, now)
                    .await?;
                arrival.name = answer.user.as_deref().and_then(apple::name).and_then(plain);
                Ok(arrival)
            }
            Way::Vk(places, secret) => {
                let device_id = answer.device_id.as_deref().ok_or(ProviderError::Code)?;
                self.change_at_vk(places, secret.as_ref(), (code, device_id), halves, key)
                    .await
            }
        }
    }

    /// A browser that another provider sent back brings a code of that provider's, which is none of
    /// ours to send here (RFC 9207). Each provider has a redirect URI of its own as well.
    async fn check_issuer(
        &self,
        directory: &Directory,
        answer: &Answer,
        now: OffsetDateTime,
    ) -> Result<(), ProviderError> {
        let told = directory.description(now).await?.tells_issuer;
        match &answer.iss {
            Some(issuer) if *issuer != self.issuer => Err(ProviderError::MixUp),
            None if told => Err(ProviderError::MixUp),
            _ => Ok(()),
        }
    }

    async fn change(
        &self,
        directory: &Directory,
        (code, secret): (&str, &str),
        halves: &Halves,
        key: &Key,
        now: OffsetDateTime,
    ) -> Result<Arrival, ProviderError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*self.redirect_uri),
            ("code_verifier", &*halves.verifier(key)),
            ("client_id", &*self.client_id),
            ("client_secret", secret),
        ];
        let tokens = self.tokens(directory, &form, now).await?;
        let id_token = tokens.id_token.ok_or(ProviderError::Malformed)?;
        let expected = Expected {
            issuers: &self.issuers(),
            client_ids: &[&*self.client_id],
            nonces: &[&*halves.nonce(key)],
            access_token: tokens.access_token.as_deref(),
            now: now.unix_timestamp(),
        };
        let person = self.verify(directory, &id_token, &expected, now).await?;
        Ok(self.arrival(person, tokens.refresh_token))
    }

    /// Asks for tokens. GoTrue once took an answer of 200 that held an error for a person without a
    /// name, and let everybody in as that one (GHSA-5hvv-9cqv-894r).
    async fn tokens(
        &self,
        directory: &Directory,
        form: &[(&str, &str)],
        now: OffsetDateTime,
    ) -> Result<Tokens, ProviderError> {
        let endpoint = directory.description(now).await?.token.clone();
        let answer = self.http.post(&endpoint, form).await?;
        let tokens: Tokens = answer.json().ok_or(ProviderError::Malformed)?;
        if answer.status != StatusCode::OK || tokens.error.is_some() {
            return Err(self.refused(&tokens));
        }
        Ok(tokens)
    }

    fn refused(&self, tokens: &Tokens) -> ProviderError {
        // Our own credentials are wrong: an operator's to mend, so they should find it in the log.
        let ours = [
            "invalid_client",
            "unauthorized_client",
            "redirect_uri_mismatch",
        ];
        match tokens.error.as_deref() {
            Some(error) if ours.contains(&error) => {
                tracing::error!(provider = %self.name, error, "a provider refuses our credentials");
                Away("it refuses our credentials".to_owned()).into()
            }
            _ => ProviderError::Code,
        }
    }

    /// Believes an ID token that an app brings. `code` is what Apple gave the app beside it.
    pub(super) async fn prove_native(
        &self,
        id_token: &str,
        nonces: &[&str],
        code: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Arrival, ProviderError> {
        let directory = match &self.way {
            Way::Google(directory, _) | Way::Apple(directory, _) if self.is_native() => directory,
            _ => return Err(ProviderError::NotNative),
        };
        let ids: Vec<&str> = std::iter::once(&self.client_id)
            .chain(&self.native_client_ids)
            .map(String::as_str)
            .collect();
        // An app on a phone asks Google for a token that is meant for us, and Apple for one that is
        // meant for itself. The web's own is no app's to bring at Apple.
        let client_ids = match self.way {
            Way::Apple(..) => &ids[1..],
            _ => &ids[..],
        };
        let expected = Expected {
            issuers: &self.issuers(),
            client_ids,
            nonces,
            access_token: None,
            now: now.unix_timestamp(),
        };
        let person = self.verify(directory, id_token, &expected, now).await?;
        let refresh_token = match (&self.way, code) {
            (Way::Apple(_, signer), Some(code)) => {
                let secret = signer.secret(&person.client_id, &self.issuer, now);
                let form = [
                    ("grant_type", "authorization_code"),
                    ("code", code),
                    ("client_id", &*person.client_id),
                    ("client_secret", &*secret),
                ];
                self.tokens(directory, &form, now).await?.refresh_token
            }
            _ => None,
        };
        Ok(self.arrival(person, refresh_token))
    }

    async fn verify(
        &self,
        directory: &Directory,
        id_token: &str,
        expected: &Expected<'_>,
        now: OffsetDateTime,
    ) -> Result<Person, ProviderError> {
        let kid = id_token::key_id(id_token)?;
        let key = directory.key(&kid, now).await?;
        let key = key.ok_or(IdFault::Signature)?;
        Ok(expected.verify(id_token, &key)?)
    }

    /// What `iss` may be. Google's tokens say it in either way, by its own documentation.
    fn issuers(&self) -> Vec<&str> {
        let mut issuers = vec![&*self.issuer];
        if self.issuer == super::GOOGLE {
            issuers.extend(self.issuer.strip_prefix("https://"));
        }
        issuers
    }

    fn arrival(&self, person: Person, refresh_token: Option<String>) -> Arrival {
        let email = person.email.as_deref().and_then(|it| Email::parse(it).ok());
        // Google knows whose its own mailboxes are, and those of organisations that it serves; of any
        // other address it knows only that somebody could read its mail once.
        let knows = match (self.name, &email) {
            (ProviderName::Google, Some(email)) => {
                person.hosted || email.as_str().ends_with("@gmail.com")
            }
            (ProviderName::Apple, _) => true,
            _ => false,
        };
        let proven = email
            .as_ref()
            .filter(|_| person.email_verified && knows)
            .map(|email| email.as_str().to_owned());
        // Of Google's we ask for none: what there is to end there is ended by the person.
        let refresh_token = refresh_token
            .filter(|token| self.name == ProviderName::Apple && !token.is_empty())
            .map(|token| (token, person.client_id));
        Arrival {
            provider: self.name,
            issuer: self.issuer.clone(),
            subject: person.subject,
            email: email.map(|email| email.as_str().to_owned()),
            proven_email: proven,
            name: person.name.and_then(plain),
            refresh_token,
        }
    }

    async fn change_at_vk(
        &self,
        places: &vk::Places,
        secret: Option<&Secret>,
        (code, device_id): (&str, &str),
        halves: &Halves,
        key: &Key,
    ) -> Result<Arrival, ProviderError> {
        let (verifier, state) = (halves.verifier(key), halves.state.text());
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &*verifier),
            ("redirect_uri", &*self.redirect_uri),
            ("client_id", &*self.client_id),
            ("device_id", device_id),
            ("state", &*state),
        ];
        form.extend(secret.map(|secret| ("service_token", secret.reveal())));
        let answer = self.http.post(&places.token, &form).await?;
        let grant = vk::grant(&answer, &state).ok_or(ProviderError::Code)?;
        let form = [
            ("client_id", &*self.client_id),
            ("access_token", &*grant.access_token),
        ];
        let answer = self.http.post(&places.person, &form).await?;
        let person = vk::person(&answer, grant.user_id).ok_or(ProviderError::Malformed)?;
        let email = person.email.as_deref().and_then(|it| Email::parse(it).ok());
        Ok(Arrival {
            provider: self.name,
            issuer: self.issuer.clone(),
            subject: grant.user_id.to_string(),
            email: email.map(|email| email.as_str().to_owned()),
            proven_email: None,
            name: plain(person.name),
            refresh_token: None,
        })
    }

    /// Ends a permission that the provider gave; `Ok` too when it was over already.
    pub(super) async fn revoke(
        &self,
        refresh_token: &str,
        client_id: &str,
        now: OffsetDateTime,
    ) -> Result<(), Away> {
        let Way::Apple(directory, signer) = &self.way else {
            return Ok(());
        };
        let description = directory.description(now).await?;
        let Some(endpoint) = &description.revocation else {
            return Err(Away("it names no revocation_endpoint".to_owned()));
        };
        let secret = signer.secret(client_id, &self.issuer, now);
        let form = [
            ("client_id", client_id),
            ("client_secret", &secret),
            ("token", refresh_token),
            ("token_type_hint", "refresh_token"),
        ];
        let answer = self.http.post(endpoint, &form).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            status => Err(Away(format!("its revocation_endpoint answered {status}"))),
        }
    }
}

/// What a code is changed for, or why not.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "error")]
    error: Option<String>,
}

/// Any `error` is one, whatever it looks like.
fn error<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(Some(match Said::deserialize(deserializer)? {
        Said::Text(text) => text,
        Said::Other(_) => String::new(),
    }))
}

/// A name as one line of up to 100 characters.
pub(super) fn plain(name: String) -> Option<String> {
    let seen = |c: &char| c.is_whitespace() || !c.is_control();
    let name: String = name.chars().filter(seen).take(200).collect();
    let words: Vec<&str> = name.split_whitespace().collect();
    let name: String = words.join(" ").chars().take(100).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        for (said, name) in [
            ("Ann Lee", Some("Ann Lee")),
            (" Ann\n \u{7}Lee\u{0} ", Some("Ann Lee")),
            ("  \n\u{7} ", None),
            ("", None),
        ] {
            assert_eq!(plain(said.to_owned()).as_deref(), name, "{said:?}");
        }
        let long = plain(format!("{} b", "я".repeat(99))).expect("a name");
        assert_eq!(long.chars().count(), 99);
        assert_eq!(plain("a".repeat(300)).map(|name| name.len()), Some(100));
    }
}
