//! A paced load on three gateways, and what its answers were.

use std::time::Duration;

use anyhow::Context;
use reqwest::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// For an answer; who waits longer has waited for something else.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Load {
    pub(super) ports: [u16; 3],
    pub(super) path: &'static str,
    pub(super) per_second: f64,
    pub(super) lasts: Duration,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) offered: u32,
    pub(super) admitted: u32,
    /// Refused with 429 `rate_limited` and a `Retry-After`.
    pub(super) limited: u32,
    /// Refused with 503 because they could not be counted.
    pub(super) uncounted: u32,
    /// The first answer that was something else.
    pub(super) strange: String,
    pub(super) slowest: Duration,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

enum Became {
    Admitted,
    Limited,
    Uncounted,
    Strange(String),
}

impl Load {
    /// Sends each request at its time, to one gateway after the other, however long the answers
    /// take.
    pub(super) async fn press(self) -> anyhow::Result<Tally> {
        // Another crate of the process may have chosen it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .context("make a client")?;
        let urls = self
            .ports
            .map(|port| format!("http://127.0.0.1:{port}{}", self.path));
        // Room for all of them: they are counted when the last has been sent.
        let all = self.per_second * self.lasts.as_secs_f64();
        let (tell, mut told) = mpsc::channel(all.ceil() as usize + 1);
        let begin = Instant::now();
        let mut under_way = JoinSet::new();
        let mut offered = 0_u32;
        loop {
            let at = Duration::from_secs_f64(f64::from(offered) / self.per_second);
            if at >= self.lasts {
                break;
            }
            sleep_until(begin + at).await;
            let request = client.get(&urls[offered as usize % urls.len()]);
            let tell = tell.clone();
            under_way.spawn(async move {
                let sent = Instant::now();
                let became = read(request).await;
                // Whoever counts is gone only when the run is over.
                let _ = tell.send((became, sent.elapsed())).await;
            });
            offered += 1;
        }
        drop(tell);
        let mut tally = Tally {
            offered,
            ..Tally::default()
        };
        while let Some((became, took)) = told.recv().await {
            tally.slowest = tally.slowest.max(took);
            match became {
                Became::Admitted => tally.admitted += 1,
                Became::Limited => tally.limited += 1,
                Became::Uncounted => tally.uncounted += 1,
                Became::Strange(what) if tally.strange.is_empty() => tally.strange = what,
                Became::Strange(_) => {}
            }
        }
        tally.took = begin.elapsed();
        Ok(tally)
    }
}

async fn read(request: reqwest::RequestBuilder) -> Became {
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Became::Strange(error.to_string()),
    };
    let status = answer.status().as_u16();
    let retry_after = answer.headers().contains_key("retry-after");
    let body = answer.text().await.unwrap_or_default();
    let code = |code: &str| retry_after && body.contains(&format!("\"code\":\"{code}\""));
    match status {
        200 if body == "ok" => Became::Admitted,
        429 if code("rate_limited") => Became::Limited,
        503 if code("overloaded") => Became::Uncounted,
        _ => Became::Strange(format!("{status} {body}")),
    }
}
