use url::Url;

/// A longer one is not kept: it must fit into a cookie.
const MAX_BYTES: usize = 1024;

/// Where a browser goes after it has signed in: a path of our own origin, with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReturnTo(String);

impl ReturnTo {
    /// Takes a path that every browser reads as one of the page's own origin. `None` for anything
    /// else: `//evil` and `/\evil` are other hosts, a tab or a line feed inside is skipped before
    /// the rest is read.
    pub(super) fn parse(text: &str, origin: &Url) -> Option<Self> {
        let bytes = text.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
        if text.len() > MAX_BYTES
            || bytes.first() != Some(&b'/')
            || bytes.get(1) == Some(&b'/')
            || !bytes.iter().all(plain)
        {
            return None;
        }
        // The rules above, asked of a parser that reads as browsers do.
        let read = origin.join(text).ok()?;
        (read.origin() == origin.origin()).then(|| Self(text.to_owned()))
    }

    /// The front page.
    pub(super) fn root() -> Self {
        Self("/".into())
    }

    /// As a path, with the query.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole address. The origin stands before it: whatever the path is, the host is ours.
    pub(super) fn on(&self, origin: &Url) -> String {
        format!("{}{}", origin.origin().ascii_serialization(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_29_the_way_back_leads_nowhere_else() {
        let origin: Url = "https://edge.test/auth/callback".parse().expect("a URL");
        for good in [
            "/",
            "/a",
            "/a/b?c=d&e=/f#g",
            "/a//b",
            "/?x=//evil",
            "/%2f%2fevil",
            "/a?u=https://evil",
        ] {
            let parsed = ReturnTo::parse(good, &origin).expect(good);
            assert_eq!(parsed.on(&origin), format!("https://edge.test{good}"));
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for bad in [
            "",
            "a",
            "//evil",
            "///evil",
            "/\\evil",
            "\\evil",
            "\\\\evil",
            "/a\\b",
            "https://evil",
            "https:evil",
            "javascript:alert(1)",
            "/\t/evil",
            "/\n/evil",
            "/\r\nset-cookie: a",
            " /a",
            "/ a",
            "/\0",
            "/é",
            "@evil",
            ".evil",
            "http:/\\evil",
            &long,
        ] {
            assert_eq!(ReturnTo::parse(bad, &origin), None, "{bad:?}");
        }
    }
}
