use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntGauge;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Who is connected: how many in all, and how many from each address.
pub(super) struct Census {
    present: Mutex<HashMap<IpAddr, usize>>,
    all: IntGauge,
    /// The gauge counts for Prometheus; this one decides.
    count: std::sync::atomic::AtomicUsize,
    left: Notify,
}

/// One connection; leaves when dropped.
pub(super) struct Guest {
    census: Arc<Census>,
    /// Where it is from, once that is known.
    from: Option<IpAddr>,
}

impl Census {
    pub(super) fn new(listener: &str, metrics: &Metrics) -> Self {
        Self {
            present: Mutex::default(),
            all: metrics.connections.with_label_values(&[listener]),
            count: 0.into(),
            left: Notify::new(),
        }
    }

    /// Waits until fewer than `cap()` are here. The cap may change meanwhile.
    pub(super) async fn room(&self, cap: impl Fn() -> usize) {
        self.until(|count| count < cap().max(1)).await;
    }

    /// Waits until nobody is here.
    pub(super) async fn empty(&self) {
        self.until(|count| count == 0).await;
    }

    async fn until(&self, done: impl Fn(usize) -> bool) {
        loop {
            // Asked for before looking: a leave in between is not missed.
            let left = self.left.notified();
            let mut left = std::pin::pin!(left);
            left.as_mut().enable();
            if done(self.count.load(std::sync::atomic::Ordering::Acquire)) {
                return;
            }
            left.await;
        }
    }

    /// Lets one in.
    pub(super) fn enter(self: &Arc<Self>) -> Guest {
        self.all.inc();
        self.count.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        Guest {
            census: self.clone(),
            from: None,
        }
    }
}

impl Guest {
    /// Says where it is from; `false` when `per_address` from there are in already.
    #[must_use]
    pub(super) fn is_from(&mut self, from: IpAddr, per_address: usize) -> bool {
        let from = neighbourhood(from);
        let present = &self.census.present;
        let mut present = present.lock().unwrap_or_else(PoisonError::into_inner);
        let here = present.entry(from).or_default();
        if *here >= per_address {
            return false;
        }
        *here += 1;
        self.from = Some(from);
        true
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(from) = self.from {
            let present = &self.census.present;
            let mut present = present.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(here) = present.get_mut(&from) {
                *here -= 1;
                if *here == 0 {
                    present.remove(&from);
                }
            }
        }
        self.census.all.dec();
        self.census
            .count
            .fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        self.census.left.notify_waiters();
    }
}

/// An IPv6 client owns at least a /64: its addresses count as one.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_its_share_and_gives_it_back() {
        let census = Arc::new(Census::new("edge", &Metrics::default()));
        let enter = |from: &str| {
            let mut guest = census.enter();
            let from = from.parse().expect("an address");
            guest.is_from(from, 2).then_some(guest)
        };
        let first = enter("2001:db8::1");
        assert!(first.is_some());
        let second = enter("2001:db8::ffff:1");
        assert!(second.is_some());
        assert!(enter("2001:db8::3").is_none(), "the same /64");
        assert!(enter("2001:db8:0:1::1").is_some(), "another /64");
        drop(first);
        assert!(enter("2001:db8::3").is_some());
        drop(second);
        assert!(census.present.lock().expect("one thread").is_empty());
    }
}
