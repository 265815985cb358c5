use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::source::Source;
use super::{Listener, Management, Network, tls};
use crate::table::read::Part;
use crate::table::{self, Protocol};

const MAX_CONNECTIONS: usize = 10_000;
const MAX_CONNECTIONS_PER_IP: usize = 1_000;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Compiles the sockets; `max_header` is the same for all of them.
pub(super) fn compile(source: &mut Source<'_>, max_header: usize) -> BTreeMap<String, Listener> {
    let mut listeners = BTreeMap::new();
    let entries = source.entries("listeners", "listener");
    if entries.is_empty() {
        let finding =
            source
                .part("listeners")
                .error("missing", &[], "are missing: nobody could reach us");
        let hint =
            "add `listeners: { edge: { bind: \"127.0.0.1:8443\", tls: { cert: …, key: … } } }`";
        source.findings.push(finding.hint(hint));
    }
    for (name, part) in entries {
        let Some(written) = part.read::<table::Listener>(&mut source.findings) else {
            continue;
        };
        if let Some(listener) = one(source, &part, written, max_header) {
            listeners.insert(name, listener);
        }
    }
    listeners
}

/// Compiles where operators ask.
pub(super) fn management(source: &mut Source<'_>) -> Option<Management> {
    let part = source.part("management");
    if source.document.root().get("management").is_none() {
        let finding = part.error("missing", &[], "is missing: nobody could ask how we are");
        source
            .findings
            .push(finding.hint("add `management: { bind: \"127.0.0.1:9440\" }`"));
        return None;
    }
    let management: table::Management = part.read(&mut source.findings)?;
    let mut hosts = Vec::new();
    for (index, host) in management.hosts.iter().enumerate() {
        match crate::decide::host(Some(host)) {
            Some(same) if !host.contains(':') => hosts.push(same),
            _ => {
                let message = format!("can't be asked as `{host}`, which is no host");
                let finding = part.error("host", &["hosts", &index.to_string()], message);
                let hint = "write it without port: `gateway.internal`";
                source.findings.push(finding.hint(hint));
            }
        }
    }
    Some(Management {
        bind: management.bind,
        hosts,
    })
}

fn one(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: table::Listener,
    max_header: usize,
) -> Option<Listener> {
    let protocols = written.http.unwrap_or(vec![Protocol::H1, Protocol::H2]);
    if !protocols.contains(&Protocol::H1) {
        let finding = part.error("http", &["http"], "must offer `h1`");
        source
            .findings
            .push(finding.hint("write `[h1]` or `[h1, h2]`"));
    }
    let h2 = protocols.contains(&Protocol::H2);
    let served = match &written.tls {
        Some(written) => Some(tls::served(source, part, written, h2)?),
        None => None,
    };
    let redirect = written.redirect.map(|to| to.port);
    match (&served, redirect) {
        (Some(_), Some(_)) => {
            let message = "is encrypted and would send its clients to where they are";
            let finding = part.error("redirect", &["redirect"], message);
            let hint = "a listener that sends its clients on has no `tls`";
            source.findings.push(finding.hint(hint));
        }
        (None, None) if !written.bind.ip().is_loopback() => {
            let message = "speaks plain HTTP on an address that others reach";
            let finding = part.warning("plain", &["bind"], message);
            let hint = "add `tls: { cert: …, key: … }`, or `redirect: https`";
            source.findings.push(finding.hint(hint));
        }
        _ => {}
    }
    let proxy_protocol = written.proxy_protocol.is_some();
    if proxy_protocol && written.trusted_proxies.is_empty() {
        let message = "takes PROXY headers from nobody: nobody could connect";
        let finding = part.error("proxy_protocol", &["proxy_protocol"], message);
        let hint = "name the balancer's network: `trusted_proxies: [10.0.0.0/8]`";
        source.findings.push(finding.hint(hint));
    }
    let number = |number: Option<NonZeroUsize>, default| number.map_or(default, NonZeroUsize::get);
    let trusted_proxies = networks(source, part, &written.trusted_proxies);
    let mut time = |period, default, key: &str| source.positive(period, default, part, &[key]);
    Some(Listener {
        bind: written.bind,
        tls: served,
        redirect,
        proxy_protocol,
        trusted_proxies,
        max_connections: number(written.max_connections, MAX_CONNECTIONS),
        max_connections_per_ip: number(written.max_connections_per_ip, MAX_CONNECTIONS_PER_IP),
        handshake_timeout: time(
            written.handshake_timeout,
            HANDSHAKE_TIMEOUT,
            "handshake_timeout",
        ),
        header_timeout: time(written.header_timeout, HEADER_TIMEOUT, "header_timeout"),
        idle_timeout: time(written.idle_timeout, IDLE_TIMEOUT, "idle_timeout"),
        stall_timeout: time(written.stall_timeout, STALL_TIMEOUT, "stall_timeout"),
        max_header,
    })
}

fn networks(source: &mut Source<'_>, part: &Part<'_>, written: &[String]) -> Vec<Network> {
    let mut networks = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match Network::parse(text) {
            Ok(network) => networks.push(network),
            Err(hint) => {
                let at = ["trusted_proxies", &index.to_string()];
                let finding = part.error(
                    "network",
                    &at,
                    format!("trusts `{text}`, which is no address block"),
                );
                source.findings.push(finding.hint(hint));
            }
        }
    }
    networks
}
