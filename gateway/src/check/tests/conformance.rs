//! The Gateway API's conformance cases of matching (kubernetes-sigs/gateway-api, `conformance/tests`),
//! restated as tables with tests of their own. Two of its answers are not ours: HEAD goes where GET
//! goes (RFC 9110 §9.3.2), and where it lets the order of rules decide we refuse the table.

use super::*;

/// A table of routes, `match → upstream`, and of requests, `request → upstream or status`.
fn table(routes: &[(&str, &str)], requests: &[(&str, &str)]) -> String {
    let mut table = GOOD.to_owned();
    let start = table.find("routes:\n").expect("routes");
    table.truncate(start);
    table = table.replace(
        "upstreams:\n",
        "upstreams:\n  v1: { targets: [\"http://127.0.0.1:1\"] }\n  v2: { targets: [\"http://127.0.0.1:2\"] }\n  \
         v3: { targets: [\"http://127.0.0.1:3\"] }\n",
    );
    table += "routes:\n";
    for (index, (matches, to)) in routes.iter().enumerate() {
        let method = if matches.contains("method:") {
            ""
        } else {
            "method: GET, "
        };
        table += &format!(
            "  - {{ id: r{index}, match: {{ {method}{matches} }}, to: {to}, auth: none, why_public: a test }}\n"
        );
    }
    table += "tests:\n";
    for (request, expected) in requests {
        let expected = match expected.parse::<u16>() {
            Ok(status) => format!("status: {status}"),
            Err(_) => format!("upstream: {expected}"),
        };
        let request = match request.starts_with('/') {
            true => format!("GET {request}"),
            false => (*request).to_owned(),
        };
        table += &format!("  - {{ request: {request}, expect: {{ {expected} }} }}\n");
    }
    table
}

fn holds(routes: &[(&str, &str)], requests: &[(&str, &str)]) {
    let said = check(&table(routes, requests));
    assert!(said.contains("routes.yaml: good"), "{said}");
    // The order of the routes never counts.
    let reversed: Vec<_> = routes.iter().rev().copied().collect();
    let said = check(&table(&reversed, requests));
    assert!(said.contains("routes.yaml: good"), "{said}");
}

#[test]
fn httproute_matching() {
    holds(
        &[
            ("path: /**", "v1"),
            ("path: /**, headers: { version: one }", "v1"),
            ("path: /v2/**", "v2"),
            ("path: /**, headers: { version: two }", "v2"),
        ],
        &[
            ("/", "v1"),
            ("/example", "v1"),
            ("/, headers: { Version: one }", "v1"),
            ("/v2", "v2"),
            ("/v2/example", "v2"),
            ("/, headers: { Version: two }", "v2"),
            ("/v2example", "v1"),
        ],
    );
}

#[test]
fn httproute_matching_across_routes() {
    holds(
        &[
            ("host: example.com, path: /**", "v1"),
            ("host: example.net, path: /**", "v1"),
            ("host: example.com, path: /v2/**", "v2"),
            (
                "host: example.com, path: /**, headers: { version: two }",
                "v2",
            ),
        ],
        &[
            ("/, host: example.com", "v1"),
            ("/example, host: example.com", "v1"),
            ("/example, host: example.net", "v1"),
            (
                "/example, host: example.com, headers: { Version: one }",
                "v1",
            ),
            ("/v2, host: example.com", "v2"),
            ("/v2, host: example.net", "v1"),
            ("/v2/example, host: example.com", "v2"),
            ("/, host: example.com, headers: { Version: two }", "v2"),
            ("/, host: example.org", "404"),
        ],
    );
}

#[test]
fn httproute_header_matching() {
    holds(
        &[
            ("path: /, headers: { version: one }", "v1"),
            ("path: /, headers: { version: two }", "v2"),
            ("path: /, headers: { version: two, color: orange }", "v1"),
        ],
        &[
            ("/, headers: { Version: one }", "v1"),
            ("/, headers: { Version: two }", "v2"),
            ("/, headers: { Version: two, Color: orange }", "v1"),
            ("/, headers: { Version: two, Color: blue }", "v2"),
            ("/, headers: { Color: orange }", "404"),
            ("/, headers: { Some-Other-Header: one }", "404"),
        ],
    );
    holds(
        &[
            ("path: /, headers: { color: [blue, green] }", "v1"),
            ("path: /, headers: { color: [red, yellow] }", "v2"),
        ],
        &[
            ("/, headers: { Color: blue }", "v1"),
            ("/, headers: { Color: green }", "v1"),
            ("/, headers: { Color: red }", "v2"),
            ("/, headers: { Color: yellow }", "v2"),
            ("/, headers: { Color: purple }", "404"),
        ],
    );
    let both = [
        ("path: /, headers: { version: one }", "v1"),
        ("path: /, headers: { color: blue }", "v2"),
    ];
    assert!(check(&table(&both, &[])).contains("error[route.tie]"));
}

#[test]
fn httproute_query_param_matching() {
    holds(
        &[
            ("path: /, query: { animal: whale }", "v1"),
            ("path: /, query: { animal: dolphin }", "v2"),
            ("path: /, query: { animal: dolphin, color: blue }", "v3"),
            ("path: /path1, query: { animal: whale }", "v1"),
            (
                "path: /, query: { animal: whale }, headers: { version: one }",
                "v2",
            ),
            (
                "path: /path2, query: { animal: whale }, headers: { version: two }",
                "v3",
            ),
            ("path: /path5", "v1"),
            ("path: /path5, query: { animal: hydra }", "v3"),
        ],
        &[
            ("/?animal=whale", "v1"),
            ("/?animal=dolphin", "v2"),
            ("/?animal=dolphin&color=blue", "v3"),
            ("/?ANIMAL=whale", "404"),
            ("/?animal=Whale", "404"),
            ("/?animal=whale&otherparam=irrelevant", "v1"),
            ("/?animal=dolphin&color=yellow", "v2"),
            ("/?color=blue", "404"),
            ("/?animal=dog", "404"),
            ("/?animal=whaledolphin", "404"),
            ("/", "404"),
            ("/path1?animal=whale", "v1"),
            ("/?animal=whale, headers: { version: one }", "v2"),
            ("/path2?animal=whale, headers: { version: two }", "v3"),
            ("/path2?animal=whale", "404"),
            ("/path5?animal=hydra", "v3"),
            ("/path5?animal=other", "v1"),
        ],
    );
}

#[test]
fn httproute_path_match_order() {
    holds(
        &[
            ("path: /match/exact/one", "v3"),
            ("path: /match/exact", "v2"),
            ("path: /match", "v1"),
            ("path: /match/prefix/one/**", "v2"),
            ("path: /match/prefix/**", "v1"),
            ("path: /match/**", "v3"),
        ],
        &[
            ("/match/exact/one", "v3"),
            ("/match/exact", "v2"),
            ("/match", "v1"),
            ("/match/prefix/one/any", "v2"),
            ("/match/prefix/any", "v1"),
            ("/match/any", "v3"),
        ],
    );
}

#[test]
fn httproute_method_matching() {
    holds(
        &[
            ("method: POST, path: /", "v1"),
            ("method: GET, path: /", "v2"),
            ("method: GET, path: /path1", "v1"),
            ("method: PUT, path: /, headers: { version: one }", "v2"),
            ("method: PATCH, path: /path5", "v1"),
            (
                "method: PATCH, path: /path5, headers: { version: four }",
                "v2",
            ),
        ],
        &[
            ("POST /", "v1"),
            ("GET /", "v2"),
            ("HEAD /", "v2"),
            ("GET /path1", "v1"),
            ("PUT /, headers: { version: one }", "v2"),
            ("PUT /", "404"),
            ("DELETE /", "405"),
            ("POST /path1", "405"),
            ("PATCH /path5", "v1"),
            ("PATCH /path5, headers: { version: four }", "v2"),
        ],
    );
}

#[test]
fn httproute_hostname_intersection() {
    holds(
        &[
            ("host: very.specific.com, path: /s1/**", "v1"),
            ("host: '*.wildcard.io', path: /s2/**", "v2"),
            ("host: '*.anotherwildcard.io', path: /s3/**", "v3"),
            ("host: deep.wildcard.io, path: /s2/**", "v3"),
        ],
        &[
            ("/s1, host: very.specific.com", "v1"),
            ("/s1, host: non.matching.com", "404"),
            ("/s1, host: specific.com", "404"),
            ("/s2, host: foo.wildcard.io", "v2"),
            ("/s2, host: foo.bar.wildcard.io", "v2"),
            ("/s2, host: deep.wildcard.io", "v3"),
            ("/s2, host: wildcard.io", "404"),
            ("/s3, host: one.anotherwildcard.io", "v3"),
            ("/s2, host: one.anotherwildcard.io", "404"),
        ],
    );
}
