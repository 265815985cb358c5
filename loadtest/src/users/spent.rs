//! What the processes of the product have used of the processor.

use std::ops::Sub;
use std::time::Duration;

use anyhow::Context;
use local::process::{cpu_time, family_cpu_time};
use local::product::{Product, Service};

/// CPU time, user's and system's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) gateway: Duration,
    pub(super) backend: Duration,
    /// The server and everybody who works for it.
    pub(super) postgres: Duration,
}

impl Spent {
    pub(super) fn of(product: &Product) -> anyhow::Result<Self> {
        let cluster = product.cluster().context("a cluster of our own")?;
        let own = |service| cpu_time(product.pid(service));
        Ok(Self {
            gateway: own(Service::Gateway)?,
            backend: own(Service::Backend)?,
            postgres: family_cpu_time(cluster.pid())?,
        })
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            gateway: self.gateway.saturating_sub(before.gateway),
            backend: self.backend.saturating_sub(before.backend),
            postgres: self.postgres.saturating_sub(before.postgres),
        }
    }
}
