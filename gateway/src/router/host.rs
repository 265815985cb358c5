use std::fmt;

/// Names are no longer than this (RFC 1035 §2.3.4), in bytes: a longer host is under no wildcard.
const MAX_NAME: usize = 253;

/// Which hosts a route takes. All in lower case, without a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Just this one.
    Exact(Box<str>),
    /// All below a name, at any depth: `.example.com` for `*.example.com`, which is not the name
    /// itself.
    Below(Box<str>),
    /// Every one.
    Any,
}

impl Host {
    /// Reads `example.com` or `*.example.com`; `None` when no request could ever have it.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |name: &str| crate::decide::host(Some(name)).as_deref() == Some(name);
        match text.strip_prefix("*.") {
            Some(name) => {
                let good = plain(name) && !name.contains('*') && !name.starts_with('[');
                good.then(|| Self::Below(format!(".{name}").into()))
            }
            None => (plain(text) && !text.contains('*')).then(|| Self::Exact(text.into())),
        }
    }

    /// Whether a host is one of them. The plain definition, which the router must agree with.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Below(suffix) => suffixes(host).any(|one| *one == **suffix),
            Self::Any => true,
        }
    }
}

/// What a wildcard may say of a host, the longest first: `.b.c` and `.c` of `a.b.c`.
pub(super) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    let host = if host.len() > MAX_NAME { "" } else { host };
    host.match_indices('.')
        .filter(|(at, _)| *at > 0)
        .map(move |(at, _)| &host[at..])
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_what_is_below_it() {
        for (rule, host, taken) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.example.com", "a.example.com.evil", false),
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", false),
        ] {
            let parsed = Host::parse(rule).expect(rule);
            assert_eq!(parsed.takes(host), taken, "{rule} {host}");
            assert_eq!(parsed.to_string(), rule);
        }
        for bad in [
            "*", "*.", "a.*", "*.*.a", "A.test", "a:80", "*.a:80", "*.[::1]", "*a.test", "",
        ] {
            assert_eq!(Host::parse(bad), None, "{bad}");
        }
    }

    /// A host as long as a head may be costs no more than any other.
    #[test]
    fn gateway_18_a_host_of_dots_is_under_no_wildcard() {
        let host = "a.".repeat(16_000) + "example.com";
        assert_eq!(suffixes(&host).count(), 0);
    }
}
