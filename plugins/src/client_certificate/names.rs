//! What a certificate calls its subject.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A name that a certificate can have, in the one form that names are compared in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Uri(String),
    Dns(String),
    Email(String),
    CommonName(String),
    Fingerprint([u8; 32]),
}

/// A certificate as far as it matters here.
pub(super) struct Certificate {
    pub(super) names: Vec<Subject>,
    pub(super) issuer: String,
    /// In Unix seconds, both included.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Subject {
    /// Reads a name as the route table says it. The error says what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains("://") {
            return Ok(Self::Uri(text.to_owned()));
        }
        match text.split_once(':') {
            Some(("dns", name)) if !name.is_empty() => Ok(Self::Dns(name.to_ascii_lowercase())),
            Some(("email", name)) if !name.is_empty() => Ok(Self::Email(name.to_owned())),
            Some(("cn", name)) if !name.is_empty() => Ok(Self::CommonName(name.to_owned())),
            Some(("sha256", digits)) => fingerprint(digits)
                .map(Self::Fingerprint)
                .ok_or("`sha256:` goes before 64 hex digits"),
            _ => Err("`spiffe://…` or another URI, `dns:…`, `email:…`, `cn:…` or `sha256:…`"),
        }
    }
}

/// With or without the colons that openssl writes.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|digit| *digit != ':').collect();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

impl Certificate {
    /// Reads a certificate; `None` when it is none.
    pub(super) fn read(der: &[u8], fingerprint: [u8; 32]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut names = vec![Subject::Fingerprint(fingerprint)];
        let alternatives = certificate.subject_alternative_name().ok()?;
        for name in alternatives
            .iter()
            .flat_map(|names| &names.value.general_names)
        {
            match name {
                GeneralName::URI(uri) => names.push(Subject::Uri((*uri).to_owned())),
                GeneralName::DNSName(name) => names.push(Subject::Dns(name.to_ascii_lowercase())),
                GeneralName::RFC822Name(name) => names.push(Subject::Email((*name).to_owned())),
                _ => {}
            }
        }
        let is_uri = |name: &&Subject| matches!(name, Subject::Uri(_));
        if names.iter().filter(is_uri).count() > 1 {
            let is_spiffe =
                |name: &Subject| matches!(name, Subject::Uri(uri) if uri.starts_with("spiffe://"));
            names.retain(|name| !is_spiffe(name));
        }
        // Of two common names nobody can say which one is meant.
        let mut common = certificate.subject().iter_common_name();
        if let (Some(name), None) = (common.next(), common.next())
            && let Ok(name) = name.as_str()
        {
            names.push(Subject::CommonName(name.to_owned()));
        }
        Some(Self {
            names,
            issuer: certificate.issuer().to_string(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}
