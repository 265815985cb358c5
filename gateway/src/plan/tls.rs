use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::source::Source;
use crate::table::read::Part;
use crate::table::{self, TlsVersion};
use crate::tls::{Certificate, CertificateError, Clients, Pair, Served, Shelf, Towards, Version};

/// Compiles how a listener speaks TLS. `None` when that can't be had; why is found.
pub(super) fn served(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Tls,
    h2: bool,
) -> Option<Arc<Served>> {
    let mut certificates = Vec::new();
    let first = certificate(source, part, &["tls"], &written.cert, &written.key);
    let mut whole = first.is_some();
    certificates.extend(first);
    for (index, pair) in written.more.iter().enumerate() {
        let at = ["tls", "more", &index.to_string()];
        let one = certificate(source, part, &at, &pair.cert, &pair.key);
        whole &= one.is_some();
        certificates.extend(one);
    }
    if whole {
        names(source, part, &certificates);
    }
    let clients = match &written.clients {
        Some(clients) => match asked(source, part, clients) {
            Some(clients) => Some(clients),
            None => return None,
        },
        None => None,
    };
    whole.then(|| {
        Arc::new(Served {
            shelf: Arc::new(Shelf::new(certificates)),
            min: match written.min {
                Some(TlsVersion::V1_3) => Version::V1_3,
                Some(TlsVersion::V1_2) | None => Version::V1_2,
            },
            h2,
            clients,
        })
    })
}

fn certificate(
    source: &mut Source<'_>,
    part: &Part<'_>,
    at: &[&str],
    cert: &str,
    key: &str,
) -> Option<Certificate> {
    let (path, key) = pair(source, part, at, cert, key)?;
    match Pair::read(&path, &key) {
        Ok(pair) => Some(Certificate::new(cert, &pair)),
        Err(error) => {
            useless(source, part, at, &error);
            None
        }
    }
}

/// The files of a chain and its key, when both are there.
fn pair(
    source: &mut Source<'_>,
    part: &Part<'_>,
    at: &[&str],
    cert: &str,
    key: &str,
) -> Option<(PathBuf, PathBuf)> {
    let within = |last| [at, &[last]].concat();
    let there = source.file(cert, part, &within("cert"));
    let there = source.file(key, part, &within("key")) && there;
    there.then(|| (source.env.path(cert), source.env.path(key)))
}

fn useless(source: &mut Source<'_>, part: &Part<'_>, at: &[&str], error: &CertificateError) {
    let message = format!("has no good certificate: {error}");
    source.findings.push(part.error("certificate", at, message));
}

/// Finds names that are proven twice, or not at all, and times that are over.
fn names(source: &mut Source<'_>, part: &Part<'_>, certificates: &[Certificate]) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |past| i64::try_from(past.as_secs()).unwrap_or(i64::MAX));
    let mut proven: BTreeMap<&str, &str> = BTreeMap::new();
    for (index, one) in certificates.iter().enumerate() {
        let nth = index.saturating_sub(1).to_string();
        let at: &[&str] = match index {
            0 => &["tls", "cert"],
            _ => &["tls", "more", &nth, "cert"],
        };
        if one.names.is_empty() {
            let message = format!("shows `{}`, which proves no name", one.file);
            let hint = "browsers look for a subjectAltName and nowhere else";
            let finding = part.warning("certificate.nameless", at, message);
            source.findings.push(finding.hint(hint));
        }
        if one.expires() < now {
            let message = format!("shows `{}`, which has expired", one.file);
            let finding = part.warning("certificate.expired", at, message);
            source.findings.push(finding.hint("no client takes it"));
        }
        for name in &one.names {
            let Some(first) = proven.insert(name, &one.file) else {
                continue;
            };
            if first != one.file {
                let message = format!("has two certificates for `{name}`: `{first}` comes first");
                let finding = part.error("certificate.twice", at, message);
                let hint = "take the name out of one of them: which one is shown must be plain";
                source.findings.push(finding.hint(hint));
            } else if certificates[..index].iter().any(|one| one.file == first) {
                let message = format!("names the certificate `{first}` twice");
                let finding = part.error("certificate.twice", at, message);
                source.findings.push(finding);
                break;
            }
        }
    }
}

fn asked(source: &mut Source<'_>, part: &Part<'_>, written: &table::Clients) -> Option<Clients> {
    let mut there = source.file(&written.ca, part, &["tls", "clients", "ca"]);
    if let Some(crl) = &written.crl {
        there &= source.file(crl, part, &["tls", "clients", "crl"]);
    }
    if !there {
        return None;
    }
    let ca = source.env.path(&written.ca);
    let crl = written.crl.as_ref().map(|crl| source.env.path(crl));
    match Clients::read(&ca, crl.as_deref(), written.required) {
        Ok(clients) => Some(clients),
        Err(error) => {
            let message = format!("can't judge its clients' certificates: {error}");
            let finding = part.error("clients", &["tls", "clients"], message);
            source.findings.push(finding);
            None
        }
    }
}

/// Compiles how TLS is spoken to an upstream.
pub(super) fn towards(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::UpstreamTls,
) -> Option<Arc<Towards>> {
    let mut there = true;
    if let Some(ca) = &written.ca {
        there &= source.file(ca, part, &["tls", "ca"]);
    }
    let own = match (&written.cert, &written.key) {
        (Some(cert), Some(key)) => {
            let own = pair(source, part, &["tls"], cert, key);
            there &= own.is_some();
            own
        }
        (None, None) => None,
        (cert, _) => {
            let (has, lacks) = match cert {
                Some(_) => ("cert", "key"),
                None => ("key", "cert"),
            };
            let finding = part.error(
                "certificate.half",
                &["tls", has],
                format!("names a `{has}` and no `{lacks}`"),
            );
            let hint = format!("add `{lacks}`, or leave both out");
            source.findings.push(finding.hint(hint));
            there = false;
            None
        }
    };
    if let Some(name) = &written.server_name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        let message = format!("can't be proven to be `{name}`");
        let finding = part.error("server_name", &["tls", "server_name"], message);
        let hint = "write a host, `users.internal`, without port";
        source.findings.push(finding.hint(hint));
        there = false;
    }
    if !there {
        return None;
    }
    let ca = written.ca.as_ref().map(|ca| source.env.path(ca));
    let own = own.as_ref().map(|(cert, key)| (&**cert, &**key));
    match Towards::read(written.server_name.clone(), ca.as_deref(), own) {
        Ok(towards) => {
            if towards.trusts_nobody() {
                let message = "trusts nobody: the system has no authorities";
                let finding = part.error("ca.none", &[], message);
                let hint = "name them: `tls: { ca: certs/upstreams.pem }`";
                source.findings.push(finding.hint(hint));
            }
            Some(Arc::new(towards))
        }
        Err(error) => {
            useless(source, part, &["tls"], &error);
            None
        }
    }
}
