//! What people do over and over while they are measured.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use crate::users::client::Client;

/// One of those who press.
pub(super) trait Hand: Send + Sized + 'static {
    /// Does it once. An answer that is not the right one spoils the round.
    fn once(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Has every hand do it over and over, and tells how often it was done, and in what time.
pub(super) async fn press<H: Hand>(
    hands: &mut Vec<H>,
    lasts: Duration,
) -> anyhow::Result<(u32, Duration)> {
    let begun = Instant::now();
    let mut pressing = JoinSet::new();
    for mut hand in hands.drain(..) {
        pressing.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < lasts {
                hand.once().await?;
                done += 1;
            }
            Ok::<_, anyhow::Error>((hand, done))
        });
    }
    let mut all = 0;
    while let Some(pressed) = pressing.join_next().await {
        let (hand, done) = pressed.context("a hand died")??;
        hands.push(hand);
        all += done;
    }
    ensure!(all > 0, "nothing was done");
    Ok((all, begun.elapsed()))
}

/// Signs in as one after the other, each from a device that is known.
pub(super) struct SigningIn {
    pub(super) people: Vec<Client>,
    pub(super) next: usize,
}

impl Hand for SigningIn {
    async fn once(&mut self) -> anyhow::Result<()> {
        let person = &self.people[self.next % self.people.len()];
        self.next += 1;
        person.sign_in().await?.expect(200)?;
        Ok(())
    }
}

/// Spends a refresh token for the next.
pub(super) struct Refreshing {
    pub(super) client: Client,
    pub(super) token: String,
}

impl Hand for Refreshing {
    async fn once(&mut self) -> anyhow::Result<()> {
        let answer = self.client.refresh(&self.token).await?.expect(200)?;
        let next = answer.text("/refresh_token")?;
        ensure!(next != self.token, "the refresh token was not rotated");
        self.token = next;
        Ok(())
    }
}

/// Looks at a profile, by a token or a key.
#[derive(Clone)]
pub(super) struct Looking {
    pub(super) client: Client,
    pub(super) header: &'static str,
    pub(super) proof: String,
}

impl Hand for Looking {
    async fn once(&mut self) -> anyhow::Result<()> {
        let answer = self.client.me(self.header, &self.proof).await?;
        answer.expect(200)?;
        Ok(())
    }
}
