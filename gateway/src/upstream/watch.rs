use std::net::SocketAddr;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::ask::Asker;
use super::group::{Group, Member, Place};
use crate::plan::{self, Health};

/// Between two questions to the resolver: names move, and a failed question is soon asked again.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// For one question to the resolver, or to a target about its health.
const ANSWER: Duration = Duration::from_secs(2);
/// Bad answers in a row that make a target unhealthy. One good one makes it healthy again.
const UNHEALTHY_AFTER: u32 = 3;

/// Keeps a group's addresses current until the group is gone.
pub(super) async fn resolve(group: Weak<Group>) {
    loop {
        let Some(upstream) = group.upgrade().map(|group| group.upstream().clone()) else {
            return;
        };
        let addresses = look_up(&upstream).await;
        let Some(group) = group.upgrade() else { return };
        match addresses {
            Ok(addresses) if !addresses.is_empty() => group.set(&addresses),
            Ok(_) => group.unresolved(),
            Err(error) => {
                tracing::warn!(upstream = %group.upstream().name, %error, "can't be resolved");
                group.unresolved();
            }
        }
        drop(group);
        tokio::time::sleep(RESOLVE_EVERY).await;
    }
}

/// The addresses of all targets. One that fails fails all: half a group would look like a whole.
async fn look_up(upstream: &plan::Upstream) -> std::io::Result<Vec<Place>> {
    let mut all = Vec::new();
    for target in &upstream.targets {
        let found = tokio::time::timeout(ANSWER, tokio::net::lookup_host(target)).await??;
        all.extend(found.map(|address| Place::new(upstream, target, address)));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Asks each target for its health until the group is gone.
pub(super) async fn health(group: Weak<Group>, check: Health) {
    let mut bad = std::collections::HashMap::<SocketAddr, u32>::new();
    loop {
        tokio::time::sleep(check.every).await;
        let Some(group_now) = group.upgrade() else {
            return;
        };
        let members = group_now.members();
        let asked = members
            .iter()
            .map(|member| is_well(group_now.asker(), member, &check.path));
        let answers = futures::future::join_all(asked).await;
        drop(group_now);
        bad.retain(|address, _| members.iter().any(|member| member.address == *address));
        for (member, good) in members.iter().zip(answers) {
            let count = bad.entry(member.address).or_default();
            *count = if good { 0 } else { count.saturating_add(1) };
            let healthy = *count < UNHEALTHY_AFTER;
            if member.healthy.swap(healthy, Ordering::Relaxed) != healthy {
                tracing::warn!(target = %member.address, healthy, "a target's health changed");
            }
        }
        match group.upgrade() {
            Some(group) => group.report(),
            None => return,
        }
    }
}

/// Whether a target says that it is well.
async fn is_well(asker: &Asker, member: &Member, path: &str) -> bool {
    let Ok(question) = http::Request::get(path).body(Bytes::new()) else {
        return false;
    };
    let answer = asker.ask(member.address, &member.name, question, None);
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(Ok(answer)) => answer.status().is_success(),
        Ok(Err(error)) => {
            tracing::debug!(target = %member.address, error, "health was asked for in vain");
            false
        }
        Err(_) => false,
    }
}
