//! What identity costs: sign-ins and refreshes a second and core, from the edge to a PostgreSQL that
//! forgets nothing; what others feel of a flood of sign-ins; and what the backend holds of the memory.
//!
//! The cost is the processor time of the gateway, the backend and PostgreSQL, over what was done: a
//! busy machine moves what the clock says, and moves this little. Of the rounds the cheapest counts,
//! since noise only adds; how long others wait is said of the round in the middle. Sign-ins come on connections of their own, as people do, from devices that
//! are known; all else on connections that are kept.

mod client;
mod flood;
mod load;
mod proof;
mod report;
mod spent;
mod stage;

use std::num::NonZero;
use std::time::Duration;

use anyhow::Context;
use local::product::Service;

use client::{Client, Connection};
use flood::Tally;
use load::{Hand, Looking, Refreshing, SigningIn};
use report::{Bound, Figure, Line, Whose};
use spent::Spent;
use stage::Stage;

/// Who signs in at once: enough for passwords on two processors.
const SIGNING_IN: usize = 4;
/// Sessions that are refreshed at once.
const SESSIONS: usize = 32;
const LOOKING: usize = 8;

const SIGN_INS: f64 = 35.0;
const REFRESHES: f64 = 1_000.0;
/// How much longer a look may take, of a hundred the longest but one, while sign-ins flood in.
const SLOWER: f64 = 1.5;
/// What the backend may hold besides the memory that passwords are hashed in.
const HELD_MB: f64 = 60.0;
/// What one password is hashed in.
const ARENA_MB: f64 = 19.0 * 1.048_576;

/// Starts everybody, makes sure that the work is done, measures, and prints a table.
pub(crate) fn run(rounds: u32, seconds: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(all(rounds, Duration::from_secs(seconds.into())))
}

async fn all(rounds: u32, lasts: Duration) -> anyhow::Result<()> {
    let stage = Stage::open().await.context("start the product")?;
    let mut crowd = Crowd::gather(&stage).await?;
    let backend = stage.product.pid(Service::Backend);

    let bench = Bench {
        stage: &stage,
        rounds,
        lasts,
    };
    let sign_in = bench.measure("sign-ins", &mut crowd.signing_in).await?;
    let refresh = bench.measure("refreshes", &mut crowd.refreshing).await?;
    crowd.renew().await?;
    let look = bench.measure("looks by token", &mut crowd.looking).await?;
    let by_key = bench.measure("looks by key", &mut crowd.by_key).await?;
    let lines = [
        Line {
            what: "sign-in, Argon2id 19 MiB/2/1",
            figure: sign_in,
            whose: Whose::Everybodys,
            goal: Some(SIGN_INS),
            others: "Keycloak 15 a vCPU (7 MiB/5), Zitadel 1.9 to 2.4 (bcrypt 12)",
        },
        Line {
            what: "refresh, the gateway's part aside",
            figure: refresh,
            whose: Whose::Backends,
            goal: Some(REFRESHES),
            others: "Keycloak 120 a vCPU",
        },
        Line {
            what: "GET /v1/me by a token",
            figure: look,
            whose: Whose::Everybodys,
            goal: None,
            others: "",
        },
        Line {
            what: "GET /v1/me by an API key",
            figure: by_key,
            whose: Whose::Everybodys,
            goal: None,
            others: "Ory Talos checks 3597 keys a second on a whole M4 Max",
        },
    ];
    let (calm, flooded, tally) = bench.flood(&crowd.flooding).await?;
    // One processor is left to others, see `hash_slots` of backend.yaml.
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let slots = processors.saturating_sub(1).max(1) as f64;
    let held = local::process::resident(backend)? as f64 / 1e6;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let Tally {
        offered,
        admitted,
        overloaded,
        limited,
        strange,
    } = tally;
    report::progress(&format!(
        "the flood: {offered} offered, {admitted} let in, {overloaded} refused with 503, {limited} with 429, {strange} otherwise"
    ))?;
    let bounds = [
        Bound {
            what: "sign-ins of the flood answered in another way".to_owned(),
            is: strange.into(),
            most: 0.0,
            unit: "of them",
            others: "",
        },
        Bound {
            what: format!(
                "p99 of GET /v1/me: calm {:.1} ms, in a flood {:.1} ms",
                ms(calm),
                ms(flooded)
            ),
            is: flooded.as_secs_f64() / calm.as_secs_f64(),
            most: SLOWER,
            unit: "times",
            others: "Zitadel's sign-ins take 6.9 s at the median in a flood",
        },
        Bound {
            what: format!("the backend's memory but for {slots} hashes"),
            is: held - slots * ARENA_MB,
            most: HELD_MB,
            unit: "MB",
            others: "Rauthy about 35 MB, Keycloak 1250 MB",
        },
    ];
    report::tell(&lines, &bounds)
}

/// Everybody who presses, settled.
struct Crowd {
    people: Vec<Client>,
    /// The same, on connections that are kept: it is the passwords that flood, not the handshakes.
    flooding: Vec<Client>,
    signing_in: Vec<SigningIn>,
    refreshing: Vec<Refreshing>,
    looking: Vec<Looking>,
    by_key: Vec<Looking>,
}

impl Crowd {
    /// Has them sign in for the first time, and proves that it is the real thing.
    async fn gather(stage: &Stage) -> anyhow::Result<Self> {
        let mut crowd = Self {
            people: Vec::new(),
            flooding: Vec::new(),
            signing_in: Vec::new(),
            refreshing: Vec::new(),
            looking: Vec::new(),
            by_key: Vec::new(),
        };
        let last = stage.product.people().len() - 1;
        for number in 0..last {
            let mut person = stage.client(number, Connection::Fresh)?;
            let tokens = person.settle().await?;
            if number == 0 {
                let stranger = stage.client(last, Connection::Kept)?;
                proof::check(stage, &person, &tokens, &stranger)
                    .await
                    .context("the work is not done, so its cost would mean nothing")?;
            }
            let kept = stage.client(number, Connection::Kept)?;
            if crowd.by_key.len() < LOOKING {
                let bearer = client::bearer(&tokens)?;
                crowd.by_key.push(Looking {
                    proof: kept.make_key(&bearer).await?,
                    client: kept.clone(),
                    header: "x-api-key",
                });
                crowd.looking.push(Looking {
                    proof: bearer,
                    client: kept.clone(),
                    header: "authorization",
                });
            }
            // The first one's token was spent for the proof.
            if number > 0 && crowd.refreshing.len() < SESSIONS {
                crowd.refreshing.push(Refreshing {
                    client: kept,
                    token: tokens.text("/refresh_token")?,
                });
            }
            crowd
                .flooding
                .push(person.by(&stage.client(number, Connection::Kept)?));
            crowd.people.push(person);
        }
        crowd.signing_in = (0..SIGNING_IN)
            .map(|hand| SigningIn {
                people: crowd.people.clone(),
                next: hand * crowd.people.len() / SIGNING_IN,
            })
            .collect();
        Ok(crowd)
    }

    /// Access tokens last for minutes: whoever looks gets a fresh one.
    async fn renew(&mut self) -> anyhow::Result<()> {
        for (looking, person) in self.looking.iter_mut().zip(&self.people) {
            looking.proof = person.bearer().await?;
        }
        Ok(())
    }
}

struct Bench<'a> {
    stage: &'a Stage,
    rounds: u32,
    lasts: Duration,
}

impl Bench<'_> {
    /// The cheapest of the rounds, after one that warms up.
    async fn measure<H: Hand>(&self, what: &str, hands: &mut Vec<H>) -> anyhow::Result<Figure> {
        load::press(hands, Duration::from_secs(1))
            .await
            .with_context(|| format!("warm up for {what}"))?;
        let mut best: Option<Figure> = None;
        for round in 1..=self.rounds {
            report::progress(&format!("{what}, round {round} of {}", self.rounds))?;
            let before = Spent::of(&self.stage.product)?;
            let (done, took) = load::press(hands, self.lasts)
                .await
                .with_context(|| format!("measure {what}"))?;
            let spent = Spent::of(&self.stage.product)? - before;
            let figure = Figure::new(spent, done, took);
            if best.is_none_or(|so_far| figure.all() < so_far.all()) {
                best = Some(figure);
            }
        }
        best.context("there is no round")
    }

    /// How long a look takes when it is calm and in a flood, by turns, at the best of each.
    async fn flood(&self, people: &[Client]) -> anyhow::Result<(Duration, Duration, Tally)> {
        let mut rounds = [const { Vec::new() }; 2];
        let mut all = Tally::default();
        for round in 1..=self.rounds {
            for (flooded, p99s) in [false, true].into_iter().zip(&mut rounds) {
                let weather = if flooded { "a flood" } else { "calm" };
                report::progress(&format!("{weather}, round {round} of {}", self.rounds))?;
                let lasts = self.lasts;
                let looking = Looking {
                    proof: people.first().context("nobody is there")?.bearer().await?,
                    // It looks from a thread of its own, whose connections end with it.
                    client: self.stage.client(0, Connection::Kept)?,
                    header: "authorization",
                };
                // It outlasts the looks, and has filled the queue before them.
                let flood = flooded.then(|| {
                    let long = lasts + Duration::from_secs(2);
                    tokio::spawn(flood::flood(people.to_vec(), long))
                });
                if flooded {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                let p99 = tokio::task::spawn_blocking(move || flood::p99(looking, lasts)).await??;
                p99s.push(p99);
                if let Some(flood) = flood {
                    all.add(flood.await??);
                }
            }
        }
        let [calm, flooded] = rounds.map(median);
        Ok((calm, flooded, all))
    }
}

/// Of so few rounds neither the best nor the worst says much.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
