use std::net::SocketAddr;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::group::Group;
use crate::plan::Health;

/// Between two questions to the resolver: names move, and a failed question is soon asked again.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// For one question to the resolver, or to a target about its health.
const ANSWER: Duration = Duration::from_secs(2);
/// Bad answers in a row that make a target unhealthy. One good one makes it healthy again.
const UNHEALTHY_AFTER: u32 = 3;

/// Keeps a group's addresses current until the group is gone.
pub(super) async fn resolve(group: Weak<Group>) {
    loop {
        let Some(targets) = group
            .upgrade()
            .map(|group| group.upstream().targets.clone())
        else {
            return;
        };
        let addresses = look_up(&targets).await;
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
async fn look_up(targets: &[String]) -> std::io::Result<Vec<SocketAddr>> {
    let mut all = Vec::new();
    for target in targets {
        let found = tokio::time::timeout(ANSWER, tokio::net::lookup_host(target)).await??;
        all.extend(found);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Asks each target for its health until the group is gone.
pub(super) async fn health(group: Weak<Group>, check: Health) {
    let client = match reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER)
        .pool_max_idle_per_host(0)
        // Inside nobody is trusted by certificate, and no proxy stands between us.
        .tls_certs_only([])
        .no_proxy()
        .build()
    {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "health can't be asked for"),
    };
    let mut bad = std::collections::HashMap::<SocketAddr, u32>::new();
    loop {
        tokio::time::sleep(check.every).await;
        let Some(members) = group.upgrade().map(|group| group.members()) else {
            return;
        };
        let asked = members.iter().map(|member| {
            let url = format!("http://{}{}", member.address, check.path);
            let question = client.get(url).send();
            async move {
                question
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
            }
        });
        let answers = futures::future::join_all(asked).await;
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
