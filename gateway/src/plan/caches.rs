use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::CachePolicy;
use super::source::Source;
use crate::table;

const MAX_SIZE: u64 = 16 << 20;

/// Compiles the caches.
pub(super) fn compile(source: &mut Source<'_>) -> BTreeMap<String, Arc<CachePolicy>> {
    let mut caches = BTreeMap::new();
    for (name, part) in source.entries("caches", "cache") {
        let Some(written) = part.read::<table::Cache>(&mut source.findings) else {
            continue;
        };
        let mut vary = Vec::new();
        for (index, header) in written.vary.iter().enumerate() {
            match header.parse::<HeaderName>() {
                Ok(header) => vary.push(header),
                Err(_) => {
                    let message = format!("varies by `{header}`, which is no header's name");
                    let at = ["vary", &index.to_string()];
                    source.findings.push(part.error("vary", &at, message));
                }
            }
        }
        let policy = CachePolicy {
            name: name.as_str().into(),
            ttl: written.ttl.0,
            stale: written.stale.map_or(Duration::ZERO, |period| period.0),
            vary,
            max_size: written.max_size.map_or(MAX_SIZE, |size| size.0),
        };
        caches.insert(name, Arc::new(policy));
    }
    caches
}
