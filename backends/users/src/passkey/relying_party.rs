//! For whom passkeys are made: a domain, and the pages that may ask for them. Both come from the
//! operator's settings, never from a request: a passkey that answers to whoever names himself in a
//! `Host` header is no better than a password.

use ring::digest;
use thiserror::Error;
use url::{Host, Url};

/// What an app on Android calls itself instead of a page's origin.
const ANDROID: &str = "android:apk-key-hash:";

/// The relying party of WebAuthn.
pub(crate) struct RelyingParty {
    /// Its domain: what a passkey is bound to for ever.
    id: String,
    id_hash: [u8; 32],
    /// Compared to the letter (§13.4.9).
    origins: Vec<String>,
}

/// Why the settings make no relying party.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum RelyingPartyError {
    #[error("{0:?} is no https:// address (http:// will do on localhost)")]
    Insecure(String),
    #[error("{0:?} has no domain: browsers make no passkeys for an address of numbers")]
    NoDomain(String),
    #[error("{0:?} lies outside {1}: browsers would refuse it")]
    Elsewhere(String, String),
    #[error("{0:?} is more than an origin: leave out what comes after the port")]
    NoOrigin(String),
}

impl RelyingParty {
    /// The relying party of `base_url`, asked for by its own pages, and by those of `others`.
    pub(crate) fn new(base_url: &str, others: &[String]) -> Result<Self, RelyingPartyError> {
        let (base, id) = page(base_url)?;
        let mut origins = vec![base.origin().ascii_serialization()];
        for other in others {
            if !other.starts_with(ANDROID) {
                let (url, domain) = page(other)?;
                if domain != id && !domain.ends_with(&format!(".{id}")) {
                    return Err(RelyingPartyError::Elsewhere(other.clone(), id));
                }
                if url.origin().ascii_serialization() != *other {
                    return Err(RelyingPartyError::NoOrigin(other.clone()));
                }
            }
            origins.push(other.clone());
        }
        let hash = digest::digest(&digest::SHA256, id.as_bytes());
        let id_hash = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok(Self {
            id,
            id_hash,
            origins,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_at(&self, origin: &str) -> bool {
        self.origins.iter().any(|ours| ours == origin)
    }

    pub(super) fn is_hashed_to(&self, hash: &[u8]) -> bool {
        hash == self.id_hash
    }
}

fn page(text: &str) -> Result<(Url, String), RelyingPartyError> {
    let insecure = || RelyingPartyError::Insecure(text.to_owned());
    let url = Url::parse(text).map_err(|_| insecure())?;
    let Some(Host::Domain(domain)) = url.host() else {
        return Err(RelyingPartyError::NoDomain(text.to_owned()));
    };
    let domain = domain.to_owned();
    let local = domain == "localhost" || domain.ends_with(".localhost");
    match url.scheme() {
        "https" => Ok((url, domain)),
        "http" if local => Ok((url, domain)),
        _ => Err(insecure()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relying_party_is_a_domain_and_pages_below_it() {
        let check = |base: &str, others: &[&str]| {
            let others: Vec<String> = others.iter().map(|&it| it.to_owned()).collect();
            RelyingParty::new(base, &others).map(|it| (it.id, it.origins.join(" ")))
        };
        let good = |id: &str, origins: &str| Ok((id.to_owned(), origins.to_owned()));
        assert_eq!(
            check("https://Bank.example:443/app/", &[]),
            good("bank.example", "https://bank.example")
        );
        assert_eq!(
            check("http://localhost:3000", &[]),
            good("localhost", "http://localhost:3000")
        );
        assert_eq!(
            check(
                "https://bank.example",
                &[
                    "https://app.bank.example:8443",
                    "android:apk-key-hash:Xk9_-0"
                ]
            ),
            good(
                "bank.example",
                "https://bank.example https://app.bank.example:8443 android:apk-key-hash:Xk9_-0"
            )
        );

        use RelyingPartyError::{Elsewhere, Insecure, NoDomain, NoOrigin};
        for (base, others, error) in [
            (
                "http://bank.example",
                &[][..],
                Insecure("http://bank.example".into()),
            ),
            ("bank.example", &[], Insecure("bank.example".into())),
            (
                "https://192.0.2.1",
                &[],
                NoDomain("https://192.0.2.1".into()),
            ),
            (
                "https://[2001:db8::1]",
                &[],
                NoDomain("https://[2001:db8::1]".into()),
            ),
            (
                "https://bank.example",
                &["https://evilbank.example"],
                Elsewhere("https://evilbank.example".into(), "bank.example".into()),
            ),
            (
                "https://bank.example",
                &["https://a.bank.example/"],
                NoOrigin("https://a.bank.example/".into()),
            ),
        ] {
            assert_eq!(check(base, others), Err(error), "{base} {others:?}");
        }
    }
}
