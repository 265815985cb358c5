use http::HeaderValue;
use plugin_sdk::BuildError;

/// The origins that may call. Compared whole, byte for byte: a suffix match lets
/// `https://evil-example.com` in, and a prefix match `https://example.com.evil.org`.
pub(super) enum Origins {
    /// Anybody's, without credentials.
    Any,
    /// These, each with the header value that allows it.
    These(Vec<(String, HeaderValue)>),
}

impl Origins {
    pub(super) fn build(origins: &[String], credentials: bool) -> Result<Self, BuildError> {
        if origins.is_empty() {
            return Err(BuildError::new("origins", "the list is empty")
                .hint("leave the plugin out where no browser calls"));
        }
        if origins.iter().any(|origin| origin == "*") {
            return match (origins.len(), credentials) {
                (1, false) => Ok(Self::Any),
                (1, true) => Err(
                    BuildError::new("origins", "`*` does not go with credentials")
                        .hint("name each origin"),
                ),
                _ => Err(BuildError::new("origins", "`*` stands alone or not at all")),
            };
        }
        let these = origins.iter().enumerate().map(|(index, origin)| {
            let value = check_origin(origin, &format!("origins.{index}"))?;
            Ok((origin.clone(), value))
        });
        Ok(Self::These(these.collect::<Result<_, _>>()?))
    }

    /// The value of `access-control-allow-origin` for this origin, if it may call.
    pub(super) fn allow(&self, origin: &str) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::These(these) => {
                let known = these.iter().find(|(known, _)| known == origin)?;
                Some(known.1.clone())
            }
        }
    }
}

/// An origin of the table's, as a header's value; `at` is where it stands.
pub(crate) fn check_origin(origin: &str, at: &str) -> Result<HeaderValue, BuildError> {
    parse(origin).map_err(|fault| {
        BuildError::new(at, format!("`{origin}` is no origin: {fault}"))
            .hint("write it as a browser does: `https://app.example.com`")
    })
}

/// Checks that it is what a browser would send (RFC 6454 §6.2); anything else would never match.
fn parse(origin: &str) -> Result<HeaderValue, &'static str> {
    if origin == "null" {
        // Every sandboxed frame and every local file has this one.
        return Err("`null` is everybody's");
    }
    let (scheme, authority) = origin
        .split_once("://")
        .ok_or("it starts with `https://`")?;
    let default_port = match scheme {
        "https" => "443",
        "http" => "80",
        _ => return Err("it starts with `https://`"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err("after it comes a host in lower case, and no path");
    }
    match port {
        Some(port) if port == default_port => return Err("browsers leave its port out"),
        Some(port) if port.parse::<u16>().is_err() => return Err("its port is no number"),
        _ => {}
    }
    HeaderValue::from_str(origin).map_err(|_| "it is not text")
}
