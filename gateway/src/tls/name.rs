use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// What a leaf says of itself: its names in lower case, a wildcard as `*.example.com`, addresses as
/// they are written; and when it ends, in Unix seconds. Nothing when it is no certificate.
pub(super) fn of(leaf: &CertificateDer<'_>) -> (Vec<String>, Option<(i64, i64)>) {
    let Ok((_, leaf)) = x509_parser::parse_x509_certificate(leaf) else {
        return (Vec::new(), None);
    };
    let validity = leaf.validity();
    let validity = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let names = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect();
    (names, Some(validity))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
