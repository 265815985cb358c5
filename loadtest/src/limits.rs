//! How well a limit holds that three gateways count together: offered, let through, and what would
//! have been right, with Redis there and while it is killed and started again.
//!
//! Everything is on the loopback: a Redis, three gateways as they are built, an origin that says
//! `ok`. The load is paced, so that what is offered is known; what is let through is counted by
//! the answers. A refusal that is not the limit's own spoils the run.

mod load;
mod stage;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};

use load::{Load, Tally};
use stage::Stage;

/// The limit of each route: so many a second, and so many at once.
const RATE: f64 = 100.0;
const BURST: f64 = 50.0;
const LASTS: Duration = Duration::from_secs(4);
/// When Redis is killed, and when it is started again, in a load that lasts twice as long.
const KILLED: Duration = Duration::from_secs(2);
const BACK: Duration = Duration::from_secs(4);

/// A load, and what is to come of it.
struct Scene {
    name: &'static str,
    path: &'static str,
    offered: f64,
    restart: bool,
    /// How far from right it may be, as shares of what would be: below, above.
    bounds: (f64, f64),
}

const SCENES: [Scene; 5] = [
    Scene {
        name: "leased, four times the rate",
        path: "/leased",
        offered: 4.0 * RATE,
        restart: false,
        bounds: (0.05, 0.05),
    },
    Scene {
        name: "leased, below the rate",
        path: "/below",
        offered: 0.8 * RATE,
        restart: false,
        bounds: (0.01, 0.0),
    },
    Scene {
        name: "exact, four times the rate",
        path: "/exact",
        offered: 4.0 * RATE,
        restart: false,
        bounds: (0.05, 0.01),
    },
    Scene {
        name: "leased, Redis restarts, local",
        path: "/local",
        offered: 4.0 * RATE,
        restart: true,
        // For three seconds each of the three lets the whole rate through.
        bounds: (0.05, 1.2),
    },
    Scene {
        name: "leased, Redis restarts, deny",
        path: "/deny",
        offered: 4.0 * RATE,
        restart: true,
        bounds: (0.7, 0.1),
    },
];

/// Starts everybody, loads them scene by scene, and prints a line for each.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(scenes())
}

async fn scenes() -> anyhow::Result<()> {
    let mut stage = Stage::open().await.context("start the gateways")?;
    say(&format!(
        "Three gateways, {RATE} a second, {BURST} at once, one caller.\n\n{:<32}{:>9}{:>10}{:>8}{:>8}{:>7}{:>7}{:>13}{:>12}",
        "", "offered", "admitted", "ideal", "error", "429", "503", "Redis/call", "slowest ms"
    ))?;
    for scene in SCENES {
        let line = play(&mut stage, &scene)
            .await
            .with_context(|| format!("in the scene `{}`", scene.name))?;
        say(&line)?;
    }
    Ok(())
}

async fn play(stage: &mut Stage, scene: &Scene) -> anyhow::Result<String> {
    let lasts = if scene.restart { 2 * LASTS } else { LASTS };
    let before = stage.asked().await?;
    let load = Load {
        ports: stage.ports(),
        path: scene.path,
        per_second: scene.offered,
        lasts,
    };
    let running = tokio::spawn(load.press());
    if scene.restart {
        tokio::time::sleep(KILLED).await;
        stage.kill_redis();
        tokio::time::sleep(BACK - KILLED).await;
        stage.start_redis()?;
    }
    let tally = running.await??;
    let asked = match scene.restart {
        // What it had counted is gone with it.
        true => "-".to_owned(),
        false => {
            let asked = stage.asked().await? - before;
            format!("{:.3}", asked as f64 / f64::from(tally.offered))
        }
    };
    judge(scene, &tally, lasts)?;
    let ideal = ideal(&tally);
    Ok(format!(
        "{:<32}{:>9}{:>10}{:>8.0}{:>7.1}%{:>7}{:>7}{:>13}{:>12.1}",
        scene.name,
        tally.offered,
        tally.admitted,
        ideal,
        100.0 * (f64::from(tally.admitted) - ideal) / ideal,
        tally.limited,
        tally.uncounted,
        asked,
        tally.slowest.as_secs_f64() * 1e3,
    ))
}

/// What a single counter that is asked for nothing would have let through.
fn ideal(tally: &Tally) -> f64 {
    f64::from(tally.offered).min(RATE * tally.took.as_secs_f64() + BURST)
}

/// Is it the limit that was measured, and did it hold as well as we say?
fn judge(scene: &Scene, tally: &Tally, lasts: Duration) -> anyhow::Result<()> {
    ensure!(
        tally.took < 2 * lasts,
        "it took {:?} in place of {lasts:?}: this machine is too busy for it",
        tally.took
    );
    ensure!(
        tally.strange.is_empty(),
        "an answer was neither let through nor the limit's refusal: {}",
        tally.strange
    );
    ensure!(
        scene.restart || tally.uncounted == 0,
        "{} were not counted though Redis was there",
        tally.uncounted
    );
    if scene.offered > RATE {
        ensure!(tally.limited > 0, "nothing was refused");
    }
    let (share, right) = (f64::from(tally.admitted), ideal(tally));
    let (below, above) = scene.bounds;
    ensure!(
        share >= right * (1.0 - below) - 1.0 && share <= right * (1.0 + above) + 1.0,
        "{share} were let through where {right:.0} would have been right"
    );
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
