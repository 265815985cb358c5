use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::ask::{Asker, Fault};
use super::template;
use super::watch::{health, resolve};
use crate::metrics::Metrics;
use crate::plan;

/// Connects in a row that fail before a target is left alone.
const EJECT_AFTER: u32 = 3;
/// For how long.
const EJECTED: Duration = Duration::from_secs(5);
/// What a slow client sends in a second, in bytes.
const SLOW_UPLOAD: u64 = 32 * 1024;

/// The addresses of one upstream and what is known of each.
pub struct Group {
    upstream: Arc<plan::Upstream>,
    members: ArcSwap<Vec<Arc<Member>>>,
    dice: AtomicU64,
    started: Instant,
    resolved: watch::Sender<bool>,
    pub(super) metrics: Arc<Metrics>,
    tasks: std::sync::OnceLock<Vec<AbortHandle>>,
    asker: Asker,
}

/// An address that was found, and the name that it must prove in TLS; empty in plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) name: Arc<str>,
}

impl Place {
    /// What is at `address` for a target `host:port`.
    pub(super) fn new(upstream: &plan::Upstream, target: &str, address: SocketAddr) -> Self {
        let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
        let name = upstream.tls.as_ref().map(|tls| {
            let name = tls.server_name.as_deref().unwrap_or(host);
            name.trim_start_matches('[').trim_end_matches(']')
        });
        Self {
            address,
            name: name.unwrap_or_default().into(),
        }
    }
}

/// One address.
pub(super) struct Member {
    pub(super) address: SocketAddr,
    /// What it must prove to be; empty in plain HTTP.
    pub(super) name: Arc<str>,
    /// Cloned for each attempt: the transport wants a box of its own.
    template: HttpPeer,
    in_flight: AtomicUsize,
    /// Connects that failed since the last one that did not.
    failures: AtomicU32,
    /// Milliseconds since the group's start; 0 when it never was.
    ejected_until: AtomicU64,
    pub(super) healthy: AtomicBool,
}

/// A target, taken for one attempt.
pub struct Lease {
    group: Arc<Group>,
    member: Arc<Member>,
}

impl Group {
    /// Makes a group and starts what watches over it. Must run within the runtime.
    pub(super) fn start(upstream: Arc<plan::Upstream>, metrics: &Arc<Metrics>) -> Arc<Self> {
        let group = Arc::new(Self {
            members: ArcSwap::default(),
            // Any start will do: it only has to differ from call to call.
            dice: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            started: Instant::now(),
            resolved: watch::Sender::new(false),
            metrics: metrics.clone(),
            tasks: std::sync::OnceLock::new(),
            asker: Asker::new(&upstream),
            upstream,
        });
        // Addresses need no one to ask: they serve at once.
        let literal: Option<Vec<Place>> = group
            .upstream
            .targets
            .iter()
            .map(|target| Some(Place::new(&group.upstream, target, target.parse().ok()?)))
            .collect();
        let mut tasks = Vec::new();
        match literal {
            Some(addresses) => group.set(&addresses),
            None => tasks.push(tokio::spawn(resolve(Arc::downgrade(&group))).abort_handle()),
        }
        if let Some(check) = &group.upstream.health {
            let task = health(Arc::downgrade(&group), check.clone());
            tasks.push(tokio::spawn(task).abort_handle());
        }
        // The cell is fresh.
        let _ = group.tasks.set(tasks);
        group
    }

    /// What it was made from.
    pub fn upstream(&self) -> &plan::Upstream {
        &self.upstream
    }

    /// Takes the better of two targets picked at random: the one with less to do. Never one of
    /// `tried`, unless nothing else is left; `None` when no address is known.
    ///
    /// When all are ejected or unhealthy one of them is taken nevertheless: our verdict may be
    /// wrong, and a refused connection costs less than an outage that we made ourselves.
    pub fn choose(self: &Arc<Self>, tried: &[SocketAddr]) -> Option<Lease> {
        let members = self.members.load();
        let now = self.now_ms();
        let fresh = |member: &&Arc<Member>| !tried.contains(&member.address);
        let usable: Vec<&Arc<Member>> = members
            .iter()
            .filter(fresh)
            .filter(|member| member.usable(now))
            .collect();
        let member = match usable.len() {
            0 => members.iter().find(fresh).or_else(|| members.first())?,
            1 => usable[0],
            n => {
                let (one, two) = (self.roll(n), self.roll(n - 1));
                // The second throw skips the first one's pick.
                let two = if two >= one { two + 1 } else { two };
                std::cmp::min_by_key(usable[one], usable[two], |member| {
                    member.in_flight.load(Ordering::Relaxed)
                })
            }
        };
        member.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Lease {
            group: self.clone(),
            member: member.clone(),
        })
    }

    /// Waits until the addresses are known or were asked for in vain.
    pub(super) async fn resolved(&self) {
        // The sender lives as long as the group.
        let _ = self
            .resolved
            .subscribe()
            .wait_for(|resolved| *resolved)
            .await;
    }

    /// Replaces the addresses. One that stays keeps what is known of it.
    pub(super) fn set(&self, places: &[Place]) {
        let old = self.members.load();
        let members = places.iter().map(|place| {
            let known = old
                .iter()
                .find(|member| member.address == place.address && member.name == place.name);
            known
                .cloned()
                .unwrap_or_else(|| Arc::new(Member::new(place, &self.upstream)))
        });
        self.members.store(Arc::new(members.collect()));
        self.resolved.send_replace(true);
        self.report();
    }

    /// The addresses can't be learned now: what is known stays.
    pub(super) fn unresolved(&self) {
        self.failed("resolve");
        self.resolved.send_replace(true);
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn members(&self) -> Arc<Vec<Arc<Member>>> {
        self.members.load_full()
    }

    /// Counts a failed attempt.
    pub fn failed(&self, reason: &str) {
        self.metrics
            .upstream_errors
            .with_label_values(&[&*self.upstream.name, reason])
            .inc();
    }

    pub(super) fn report(&self) {
        let now = self.now_ms();
        let usable = self
            .members
            .load()
            .iter()
            .filter(|member| member.usable(now))
            .count();
        self.metrics
            .upstream_targets
            .with_label_values(&[&*self.upstream.name])
            .set(i64::try_from(usable).unwrap_or(i64::MAX));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A number below `n`, evenly enough for sharing work.
    fn roll(&self, n: usize) -> usize {
        // SplitMix64: its state may be advanced by all threads at once.
        let mut z = self
            .dice
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.tasks
            .get()
            .into_iter()
            .flatten()
            .for_each(AbortHandle::abort);
    }
}

impl Member {
    fn new(place: &Place, upstream: &plan::Upstream) -> Self {
        Self {
            address: place.address,
            name: place.name.clone(),
            template: template::of(place, upstream),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
        }
    }

    fn usable(&self, now_ms: u64) -> bool {
        self.healthy.load(Ordering::Relaxed) && self.ejected_until.load(Ordering::Relaxed) <= now_ms
    }
}

impl Lease {
    /// The target as the transport wants it. `read` bounds the wait for each part of the answer;
    /// `upload` is how much of the request's body may still have to come, in bytes.
    ///
    /// On HTTP/2 the transport counts from the request's head, even while a body is on its way.
    /// Such a body gets the time that a slow client takes, a second for each 32 KiB.
    pub fn peer(&self, read: Duration, upload: u64) -> Box<HttpPeer> {
        let mut peer = Box::new(self.member.template.clone());
        let allowance = match self.group.upstream.h2 {
            true => Duration::from_secs(upload.div_ceil(SLOW_UPLOAD)),
            false => Duration::ZERO,
        };
        peer.options.read_timeout = Some(read.saturating_add(allowance));
        peer
    }

    /// Asks it a question of our own, over a connection made for it, the way that requests are sent
    /// there. `limit` bounds the answer's body, in bytes; without one it is not read. Time is the
    /// caller's to bound.
    pub async fn ask(
        &self,
        request: http::Request<Bytes>,
        limit: Option<usize>,
    ) -> Result<http::Response<Bytes>, Fault> {
        let (address, name) = (self.member.address, &self.member.name);
        self.group.asker.ask(address, name, request, limit).await
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.member.address
    }

    /// The group it is of.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// A connection was made.
    pub fn connected(&self, reused: bool) {
        self.member.failures.store(0, Ordering::Relaxed);
        self.group
            .metrics
            .upstream_connections
            .with_label_values(&[
                &*self.group.upstream.name,
                if reused { "yes" } else { "no" },
            ])
            .inc();
    }

    /// No connection could be made. After some of these in a row the target is left alone.
    pub fn unreachable(&self, reason: &str) {
        self.group.failed(reason);
        let failures = self.member.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_multiple_of(EJECT_AFTER) {
            let until = self.group.now_ms() + u64::try_from(EJECTED.as_millis()).unwrap_or(0);
            self.member.ejected_until.store(until, Ordering::Relaxed);
            self.group.report();
            tracing::warn!(
                upstream = %self.group.upstream.name,
                target = %self.member.address,
                failures,
                "a target can't be reached and is left alone for a while"
            );
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.member.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(targets: &[&str]) -> Arc<Group> {
        let upstream = plan::Upstream {
            name: "users".into(),
            targets: targets.iter().map(ToString::to_string).collect(),
            tls: None,
            h2: false,
            connect_timeout: Duration::from_secs(1),
            health: None,
        };
        Group::start(Arc::new(upstream), &Arc::new(Metrics::default()))
    }

    #[test]
    fn work_goes_to_who_has_less_of_it() {
        let group = group(&["192.0.2.1:80", "192.0.2.2:80"]);
        let leases: Vec<Lease> = (0..10).filter_map(|_| group.choose(&[])).collect();
        let first = leases
            .iter()
            .filter(|lease| lease.address().ip().to_string() == "192.0.2.1");
        assert_eq!(first.count(), 5);
        drop(leases);
        assert!(
            group
                .members()
                .iter()
                .all(|m| m.in_flight.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn a_target_that_can_not_be_reached_is_left_alone_unless_it_is_the_last() {
        let group = group(&["192.0.2.1:80", "192.0.2.2:80"]);
        let (one, two) = (
            "192.0.2.1:80".parse().expect("an address"),
            "192.0.2.2:80".parse().expect("an address"),
        );
        let lease = group.choose(&[two]).expect("the first");
        assert_eq!(lease.address(), one);
        for _ in 0..EJECT_AFTER {
            lease.unreachable("refused");
        }
        drop(lease);
        for _ in 0..20 {
            assert_eq!(group.choose(&[]).expect("the second").address(), two);
        }
        assert_eq!(
            group.choose(&[two]).expect("better than nothing").address(),
            one
        );
    }
}
