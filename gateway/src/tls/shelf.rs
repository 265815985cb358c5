use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::{Fingerprint, Pair, name};

/// A certificate that a listener can show.
pub struct Certificate {
    /// Its file, as the table writes it.
    pub file: String,
    /// The names that it proves, in lower case; a wildcard as `*.example.com`, an address as it is
    /// written.
    pub names: Vec<String>,
    /// When it begins and ends, in Unix seconds; `None` when that can't be read from it.
    pub validity: Option<(i64, i64)>,
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Takes a chain and its key.
    pub fn new(file: impl Into<String>, pair: &Pair) -> Self {
        let (names, validity) = name::of(&pair.chain[0]);
        let mut hash = Sha256::new();
        pair.add_to(&mut hash);
        Self {
            file: file.into(),
            names,
            validity,
            key: pair.certified.clone(),
            fingerprint: hash.finalize().into(),
        }
    }

    /// When it ends, in Unix seconds; 0 when that can't be read from it.
    pub fn expires(&self) -> i64 {
        self.validity.map_or(0, |(_, end)| end)
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// The certificates of a listener, by the names that they prove. The first is shown to who asks for
/// a name of none, or for no name.
pub struct Shelf {
    certificates: Vec<Certificate>,
    /// A name, or a wildcard without its `*`, to the certificate.
    by_name: HashMap<String, usize>,
}

impl Shelf {
    /// Of at least one certificate. When two prove one name, the first does.
    pub fn new(certificates: Vec<Certificate>) -> Self {
        let mut by_name = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
                let name = name.strip_prefix('*').unwrap_or(name);
                by_name.entry(name.to_owned()).or_insert(index);
            }
        }
        Self {
            certificates,
            by_name,
        }
    }

    /// All of them, in the order of the table.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificate that proves a host: one with its name comes before a wildcard. Hosts are in
    /// lower case and without port.
    pub fn owner(&self, host: &str) -> Option<usize> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // The keys of wildcards begin with a dot, as no host does.
        if host.starts_with('.') {
            return None;
        }
        if let Some(found) = self.by_name.get(host) {
            return Some(*found);
        }
        // A wildcard stands for one label (RFC 6125 §6.4.3).
        let dot = host.find('.')?;
        self.by_name.get(&host[dot..]).copied()
    }

    /// Whether a request for `host` came to the wrong connection (RFC 9110 §15.5.20): one that was
    /// made for another name. `asked` is the name that the client asked for in its handshake.
    ///
    /// A name that the certificate shown proves too is right: clients share connections that way
    /// (RFC 9113 §9.1.1). Who asked for no name at all may only not have what another certificate
    /// proves.
    pub fn misdirects(&self, asked: Option<&str>, host: &str) -> bool {
        let shown = asked.and_then(|name| self.owner(name)).unwrap_or(0);
        match (self.owner(host), asked) {
            (Some(owner), _) => owner != shown,
            (None, Some(name)) => name != host,
            (None, None) => false,
        }
    }
}

impl ResolvesServerCert for Shelf {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let owner = hello.server_name().and_then(|name| {
            // Nothing else allocates here, and names nearly always come in lower case.
            match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                true => self.owner(&name.to_ascii_lowercase()),
                false => self.owner(name),
            }
        });
        let certificate = self.certificates.get(owner.unwrap_or(0))?;
        Some(certificate.key.clone())
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.certificates.iter().map(|one| &one.names);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(names: &[&[&str]]) -> Shelf {
        let folder = crate::testing::Folder::new();
        let certificates = names.iter().map(|names| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
            let cert = folder.write("one.pem", &made.cert.pem());
            let key = folder.write("one.key", &made.signing_key.serialize_pem());
            Certificate::new("one.pem", &Pair::read(&cert, &key).expect("a pair"))
        });
        Shelf::new(certificates.collect())
    }

    #[test]
    fn a_name_comes_before_a_wildcard_and_a_wildcard_is_one_label() {
        let shelf = shelf(&[
            &["Main.test", "127.0.0.1", "::1"],
            &["*.example.test"],
            &["api.example.test"],
        ]);
        for (host, owner) in [
            ("main.test", Some(0)),
            ("127.0.0.1", Some(0)),
            ("[::1]", Some(0)),
            ("www.example.test", Some(1)),
            ("api.example.test", Some(2)),
            ("a.b.example.test", None),
            ("example.test", None),
            (".example.test", None),
            ("", None),
            ("other.test", None),
        ] {
            assert_eq!(shelf.owner(host), owner, "{host}");
        }
        assert!(shelf.certificates()[0].expires() > 1_700_000_000);
    }

    #[test]
    fn a_host_must_be_one_that_the_connection_was_made_for() {
        let shelf = shelf(&[
            &["main.test", "also.test"],
            &["*.example.test"],
            &["api.example.test"],
        ]);
        for (asked, host, misdirected) in [
            (Some("main.test"), "main.test", false),
            (Some("main.test"), "also.test", false),
            (Some("main.test"), "api.example.test", true),
            (Some("main.test"), "nobody.test", true),
            (Some("www.example.test"), "web.example.test", false),
            (Some("www.example.test"), "api.example.test", true),
            (Some("api.example.test"), "www.example.test", true),
            (Some("nobody.test"), "nobody.test", false),
            (Some("nobody.test"), "www.example.test", true),
            (None, "main.test", false),
            (None, "192.0.2.1", false),
            (None, "api.example.test", true),
        ] {
            assert_eq!(
                shelf.misdirects(asked, host),
                misdirected,
                "{asked:?} {host}"
            );
        }
    }
}
