use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};

use super::group::Place;
use crate::plan;
use crate::tls::{Towards, Trust};

/// For one write to an upstream.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For a connection in the pool: below what servers usually keep one for.
const POOL_TIMEOUT: Duration = Duration::from_secs(50);
/// Requests at once on one HTTP/2 connection; the transport's own default is one.
const STREAMS: usize = 100;
/// Between two questions whether an HTTP/2 connection still lives.
const PING: Duration = Duration::from_secs(15);

/// A target as the transport wants it, less the time that an answer may take.
pub(super) fn of(place: &Place, upstream: &plan::Upstream) -> HttpPeer {
    let encrypted = upstream.tls.is_some();
    let mut template = HttpPeer::new(place.address, encrypted, place.name.to_string());
    let options = &mut template.options;
    options.connection_timeout = Some(upstream.connect_timeout);
    // Both the connect and the handshake get the first; together they get no more either.
    options.total_connection_timeout = Some(upstream.connect_timeout);
    options.write_timeout = Some(WRITE_TIMEOUT);
    options.idle_timeout = Some(POOL_TIMEOUT);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(5),
        count: 5,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    if upstream.h2 {
        options.alpn = ALPN::H2;
        options.max_h2_streams = STREAMS;
        options.h2_ping_interval = Some(PING);
    }
    if let Some(tls) = &upstream.tls {
        encrypt(&mut template, tls);
    }
    // The pool tells connections apart by address and name. Two upstreams at one address may
    // differ in whom they trust, what they show and what they speak.
    let mut group = DefaultHasher::new();
    upstream.name.hash(&mut group);
    upstream.h2.hash(&mut group);
    upstream
        .tls
        .as_deref()
        .map(Towards::fingerprint)
        .hash(&mut group);
    template.group_key = group.finish();
    template
}

fn encrypt(template: &mut HttpPeer, tls: &Towards) {
    if let Trust::Authorities(all) = &tls.trust {
        let all = all
            .iter()
            .map(|one| WrappedX509::new(one.to_vec(), parse_x509));
        template.options.ca = Some(Arc::from_iter(all));
    }
    if let Some(own) = &tls.own {
        let chain = own.chain.iter().map(|one| one.to_vec()).collect();
        let key = own.key.secret_der().to_vec();
        template.client_cert_key = Some(Arc::new(CertKey::new(chain, key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(change: impl Fn(&mut plan::Upstream)) -> HttpPeer {
        let mut upstream = plan::Upstream {
            name: "users".into(),
            targets: vec![],
            tls: None,
            h2: false,
            connect_timeout: Duration::from_secs(1),
            health: None,
        };
        change(&mut upstream);
        let address = "192.0.2.1:80".parse().expect("an address");
        of(&Place::new(&upstream, "users.test:80", address), &upstream)
    }

    fn towards(ca: &str) -> Arc<Towards> {
        let folder = crate::testing::Folder::new();
        let path = folder.write("ca.pem", ca);
        Arc::new(Towards::read(None, Some(&path), None).expect("authorities"))
    }

    fn authority() -> String {
        let made = rcgen::generate_simple_self_signed(["users.test".to_owned()]);
        made.expect("a certificate").cert.pem()
    }

    #[test]
    fn trap_11_two_upstreams_at_one_address_share_no_connection() {
        let plain = template(|_| {});
        let (one, other) = (towards(&authority()), towards(&authority()));
        let all = [
            plain.group_key,
            template(|upstream| upstream.name = "money".into()).group_key,
            template(|upstream| upstream.h2 = true).group_key,
            template(|upstream| upstream.tls = Some(one.clone())).group_key,
            template(|upstream| upstream.tls = Some(other.clone())).group_key,
        ];
        for (index, key) in all.iter().enumerate() {
            assert!(!all[..index].contains(key), "{index}: {all:?}");
        }
        assert_eq!(template(|_| {}).group_key, plain.group_key);
    }

    #[test]
    fn a_target_in_tls_must_prove_its_host() {
        assert_eq!(template(|_| {}).sni, "");
        let tls = towards(&authority());
        let encrypted = template(|upstream| upstream.tls = Some(tls.clone()));
        assert_eq!(encrypted.sni, "users.test");
        assert!(encrypted.options.verify_cert && encrypted.options.verify_hostname);
        assert!(encrypted.options.ca.is_some());
    }
}
