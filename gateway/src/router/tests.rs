use proptest::prelude::*;

use super::*;

fn rule(host: Option<&str>, methods: &[Method], path: &str) -> Match {
    Match {
        host: host.map(String::from),
        methods: methods.to_vec(),
        path: Pattern::parse(path).expect(path),
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
    match router.find("any", &method.parse().expect("a method"), path) {
        Ok(found) => {
            let params = found
                .params
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            found.value.clone() + &params.collect::<String>()
        }
        Err(Miss::NotFound) => "404".into(),
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
    ];
    let router = Router::new(rules).expect("no ties");
    let find = |host, path| {
        router
            .find(host, &Method::GET, path)
            .map(|found| *found.value)
    };
    assert_eq!(find("one.test", "/a/b"), Ok("one"));
    assert_eq!(find("two.test", "/a/b"), Ok("any"));
    assert_eq!(find("two.test", "/c/b"), Err(Miss::NotFound));
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
        let found = router.find("h", &Method::GET, &format!("/v1/r{n}/7"));
        assert_eq!(found.map(|found| *found.value).ok(), Some(n));
    }
}

/// The definition, spelt out: of the rules with this host, else of those for any host, the path
/// that fits and comes first when literals precede parameters precede `/**`.
fn naive<'a>(rules: &'a [(Match, usize)], host: &str, path: &str) -> Vec<&'a (Match, usize)> {
    let fitting = |wanted: Option<&str>| {
        let of_host = rules
            .iter()
            .filter(|(rule, _)| rule.host.as_deref() == wanted);
        of_host
            .filter(|(rule, _)| rule.path.matches(path))
            .collect::<Vec<_>>()
    };
    let mut found = fitting(Some(host));
    if found.is_empty() {
        found = fitting(None);
    }
    let rank = |rule: &Match| {
        let segments = rule.path.segments().iter();
        let mut rank: Vec<u8> = segments
            .map(|segment| match segment {
                Segment::Literal(_) => 0,
                Segment::Param(_) => 1,
            })
            .collect();
        if rule.path.has_tail() {
            rank.push(2);
        }
        rank
    };
    let best = found.iter().map(|(rule, _)| rank(rule)).min();
    found.retain(|(rule, _)| Some(rank(rule)) == best);
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
    let host = prop::sample::select(vec![None, Some("h")]);
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]);
    let rule = (host, method, path).prop_map(|(host, method, path)| rule(host, &[method], &path));
    prop::collection::vec(rule, 1..30).prop_map(|rules| rules.into_iter().zip(0..).collect())
}

proptest! {
    #[test]
    fn the_tree_agrees_with_the_definition(
        mut rules in rules(),
        host in prop::sample::select(vec!["h", "i"]),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]),
        steps in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..5),
    ) {
        while let Err(ties) = Router::new(rules.clone()) {
            rules.remove(ties[0].second);
        }
        let router = Router::new(rules.clone()).expect("the ties are gone");
        let path = format!("/{}", steps.join("/"));
        let best = naive(&rules, host, &path);
        let taking = |wanted: &Method| best.iter().find(|(rule, _)| rule.methods.contains(wanted));
        let by_get = || if method == Method::HEAD { taking(&Method::GET) } else { None };
        let expected = taking(&method).or_else(by_get).map(|(_, index)| *index);
        match router.find(host, &method, &path) {
            Ok(found) => prop_assert_eq!(Some(*found.value), expected),
            Err(miss) => {
                prop_assert_eq!(expected, None);
                prop_assert_eq!(miss == Miss::NotFound, best.is_empty());
            }
        }
        // The order in the file never counts.
        rules.reverse();
        let reversed = Router::new(rules).expect("no ties");
        let found = reversed.find(host, &method, &path).ok().map(|found| *found.value);
        prop_assert_eq!(found, expected);
    }
}
