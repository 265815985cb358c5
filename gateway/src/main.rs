//! The guarded door: TLS, routes, policies, plugins, upstreams.

fn main() {}
