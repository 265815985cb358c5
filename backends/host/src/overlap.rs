//! Apps that share a listener must not want the same request. axum would panic on it; this says
//! who wants what, as far as their documents tell.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use utoipa::openapi::{OpenApi, PathItem};

use crate::config::{AppConfig, Mistake};

/// Each clash is a mistake where the later app stands.
pub(crate) fn check(apps: &[AppConfig]) -> Vec<Mistake> {
    let mut listeners: BTreeMap<SocketAddr, Taken> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for app in apps {
        let taken = listeners.entry(app.settled.bind).or_default();
        mistakes.extend(
            taken
                .admit(app.entry.name, &(app.entry.openapi)())
                .into_iter()
                .map(|clash| {
                    Mistake::new(app.place.clone(), clash).hint("give one of them another `bind`")
                }),
        );
    }
    mistakes
}

/// What is asked for on one listener.
#[derive(Default)]
struct Taken {
    owners: BTreeMap<(String, &'static str), &'static str>,
    paths: BTreeSet<String>,
    shapes: matchit::Router<()>,
}

impl Taken {
    /// Takes an app in; tells what somebody else has already.
    fn admit(&mut self, name: &'static str, document: &OpenApi) -> Vec<String> {
        let mut clashes = Vec::new();
        for (path, item) in &document.paths.paths {
            for method in methods(item) {
                if let Some(other) = self.owners.insert((path.clone(), method), name) {
                    clashes.push(format!("{other} and {name} both answer {method} {path}"));
                }
            }
            // The same shape under other parameter names is a clash as well.
            if self.paths.insert(path.clone())
                && let Err(error) = self.shapes.insert(path.clone(), ())
            {
                clashes.push(format!("{name} cannot answer {path}: {error}"));
            }
        }
        clashes
    }
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

    fn judge(first: (HttpMethod, &str), second: (HttpMethod, &str)) -> Vec<String> {
        let mut taken = Taken::default();
        assert!(taken.admit("users", &document(first.0, first.1)).is_empty());
        taken.admit("transactions", &document(second.0, second.1))
    }

    #[test]
    fn the_same_request_is_told_with_both_names() {
        let clashes = judge((HttpMethod::Get, "/v1/me"), (HttpMethod::Get, "/v1/me"));
        assert_eq!(clashes, ["users and transactions both answer GET /v1/me"]);
        let clashes = judge((HttpMethod::Get, "/a/{x}"), (HttpMethod::Post, "/a/{y}"));
        assert!(
            clashes[0].starts_with("transactions cannot answer /a/{y}: "),
            "{clashes:?}"
        );
    }

    #[test]
    fn neighbours_are_fine() {
        for (first, second) in [
            ((HttpMethod::Get, "/v1/me"), (HttpMethod::Patch, "/v1/me")),
            ((HttpMethod::Get, "/v1/{x}"), (HttpMethod::Get, "/v1/me")),
            ((HttpMethod::Get, "/v1/{x}"), (HttpMethod::Get, "/v1/{x}/y")),
        ] {
            assert_eq!(judge(first, second), [""; 0]);
        }
    }
}
