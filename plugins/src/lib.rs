//! The plugins that are built into the gateway.
//!
//! One plugin is one file: its example, its `Config`, its `Plugin`, its tests. To add one, write
//! the file and put its word into the list below.

/// Declares the rooms and gathers their kinds.
macro_rules! builtin {
    ($($room:ident),+ $(,)?) => {
        $(pub mod $room;)+

        /// Every kind of plugin that is built in, in the order in which they are listed.
        pub const BUILTIN: &[plugin_sdk::Kind] = &[$(plugin_sdk::Kind::of::<$room::Plugin>()),+];
    };
}

builtin! {
    request_id, cors,
    jwt, introspection, oidc, api_key, signature, client_certificate,
    acl, rate_limit, quota, concurrency, penalty, validate, headers
}

// What the kinds of limits share: whose calls they count, how, and together with whom.
mod cluster;
mod meter;
mod whose;

#[cfg(test)]
mod tests;
