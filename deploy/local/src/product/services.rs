//! The two programs: how they are started, and how they say that they are ready.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::place::{Place, binary};
use crate::{
    leash::Leash,
    ports::Ports,
    probe,
    supervise::{Recipe, Supervised},
    tail,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// Everything together must end within ten seconds; what is left over is PostgreSQL's.
const GATEWAY_DRAINS_WITHIN: Duration = Duration::from_secs(4);
const BACKEND_DRAINS_WITHIN: Duration = Duration::from_secs(3);

/// What the services are started from.
pub(super) struct Services<'a> {
    pub(super) place: &'a Place,
    pub(super) ports: &'a Ports,
    pub(super) database_url: String,
    pub(super) redis_url: Option<String>,
}

impl Services<'_> {
    pub(super) async fn backend(&self) -> anyhow::Result<Supervised> {
        let name = "backend";
        let config = self.place.backend_yaml();
        let mut env = vec![("DATABASE_URL", self.database_url.clone())];
        env.extend(redis(self.redis_url.as_deref()));
        let recipe = Recipe {
            name,
            binary: binary(name)?,
            arguments: ["run", "all", "--config", &config.to_string_lossy()]
                .map(str::to_owned)
                .into(),
            directory: self.place.root().to_owned(),
            env,
            log: self.place.log(name),
            grace: BACKEND_DRAINS_WITHIN,
        };
        started(recipe, self.ports.private).await
    }

    pub(super) async fn gateway(&self) -> anyhow::Result<Supervised> {
        let (table, redis_url) = (self.place.routes(), self.redis_url.as_deref());
        gateway(self.place, &table, redis_url, self.ports.management).await
    }
}

/// Starts a gateway of a place with a table of its own.
pub(super) async fn gateway(
    place: &Place,
    table: &Path,
    redis_url: Option<&str>,
    management: u16,
) -> anyhow::Result<Supervised> {
    let name = "gateway";
    let recipe = Recipe {
        name,
        binary: binary(name)?,
        arguments: ["run", "--config", &table.to_string_lossy()]
            .map(str::to_owned)
            .into(),
        directory: place.root().to_owned(),
        env: redis(redis_url).into_iter().collect(),
        log: place.log(name),
        grace: GATEWAY_DRAINS_WITHIN,
    };
    started(recipe, management).await
}

fn redis(url: Option<&str>) -> Option<(&'static str, String)> {
    url.map(|url| ("REDIS_URL", url.to_owned()))
}

async fn started(recipe: Recipe, health: u16) -> anyhow::Result<Supervised> {
    let mut leash = recipe.start()?;
    let health = SocketAddr::from(([127, 0, 0, 1], health));
    await_ready(&recipe, &mut leash, health).await?;
    Ok(Supervised::watch(recipe, leash))
}

/// Waits for the first 200 of `/readyz`. A program that ends meanwhile would end again: its own
/// words are the error.
async fn await_ready(recipe: &Recipe, leash: &mut Leash, health: SocketAddr) -> anyhow::Result<()> {
    let name = recipe.name;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = leash.ended()? {
            bail!(
                "the {name} ended before it was ready ({status}):\n{}",
                tail::of(&recipe.log)
            );
        }
        let answer = match probe::get(health, "localhost", "/readyz").await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("{} {}", answer.status, answer.body.trim()),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            let log = tail::of(&recipe.log);
            bail!(
                "the {name} was not ready within {READY_WITHIN:?}; {health}/readyz: {answer}\n{log}"
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
