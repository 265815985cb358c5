//! Apps that share a listener must not want the same request. axum would panic on it; this says
//! who wants what, before anything is started.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::bail;
use utoipa::openapi::{OpenApi, PathItem};

/// Checks the documents of all apps, listener by listener.
pub(crate) fn check(apps: &[(SocketAddr, &'static str, OpenApi)]) -> anyhow::Result<()> {
    let mut listeners: BTreeMap<SocketAddr, Taken> = BTreeMap::new();
    let mut clashes = Vec::new();
    for (bind, name, document) in apps {
        let taken = listeners.entry(*bind).or_default();
        for (path, item) in &document.paths.paths {
            for method in methods(item) {
                let before = taken.owners.insert((path.clone(), method), name);
                if let Some(other) = before.filter(|other| other != name) {
                    clashes.push(format!("{other} and {name} both answer {method} {path}"));
                }
            }
            // The same shape under other parameter names is a clash as well.
            if !taken.paths.contains_key(path) {
                if let Err(error) = taken.shapes.insert(path.clone(), ()) {
                    clashes.push(format!("{name}: {path}: {error}"));
                }
                taken.paths.insert(path.clone(), name);
            }
        }
    }
    if clashes.is_empty() {
        return Ok(());
    }
    bail!(
        "apps on one `bind` want the same requests; give one of them another `bind`:\n  {}",
        clashes.join("\n  ")
    )
}

#[derive(Default)]
struct Taken {
    owners: BTreeMap<(String, &'static str), &'static str>,
    paths: BTreeMap<String, &'static str>,
    shapes: matchit::Router<()>,
}

fn methods(item: &PathItem) -> impl Iterator<Item = &'static str> {
    [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("OPTIONS", &item.options),
        ("HEAD", &item.head),
        ("PATCH", &item.patch),
        ("TRACE", &item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_ref().map(|_| method))
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::openapi::path::{HttpMethod, Operation};
    use utoipa::openapi::{Info, Paths};

    fn document(method: HttpMethod, path: &str) -> OpenApi {
        let mut paths = Paths::new();
        paths.add_path_operation(path, vec![method], Operation::new());
        OpenApi::new(Info::new("t", "1"), paths)
    }

    fn judge(a: (&str, HttpMethod, &str), b: (&str, HttpMethod, &str)) -> Result<(), String> {
        let apps = [(a, "users"), (b, "transactions")].map(|((bind, method, path), name)| {
            (
                bind.parse().expect("an address"),
                name,
                document(method, path),
            )
        });
        check(&apps).map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_request_on_one_listener_is_told_with_both_names() {
        let one = "127.0.0.1:1";
        let error = judge(
            (one, HttpMethod::Get, "/v1/me"),
            (one, HttpMethod::Get, "/v1/me"),
        );
        let error = error.expect_err("a clash");
        assert!(
            error.contains("users and transactions both answer GET /v1/me"),
            "{error}"
        );
        let error = judge(
            (one, HttpMethod::Get, "/a/{x}"),
            (one, HttpMethod::Post, "/a/{y}"),
        );
        assert!(error.expect_err("a clash").contains("transactions: /a/{y}"));
    }

    #[test]
    fn neighbours_and_other_listeners_are_fine() {
        let (one, two) = ("127.0.0.1:1", "127.0.0.1:2");
        for (a, b) in [
            (
                (one, HttpMethod::Get, "/v1/me"),
                (two, HttpMethod::Get, "/v1/me"),
            ),
            (
                (one, HttpMethod::Get, "/v1/me"),
                (one, HttpMethod::Patch, "/v1/me"),
            ),
            (
                (one, HttpMethod::Get, "/v1/{x}"),
                (one, HttpMethod::Get, "/v1/me"),
            ),
        ] {
            assert_eq!(judge(a, b), Ok(()));
        }
    }
}
