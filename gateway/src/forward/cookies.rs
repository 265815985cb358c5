//! Cookies that are between us and browsers alone: a backend that saw a session could be its owner,
//! and one that set it could make anybody somebody else.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Whether a cookie is one of ours: it has our name, or goes on after it with a dot.
fn is_ours(name: &[u8], ours: &[Box<str>]) -> bool {
    ours.iter().any(|ours| {
        let rest = name.strip_prefix(ours.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
    })
}

/// The name in `name=value`, with what servers overlook around it.
fn name(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| *byte == b'=');
    pair[..end.unwrap_or(pair.len())].trim_ascii()
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';')
}

/// Takes ours out of a request. A line that has none of them stays as it came.
pub(super) fn keep_back(headers: &mut HeaderMap, ours: &[Box<str>]) {
    let is_ours = |pair: &[u8]| is_ours(name(pair), ours);
    let holds = |line: &HeaderValue| pairs(line).any(is_ours);
    if !headers.get_all(COOKIE).iter().any(holds) {
        return;
    }
    let without = |line: &HeaderValue| {
        if !holds(line) {
            return Some(line.clone());
        }
        let others = pairs(line).filter(|pair| !is_ours(pair));
        let line = others
            .map(<[u8]>::trim_ascii)
            .collect::<Vec<_>>()
            .join(&b"; "[..]);
        // Parts of a header's value are one again.
        HeaderValue::from_bytes(&line)
            .ok()
            .filter(|line| !line.is_empty())
    };
    let kept: Vec<_> = headers.get_all(COOKIE).iter().filter_map(without).collect();
    headers.remove(COOKIE);
    for line in kept {
        headers.append(COOKIE, line);
    }
}

/// Takes ours out of an upstream's answer.
pub(super) fn refuse(headers: &mut HeaderMap, ours: &[Box<str>]) {
    let holds = |line: &HeaderValue| {
        pairs(line)
            .next()
            .is_some_and(|pair| is_ours(name(pair), ours))
    };
    if !headers.get_all(SET_COOKIE).iter().any(holds) {
        return;
    }
    let lines = headers.get_all(SET_COOKIE).iter();
    let kept: Vec<_> = lines.filter(|line| !holds(line)).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Vec<Box<str>> {
        vec!["__Host-staff".into()]
    }

    fn all(name: http::HeaderName, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                name.clone(),
                HeaderValue::from_bytes(line).expect("a value"),
            );
        }
        headers
    }

    #[test]
    fn gateway_27_our_cookies_reach_no_backend_and_others_stay_as_they_came() {
        let check = |lines: &[&[u8]], left: &[&[u8]]| {
            let mut headers = all(COOKIE, lines);
            keep_back(&mut headers, &ours());
            let found: Vec<&[u8]> = headers
                .get_all(COOKIE)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect();
            assert_eq!(found, left, "{:?}", all(COOKIE, lines));
        };
        check(&[b"a=1; __Host-staff=x; b=2"], &[b"a=1; b=2"]);
        check(&[b"__Host-staff=x"], &[]);
        check(
            &[b"__Host-staff=x; __Host-staff.login=y", b"a=1;b=2"],
            &[b"a=1;b=2"],
        );
        check(&[b" __Host-staff =x;a=\xff"], &[b"a=\xff"]);
        check(&[b"__Host-staff"], &[]);
        check(&[b"__Host-staff=x; __Host-staff=y;"], &[]);
        check(
            &[b"__Host-staffs=1;  c; __Host-staf=2"],
            &[b"__Host-staffs=1;  c; __Host-staf=2"],
        );
        check(&[b"a=__Host-staff=x"], &[b"a=__Host-staff=x"]);
    }

    #[test]
    fn gateway_29_no_backend_sets_a_session() {
        let lines: [&[u8]; 4] = [
            b"a=1; Path=/",
            b"__Host-staff=x; Path=/",
            b" __Host-staff.y=z",
            b"b=__Host-staff=1",
        ];
        let mut headers = all(SET_COOKIE, &lines);
        refuse(&mut headers, &ours());
        let left: Vec<&[u8]> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        assert_eq!(left, [lines[0], lines[3]]);
    }
}
