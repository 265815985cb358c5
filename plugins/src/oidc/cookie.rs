use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// What the browser is held to (RFC 6265bis): `__Host-` in the name wants `Secure`, `Path=/` and no
/// `Domain`, so that no sister site can plant one. `Lax` and not `Strict`: the way back from the
/// provider begins on another site, and the cookie must come along.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// A cookie that lives for so many seconds.
pub(super) fn set(name: &str, value: &str, max_age_s: i64) -> HeaderValue {
    let text = format!("{name}={value}; {ATTRIBUTES}; Max-Age={max_age_s}");
    let mut value = HeaderValue::from_str(&text).expect("names are checked, values are base64url");
    value.set_sensitive(true);
    value
}

/// The end of a cookie.
pub(super) fn clear(name: &str) -> HeaderValue {
    set(name, "", 0)
}

/// All cookies of a request as name and value, as they came.
pub(super) fn all(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
}

/// The cookie of that name, when it came once. Of two, a browser has sent only one.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = all(headers).filter(|(known, _)| *known == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).expect("a value"));
        }
        headers
    }

    #[test]
    fn gateway_29_every_cookie_is_the_hosts_alone_and_out_of_reach_of_scripts() {
        for cookie in [set("__Host-staff", "abc", 60), clear("__Host-staff")] {
            let text = cookie.to_str().expect("text");
            for attribute in [
                "__Host-staff=",
                "; Path=/;",
                "; Secure;",
                "; HttpOnly;",
                "; SameSite=Lax;",
            ] {
                assert!(text.contains(attribute), "{attribute}: {text}");
            }
            assert!(!text.contains("Domain"), "{text}");
        }
        assert!(
            clear("__Host-staff")
                .to_str()
                .expect("text")
                .ends_with("Max-Age=0")
        );
    }

    #[test]
    fn a_cookie_is_found_in_one_line_or_in_crumbs() {
        for lines in [
            &["a=1; s=x=y; b=2"][..],
            &["a=1", "s=x=y", "b=2"],
            &["s=x=y"],
        ] {
            assert_eq!(single(&request(lines), "s"), Some("x=y"));
        }
        for lines in [
            &["a=1"][..],
            &["s=1; s=2"],
            &["s=1", "s=1"],
            &["S=1"],
            &["s"],
            &[],
        ] {
            assert_eq!(single(&request(lines), "s"), None);
        }
    }
}
