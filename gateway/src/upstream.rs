//! Groups of addresses that serve the same thing: which of them gets a request, and which is left
//! alone for a while.
//!
//! Names are resolved and health is asked for in the background; a request only ever reads.

mod ask;
mod group;
mod template;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::metrics::Metrics;
use crate::plan;

pub use ask::Fault;
pub use group::{Group, Lease};

/// Attempts at one request, whatever the route says.
pub const MAX_ATTEMPTS: u32 = 4;

/// The groups of the table that is served, by the upstream's name.
pub struct Upstreams {
    groups: ArcSwap<HashMap<Arc<str>, Arc<Group>>>,
    /// Held while groups are made; a request takes it only for a name that is not there yet.
    making: Mutex<()>,
    metrics: Arc<Metrics>,
}

impl Upstreams {
    /// None yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            groups: ArcSwap::default(),
            making: Mutex::new(()),
            metrics,
        }
    }

    /// Makes the groups those of the plan, once new ones know their addresses, or `within` has
    /// passed: until then the old ones serve. A group whose upstream did not change stays, with
    /// what it knows. Must run within the runtime.
    pub async fn take(
        &self,
        upstreams: &BTreeMap<Arc<str>, Arc<plan::Upstream>>,
        within: Duration,
    ) {
        let old = self.groups.load_full();
        let groups = upstreams.iter().map(|(name, upstream)| {
            let group = match old.get(name) {
                Some(group) if group.upstream() == &**upstream => group.clone(),
                _ => Group::start(upstream.clone(), &self.metrics),
            };
            (name.clone(), group)
        });
        let groups: HashMap<_, _> = groups.collect();
        let resolved = futures::future::join_all(groups.values().map(|group| group.resolved()));
        // A name that can't be resolved yet must not keep the others waiting.
        let _ = tokio::time::timeout(within, resolved).await;
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.groups.store(Arc::new(groups));
    }

    /// The group of an upstream. A request that began under a table that is gone by now may ask
    /// for one that is not there: it is made then.
    pub fn group(&self, upstream: &Arc<plan::Upstream>) -> Arc<Group> {
        if let Some(group) = self.groups.load().get(&upstream.name) {
            return group.clone();
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups = HashMap::clone(&self.groups.load());
        let group = groups
            .entry(upstream.name.clone())
            .or_insert_with(|| Group::start(upstream.clone(), &self.metrics))
            .clone();
        self.groups.store(Arc::new(groups));
        group
    }
}
