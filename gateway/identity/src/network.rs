use std::net::IpAddr;

/// An address block (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8` or a single address. The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let example = || "write it as `10.0.0.0/8`".to_owned();
        let address: IpAddr = address.parse().map_err(|_| example())?;
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let prefix: u8 = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| example())?,
            None => width,
        };
        if prefix > width {
            return Err(format!("the prefix is at most {width}"));
        }
        let host_bits = width - prefix;
        let first = bits.checked_shr(host_bits.into()).unwrap_or(0);
        let first = first.checked_shl(host_bits.into()).unwrap_or(0);
        if first == bits {
            return Ok(Self { address, prefix });
        }
        let first = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(first).unwrap_or_default().into()),
            IpAddr::V6(_) => IpAddr::V6(first.into()),
        };
        Err(format!("did you mean `{first}/{prefix}`?"))
    }

    /// Whether an address lies in it. Both are compared in canonical form (RFC 4291 §2.5.5.2).
    pub fn contains(&self, address: IpAddr) -> bool {
        use IpAddr::{V4, V6};
        let prefix = u32::from(self.prefix);
        match (self.address, address.to_canonical()) {
            (V4(network), V4(address)) => {
                let differ = u32::from(network) ^ u32::from(address);
                differ.leading_zeros() >= prefix.min(32)
            }
            (V6(network), V6(address)) => {
                let differ = u128::from(network) ^ u128::from(address);
                differ.leading_zeros() >= prefix.min(128)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_block_begins_at_its_first_address() {
        for (text, expected) in [
            ("10.0.0.0/8", Ok(8)),
            ("192.0.2.7", Ok(32)),
            ("0.0.0.0/0", Ok(0)),
            ("2001:db8::/32", Ok(32)),
            ("::/0", Ok(0)),
            ("::1", Ok(128)),
            ("10.0.0.1/8", Err("did you mean `10.0.0.0/8`?")),
            ("2001:db8::1/64", Err("did you mean `2001:db8::/64`?")),
            ("10.0.0.0/33", Err("the prefix is at most 32")),
            ("10.0.0/8", Err("write it as `10.0.0.0/8`")),
        ] {
            let network = Network::parse(text).map(|network| network.prefix);
            assert_eq!(network, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn an_address_lies_in_its_block_however_it_is_written() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
        ] {
            let network = Network::parse(network).expect("a block");
            let address = address.parse().expect("an address");
            assert_eq!(network.contains(address), inside, "{network:?} {address}");
        }
    }
}
