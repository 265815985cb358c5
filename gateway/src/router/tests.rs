use proptest::prelude::*;

use super::*;

fn rule(host: Option<&str>, methods: &[Method], path: &str) -> Match {
    Match {
        host: host.map_or(Host::Any, |host| Host::parse(host).expect("a host")),
        methods: methods.to_vec(),
        path: Pattern::parse(path).expect(path),
        conditions: Conditions::default(),
    }
}

/// What a request says that says nothing.
fn silent() -> Signs<'static> {
    static NONE: std::sync::OnceLock<http::HeaderMap> = std::sync::OnceLock::new();
    Signs {
        headers: NONE.get_or_init(http::HeaderMap::new),
        query: None,
        preflight: false,
    }
}

fn router(rules: &[(&str, &str)]) -> Router<String> {
    let rules = rules.iter().map(|(method, path)| {
        let method: Method = method.parse().expect("a method");
        (
            rule(None, std::slice::from_ref(&method), path),
            format!("{method} {path}"),
        )
    });
    Router::new(rules.collect()).expect("no ties")
}

fn find(router: &Router<String>, method: &str, path: &str) -> String {
    match router.find("any", &method.parse().expect("a method"), path, &silent()) {
        Ok(found) => {
            let params = found
                .params
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            found.value.clone() + &params.collect::<String>()
        }
        Err(Miss::NotFound) => "404".into(),
        Err(Miss::Unclear) => "400".into(),
        Err(Miss::MethodNotAllowed(allow)) => {
            let allow: Vec<&str> = allow.iter().map(Method::as_str).collect();
            format!("405 {}", allow.join(","))
        }
    }
}

/// Security case 17: the most specific path decides, and a method that it does not take never
/// reaches a wider one with weaker rules.
#[test]
fn gateway_17_the_most_specific_path_decides() {
    let router = router(&[
        ("GET", "/**"),
        ("POST", "/**"),
        ("GET", "/v1/wallets"),
        ("GET", "/v1/wallets/{id}"),
        ("POST", "/v1/wallets/mine"),
        ("GET", "/v1/wallets/{id}/entries"),
        ("GET", "/v1/wallets/mine/{what}"),
        ("GET", "/v1/files/**"),
        ("GET", "/v1/{room}/{id}/seats/{seat}"),
    ]);
    for (method, path, expected) in [
        ("GET", "/", "GET /**"),
        ("GET", "/v1/wallets", "GET /v1/wallets"),
        ("HEAD", "/v1/wallets", "GET /v1/wallets"),
        ("POST", "/v1/wallets", "405 GET,HEAD"),
        ("OPTIONS", "/v1/wallets", "405 GET,HEAD"),
        ("GET", "/v1/wallets/7", "GET /v1/wallets/{id} id=7"),
        ("GET", "/v1/wallets/mine", "405 POST"),
        ("POST", "/v1/wallets/mine", "POST /v1/wallets/mine"),
        (
            "GET",
            "/v1/wallets/7/entries",
            "GET /v1/wallets/{id}/entries id=7",
        ),
        (
            "GET",
            "/v1/wallets/mine/entries",
            "GET /v1/wallets/mine/{what} what=entries",
        ),
        (
            "GET",
            "/v1/wallets/mine/seats/4",
            "GET /v1/{room}/{id}/seats/{seat} room=wallets id=mine seat=4",
        ),
        ("GET", "/v1/wallets/mine/seats/4/a", "GET /**"),
        ("GET", "/v1/files", "GET /v1/files/**"),
        ("GET", "/v1/files/a/b", "GET /v1/files/**"),
        ("PUT", "/v1/files/a/b", "405 GET,HEAD"),
        ("GET", "/v1/files/1/seats/4", "GET /v1/files/**"),
        (
            "GET",
            "/v1/hall/1/seats/4",
            "GET /v1/{room}/{id}/seats/{seat} room=hall id=1 seat=4",
        ),
        ("PATCH", "/elsewhere", "405 GET,HEAD,POST"),
    ] {
        assert_eq!(find(&router, method, path), expected, "{method} {path}");
    }
}

#[test]
fn the_host_is_chosen_before_the_path() {
    let get = [Method::GET];
    let rules = vec![
        (rule(None, &get, "/a/b"), "any"),
        (rule(Some("one.test"), &get, "/{x}/b"), "one"),
        (rule(Some("*.test"), &get, "/{x}/b"), "below"),
        (rule(Some("*.a.test"), &get, "/{x}/b"), "far below"),
    ];
    let router = Router::new(rules).expect("no ties");
    let find = |host, path| {
        router
            .find(host, &Method::GET, path, &silent())
            .map(|found| *found.value)
    };
    assert_eq!(find("one.test", "/a/b"), Ok("one"));
    assert_eq!(find("two.test", "/a/b"), Ok("below"));
    assert_eq!(find("b.a.test", "/a/b"), Ok("far below"));
    assert_eq!(find("a.test", "/a/b"), Ok("below"));
    assert_eq!(find("test", "/a/b"), Ok("any"));
    assert_eq!(find("test", "/c/b"), Err(Miss::NotFound));
}

#[test]
fn what_takes_the_same_requests_ties() {
    let (get, post) = ([Method::GET], [Method::POST]);
    for (one, other, tied) in [
        (rule(None, &get, "/a/{x}"), rule(None, &get, "/a/{y}"), true),
        (
            rule(None, &get, "/a/{x}"),
            rule(None, &post, "/a/{y}"),
            false,
        ),
        (rule(None, &get, "/a/{x}"), rule(None, &get, "/a/**"), false),
        (rule(None, &get, "/a"), rule(None, &get, "/a/**"), false),
        (rule(None, &get, "/a"), rule(Some("h"), &get, "/a"), false),
        (
            rule(Some("*.h"), &get, "/a"),
            rule(Some("a.h"), &get, "/a"),
            false,
        ),
        (
            rule(Some("*.h"), &get, "/a"),
            rule(Some("*.h"), &get, "/a"),
            true,
        ),
        (
            rule(Some("h"), &get, "/a"),
            rule(Some("h"), &get, "/a"),
            true,
        ),
    ] {
        let built = Router::new(vec![(one, ()), (other, ())]);
        let tie = Tie {
            first: 0,
            second: 1,
        };
        assert_eq!(built.err(), tied.then(|| vec![tie]));
    }
}

#[test]
fn ten_thousand_routes_are_found_as_fast_as_ten() {
    let rules = (0..10_000).map(|n| (rule(None, &[Method::GET], &format!("/v1/r{n}/{{id}}")), n));
    let router = Router::new(rules.collect()).expect("no ties");
    for n in [0, 4_999, 9_999] {
        let found = router.find("h", &Method::GET, &format!("/v1/r{n}/7"), &silent());
        assert_eq!(found.map(|found| *found.value).ok(), Some(n));
    }
}

#[test]
fn what_can_not_be_reached_is_told() {
    for (paths, unreachable) in [
        (&["/a/**", "/a", "/a/{x}/**"][..], &[0][..]),
        (&["/a/**", "/a", "/a/{x}", "/a/{x}/{y}/**"], &[0]),
        (&["/a/**", "/a/{x}/**"], &[]),
        (&["/a/**", "/a", "/a/{x}"], &[]),
        (&["/a/**", "/a", "/a/b/**", "/a/c/**"], &[]),
        (&["/**", "/", "/{x}/**", "/{x}/b/**"], &[0]),
    ] {
        let rules = paths
            .iter()
            .map(|path| (rule(None, &[Method::GET], path), ()));
        let router = Router::new(rules.collect()).expect("no ties");
        assert_eq!(router.unreachable(), unreachable, "{paths:?}");
    }
}

fn with(headers: &[(&'static str, &str)], query: &[(&str, &str)]) -> Conditions {
    let wanted = |value: &str| match value {
        "" => Wanted::Present,
        values => Wanted::OneOf(values.split('|').map(Box::from).collect()),
    };
    let headers = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), wanted(value)));
    Conditions {
        headers: headers.collect(),
        query: query
            .iter()
            .map(|(name, value)| (Box::from(*name), wanted(value)))
            .collect(),
    }
}

/// More conditions before fewer, a named value before any; never on to a wider path.
#[test]
fn conditions_decide_within_a_path() {
    let any = |conditions| Match {
        conditions,
        ..rule(None, &[Method::GET], "/a")
    };
    let rules = vec![
        (any(Conditions::default()), "plain"),
        (any(with(&[("x-beta", "")], &[])), "some beta"),
        (any(with(&[("x-beta", "1|2")], &[])), "beta"),
        (any(with(&[("x-beta", "1")], &[("v", "2")])), "beta 2"),
        (
            Match {
                methods: vec![Method::POST],
                ..any(with(&[("x-beta", "1")], &[]))
            },
            "post",
        ),
        (rule(None, &[Method::GET, Method::POST], "/**"), "wide"),
    ];
    let router = Router::new(rules).expect("no ties");
    for (method, beta, query, expected) in [
        ("GET", None, None, Ok("plain")),
        ("GET", Some("3"), None, Ok("some beta")),
        ("GET", Some("2"), None, Ok("beta")),
        ("HEAD", Some("2"), None, Ok("beta")),
        ("GET", Some("1"), Some("v=2"), Ok("beta 2")),
        ("GET", Some("1"), Some("v=3"), Ok("beta")),
        ("GET", None, Some("v=2"), Ok("plain")),
        ("POST", Some("1"), None, Ok("post")),
        // The path has POST, for others: it does not fall through to the wide one.
        ("POST", None, None, Err(Miss::NotFound)),
    ] {
        let mut headers = http::HeaderMap::new();
        if let Some(beta) = beta {
            headers.insert("x-beta", beta.parse().expect("a value"));
        }
        let signs = Signs {
            headers: &headers,
            query,
            preflight: false,
        };
        let method = method.parse().expect("a method");
        let found = router.find("h", &method, "/a", &signs);
        let found = found.map(|found| *found.value);
        assert_eq!(found, expected, "{method} {beta:?} {query:?}");
    }
}

#[test]
fn conditions_that_one_request_could_meet_tie() {
    for (one, other, tied) in [
        (with(&[("a", "1")], &[]), with(&[("b", "1")], &[]), true),
        (with(&[("a", "1")], &[]), with(&[("a", "2")], &[]), false),
        (with(&[("a", "1|2")], &[]), with(&[("a", "2|3")], &[]), true),
        (with(&[("a", "1")], &[]), with(&[("a", "")], &[]), false),
        (with(&[("a", "1")], &[]), with(&[], &[("a", "1")]), true),
        (with(&[], &[("a", "1")]), with(&[], &[("a", "2")]), false),
        (
            with(&[("a", "1"), ("b", "1")], &[]),
            with(&[("c", "1")], &[]),
            false,
        ),
        (Conditions::default(), with(&[("a", "")], &[]), false),
    ] {
        let ruled = |conditions: &Conditions| Match {
            conditions: conditions.clone(),
            ..rule(None, &[Method::GET], "/a")
        };
        let built = Router::new(vec![(ruled(&one), ()), (ruled(&other), ())]);
        assert_eq!(built.is_err(), tied, "{one} / {other}");
    }
}

/// Who asks for two versions at once gets neither, and above all not the route that asks for none:
/// the backend could still read the one that is guarded.
#[test]
fn gateway_17_what_is_said_twice_does_not_lead_past_a_condition() {
    let on = |conditions| Match {
        conditions,
        ..rule(None, &[Method::GET], "/a")
    };
    let router = Router::new(vec![
        (on(with(&[("x-beta", "1")], &[("admin", "1")])), "guarded"),
        (on(with(&[("x-beta", "1")], &[])), "beta"),
        (on(Conditions::default()), "open"),
    ])
    .expect("no ties");
    for (betas, query, expected) in [
        (&["1"][..], "admin=1", Ok("guarded")),
        (&["1"], "admin=1&admin=1", Err(Miss::Unclear)),
        (&["1"], "admin=0&%61dmin=1", Err(Miss::Unclear)),
        (&["1", "1"], "admin=1", Err(Miss::Unclear)),
        (&["1"], "admin=0&admin=2", Ok("beta")),
        (&["2", "1"], "", Err(Miss::Unclear)),
        (&["2", "3"], "", Ok("open")),
        (&["2"], "admin=1&admin=1", Ok("open")),
    ] {
        let beta = http::HeaderName::from_static("x-beta");
        let headers = betas.iter().map(|one| {
            let value = http::HeaderValue::from_static(one);
            (beta.clone(), value)
        });
        let mut all = http::HeaderMap::new();
        headers.for_each(|(name, value)| {
            all.append(name, value);
        });
        for method in [Method::GET, Method::HEAD] {
            let signs = Signs {
                headers: &all,
                query: Some(query),
                preflight: false,
            };
            let found = router.find("h", &method, "/a", &signs);
            assert_eq!(
                found.map(|found| *found.value),
                expected,
                "{betas:?} {query}"
            );
        }
    }
}

/// The definition, spelt out: of the rules that take this host and fit this path those with the
/// most specific host, then of these those with the most specific path.
fn naive<'a>(rules: &'a [(Match, usize)], host: &str, path: &str) -> Vec<&'a (Match, usize)> {
    let by_host = |host: &Host| match host {
        Host::Exact(_) => 0,
        Host::Below(suffix) => 1_000 - suffix.len(),
        Host::Any => 1_000,
    };
    let rank = |rule: &Match| {
        let segments = rule.path.segments().iter();
        let mut rank: Vec<usize> = segments
            .map(|segment| match segment {
                Segment::Literal(_) => 0,
                Segment::Param(_) => 1,
            })
            .collect();
        if rule.path.has_tail() {
            rank.push(2);
        }
        (by_host(&rule.host), rank)
    };
    let fitting = rules
        .iter()
        .filter(|(rule, _)| rule.host.takes(host) && rule.path.matches(path));
    let mut found: Vec<_> = fitting.collect();
    let best = found.iter().map(|(rule, _)| rank(rule)).min();
    found.retain(|(rule, _)| Some(rank(rule)) == best);
    // Conditions: more of them first, then more that name a value.
    found.sort_by_key(|(rule, _)| {
        let all = rule.conditions.headers.iter().map(|(_, wanted)| wanted);
        let named = all.filter(|wanted| **wanted != Wanted::Present).count();
        std::cmp::Reverse((rule.conditions.headers.len(), named))
    });
    found
}

fn segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "{x}"])
}

fn rules() -> impl Strategy<Value = Vec<(Match, usize)>> {
    let path = (prop::collection::vec(segment(), 0..4), any::<bool>()).prop_map(|(steps, tail)| {
        let mut text = String::new();
        for (index, step) in steps.iter().enumerate() {
            text += &format!("/{}", step.replace('x', &format!("x{index}")));
        }
        match (tail, text.is_empty()) {
            (true, _) => text + "/**",
            (false, true) => "/".into(),
            (false, false) => text,
        }
    });
    let host = prop::sample::select(vec![
        None,
        Some("h.i.test"),
        Some("*.test"),
        Some("*.i.test"),
    ]);
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]);
    let conditions = prop::sample::select(vec![
        with(&[], &[]),
        with(&[("a", "1")], &[]),
        with(&[("a", "2")], &[]),
        with(&[("a", "")], &[]),
        with(&[("a", "1"), ("b", "")], &[]),
    ]);
    let rule =
        (host, method, path, conditions).prop_map(|(host, method, path, conditions)| Match {
            conditions,
            ..rule(host, &[method], &path)
        });
    prop::collection::vec(rule, 1..30).prop_map(|rules| rules.into_iter().zip(0..).collect())
}

proptest! {
    #[test]
    fn the_tree_agrees_with_the_definition(
        mut rules in rules(),
        host in prop::sample::select(vec!["h.i.test", "g.i.test", "i.test", "j"]),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]),
        steps in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..5),
        said in prop::sample::select(vec![&[][..], &[("a", "1")], &[("a", "1"), ("b", "1")], &[("a", "3")]]),
    ) {
        while let Err(ties) = Router::new(rules.clone()) {
            rules.remove(ties[0].second);
        }
        let router = Router::new(rules.clone()).expect("the ties are gone");
        let path = format!("/{}", steps.join("/"));
        let pairs = said.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let headers: http::HeaderMap = pairs.collect();
        let signs = Signs { headers: &headers, query: None, preflight: false };
        let best = naive(&rules, host, &path);
        let taking = |wanted: &Method| best.iter().find(|(rule, _)| {
            rule.methods.contains(wanted) && rule.conditions.fit(&signs) == Fit::Holds
        });
        let by_get = || if method == Method::HEAD { taking(&Method::GET) } else { None };
        let expected = taking(&method).or_else(by_get).map(|(_, index)| *index);
        let taken = |wanted: &Method| best.iter().any(|(rule, _)| rule.methods.contains(wanted));
        let has_method = taken(&method) || method == Method::HEAD && taken(&Method::GET);
        match router.find(host, &method, &path, &signs) {
            Ok(found) => prop_assert_eq!(Some(*found.value), expected),
            Err(miss) => {
                prop_assert_eq!(expected, None);
                prop_assert_eq!(miss == Miss::NotFound, best.is_empty() || has_method);
            }
        }
        for unreachable in router.unreachable() {
            prop_assert_ne!(Some(unreachable), expected, "it was reached");
        }
        // The order in the file never counts.
        rules.reverse();
        let reversed = Router::new(rules).expect("no ties");
        let found = reversed.find(host, &method, &path, &signs).ok().map(|found| *found.value);
        prop_assert_eq!(found, expected);
    }
}
