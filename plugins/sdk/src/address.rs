use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds keep what a machine may do in their name, outside of the link-local blocks: Oracle,
/// Alibaba, Amazon over IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address is one that no name and no document may lead us to: link-local ones, at which
/// clouds hand out credentials, and those that are no machine's. Whoever writes such an address
/// into the route table as digits means it.
pub fn is_off_limits(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == METADATA_V6
                || embedded(v6).is_some_and(|v4| is_off_limits(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address that a translator takes out of an IPv6 one: NAT64 (RFC 6052 §2.1), 6to4
/// (RFC 3056), and the compatible form of old.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = v6.octets();
    let at = match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => 12,
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => 12,
        [0x2002, ..] => 2,
        _ => return None,
    };
    let four: [u8; 4] = octets[at..at + 4].try_into().ok()?;
    Some(Ipv4Addr::from(four))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 39: every spelling of where credentials are handed out.
    #[test]
    fn gateway_39_metadata_is_off_limits_in_every_form() {
        for (address, off) in [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("2002:a9fe:a9fe::1", true),
            ("::169.254.169.254", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fd00:ec2::254", true),
            ("192.0.0.192", true),
            ("100.100.100.200", true),
            ("0.0.0.0", true),
            ("::", true),
            ("255.255.255.255", true),
            ("224.0.0.1", true),
            ("ff02::1", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("10.0.0.7", false),
            ("192.168.1.1", false),
            ("203.0.113.9", false),
            ("fd00::1", false),
            ("2001:db8::1", false),
            ("64:ff9b::808:808", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(is_off_limits(parsed), off, "{address}");
        }
    }
}
