use super::*;
use http::{HeaderName, HeaderValue};

fn policy(vary: &[&'static str]) -> CachePolicy {
    CachePolicy {
        name: "catalog".into(),
        ttl: Duration::from_secs(30),
        stale: Duration::from_secs(60),
        vary: vary
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect(),
        max_size: 1 << 20,
    }
}

fn answer(status: u16, fields: &[(&'static str, &str)]) -> ResponseHeader {
    let mut answer = ResponseHeader::build(status, None).expect("a status");
    for (name, value) in fields {
        answer.append_header(*name, *value).expect("a field");
    }
    answer
}

#[test]
fn no_two_requests_share_a_key_and_the_order_of_a_query_counts_for_nothing() {
    let policy = policy(&[]);
    let keyed = |route, tls, host, path, query| {
        let key = key(&policy, route, tls, host, path, query);
        key.primary_key().to_vec()
    };
    let of = |host, path, query| keyed("rates", true, host, path, query);
    let one = of("a.example", "/v1/rates", Some("a=1&b=2"));
    assert_eq!(one, of("a.example", "/v1/rates", Some("b=2&a=1")));
    for other in [
        of("b.example", "/v1/rates", Some("a=1&b=2")),
        of("a.example", "/v1/rates", Some("a=1&b=3")),
        of("a.example", "/v1/rates", Some("a=1")),
        of("a.example", "/v1/rates", None),
        of("a.example", "/v1/rates", Some("")),
        of("a.example", "/v1/rat", Some("es&a=1&b=2")),
        keyed("rates", false, "a.example", "/v1/rates", Some("a=1&b=2")),
        // Two routes of one path, told apart by a header.
        keyed(
            "rates.beta",
            true,
            "a.example",
            "/v1/rates",
            Some("a=1&b=2"),
        ),
    ] {
        assert_ne!(one, other);
    }
    assert_ne!(of("a", "/", Some("a=1&a=2")), of("a", "/", Some("a=2&a=1")));
}

#[test]
fn what_belongs_to_one_caller_or_is_no_answer_is_not_kept() {
    let now = SystemTime::now();
    for (status, fields) in [
        (200, &[("set-cookie", "sid=1")][..]),
        (200, &[("vary", "*")]),
        (200, &[("vary", "accept-language, x-tenant")]),
        (200, &[("cache-control", "private")]),
        (200, &[("cache-control", "no-store")]),
        (200, &[("cache-control", "no-cache")]),
        (200, &[("cache-control", "max-age=60, no-cache")]),
        (200, &[("cache-control", "private=\"x-tenant\"")]),
        (
            200,
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "private"),
            ],
        ),
        (404, &[]),
        (500, &[("cache-control", "max-age=60")]),
        (206, &[]),
    ] {
        let judged = judge(&policy(&["accept-language"]), &answer(status, fields), now);
        assert!(!judged.is_cacheable(), "{status} {fields:?}");
    }
}

#[test]
fn freshness_is_what_the_upstream_says_less_the_age_it_had() {
    let now = SystemTime::now();
    for (fields, seconds) in [
        (&[][..], 30),
        (&[("cache-control", "max-age=60")][..], 60),
        (&[("cache-control", "max-age=60"), ("age", "59")], 1),
        (&[("age", "10")], 20),
        (&[("vary", "accept-language")], 30),
    ] {
        let judged = judge(&policy(&["accept-language"]), &answer(200, fields), now);
        assert!(judged.is_cacheable(), "{fields:?}");
        let meta = judged.unwrap_meta();
        let until = now + Duration::from_secs(seconds);
        assert_eq!(meta.fresh_until(), until, "{fields:?}");
        assert!(!meta.headers().contains_key("age"));
    }
    let old = answer(200, &[("cache-control", "max-age=60"), ("age", "61")]);
    assert!(!judge(&policy(&[]), &old, now).is_cacheable());
}

#[test]
fn a_callers_own_request_is_not_shared() {
    let shares = |fields: &[(&'static str, &'static str)], policy: &CachePolicy| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        may_share(&Method::GET, &headers, policy)
    };
    assert!(shares(&[], &policy(&[])));
    assert!(!shares(&[("authorization", "Bearer a")], &policy(&[])));
    assert!(!shares(&[("cookie", "a=1")], &policy(&[])));
    assert!(shares(&[("cookie", "a=1")], &policy(&["cookie"])));
    assert!(!shares(&[("content-length", "3")], &policy(&[])));
}
