//! A certificate authority of this clone's own, and the edge's certificate. Neither is worth
//! anything elsewhere: the authority may only vouch for loopback names, and its key stays here.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::OffsetDateTime;

use crate::files;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIVES: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());
/// A year before it ends, with time to spare for a machine that runs through.
const AUTHORITY_RENEWED_AFTER: Duration = Duration::from_secs(9 * 365 * DAY.as_secs());
/// The edge's certificate is made anew at every start, so its end is only met by a run this long.
const EDGE_LIVES: Duration = Duration::from_secs(397 * DAY.as_secs());
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes `ca.pem`, `ca.key`, `edge.pem` and `edge.key` in `directory`. The authority is kept while
/// it is good, so that whoever trusts it need not do so again.
///
/// # Errors
/// When the directory cannot be written, or the authority's key there is not one.
pub(crate) fn ensure(directory: &Path) -> anyhow::Result<()> {
    files::private_directory(directory)?;
    let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
    if !(key.exists() && is_fresh(&certificate)) {
        let pair = KeyPair::generate()?;
        let authority = authority()?.self_signed(&pair)?;
        files::write_private(&key, &pair.serialize_pem())?;
        files::write_public(&certificate, &authority.pem())?;
    }
    let pair = KeyPair::from_pem(&fs::read_to_string(&key)?)
        .with_context(|| format!("read {}; remove it to have a new one", key.display()))?;
    // The authority's name and key are all that a signature needs: the same name every time.
    let issuer = Issuer::new(authority()?, pair);

    let edge_pair = KeyPair::generate()?;
    let edge = edge()?.signed_by(&edge_pair, &issuer)?;
    files::write_private(&directory.join("edge.key"), &edge_pair.serialize_pem())?;
    files::write_public(&directory.join("edge.pem"), &edge.pem())
}

/// The file's time is when the certificate was made: nothing else writes it.
fn is_fresh(certificate: &Path) -> bool {
    let made = fs::metadata(certificate).and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| {
        SystemTime::now()
            .duration_since(made)
            .is_ok_and(|age| age < AUTHORITY_RENEWED_AFTER)
    })
}

fn authority() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Vorota development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let subtrees = vec![
        GeneralSubtree::DnsName("localhost".to_owned()),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            8,
        )),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            128,
        )),
    ];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: subtrees,
        excluded_subtrees: Vec::new(),
    });
    lives(&mut params, AUTHORITY_LIVES);
    Ok(params)
}

fn edge() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    lives(&mut params, EDGE_LIVES);
    Ok(params)
}

fn lives(params: &mut CertificateParams, span: Duration) {
    let now = OffsetDateTime::now_utc();
    // A little in the past: clocks of containers and hosts differ.
    params.not_before = now - Duration::from_secs(60 * 60);
    params.not_after = now + span;
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::room;

    #[test]
    fn the_authority_is_kept_until_it_is_old_and_the_edge_is_renewed() {
        let room = room::private(&std::env::temp_dir()).expect("a directory");
        let read = |name: &str| fs::read_to_string(room.join(name)).expect("readable");
        ensure(&room).expect("made");
        let (authority, edge) = (read("ca.pem"), read("edge.pem"));
        ensure(&room).expect("made");
        assert_eq!(authority, read("ca.pem"));
        assert_ne!(edge, read("edge.pem"));

        let old = SystemTime::now() - AUTHORITY_RENEWED_AFTER - DAY;
        File::open(room.join("ca.pem"))
            .and_then(|file| file.set_modified(old))
            .expect("aged");
        ensure(&room).expect("made");
        assert_ne!(authority, read("ca.pem"));
        fs::remove_dir_all(room).expect("removed");
    }
}
