//! What the ledger's group commit is worth: durable transfers a second, and what each costs PostgreSQL,
//! beside the usual way of one transaction each, in the same books of the same server.
//!
//! Rounds of both alternate, and what is told is the round in the middle. Ratios hold on a busy machine,
//! where seconds do not. In the end the books must prove right.

mod naive;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ledger::{
    AccountId, Amount, Answer, Chain, Claim, Code, Currency, Order, Outcome, Teller, Transfer,
};
use local::postgres::Cluster;
use local::process::family_cpu_time;
use local::room;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use uuid::Uuid;

const ACCOUNTS: i64 = 10_000;
/// Callers that each wait for their transfer before they ask for the next.
const CLIENTS: u64 = 1_024;
/// Connections of the usual way: it does not get faster beyond.
const CONNECTIONS: u32 = 64;

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);

/// How many times as many as the usual way; and at most so much of PostgreSQL's processor time each.
const UNIFORM: f64 = 10.0;
const HOT: f64 = 90.0;
const CPU_US: f64 = 45.0;

/// Whom the transfers go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Anybody to anybody.
    Uniform,
    /// Anybody to the first account.
    Hot,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Group,
    Naive,
}

/// A round.
#[derive(Clone, Copy, Debug)]
struct Round {
    per_second: f64,
    cpu_us: f64,
}

/// Starts a server, measures and prints a table; an error where a goal is missed.
fn main() -> anyhow::Result<()> {
    // `cargo test --benches` asks for a list, or for a run that measures nothing.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let place = room::private(&std::env::temp_dir()).context("make a place")?;
    let (data, log) = (place.join("postgres"), place.join("postgres.log"));
    let measured = Cluster::open(&data, &log).and_then(|cluster| runtime.block_on(all(&cluster)));
    Cluster::remove(&data)?;
    std::fs::remove_dir_all(&place)?;
    measured
}

async fn all(cluster: &Cluster) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(60))
        .connect(&cluster.url())
        .await?;
    prepare(&pool).await?;
    let mut missed = 0;
    let mut said = vec![format!(
        "{:<10}{:>14}{:>14}{:>10}{:>16}{:>16}",
        "load", "group t/s", "usual t/s", "ratio", "group CPU µs", "usual CPU µs"
    )];
    for (load, goal) in [(Load::Uniform, UNIFORM), (Load::Hot, HOT)] {
        let mut both = [const { Vec::new() }; 2];
        for round in 0..=ROUNDS {
            for (way, kept) in [Way::Group, Way::Naive].into_iter().zip(&mut both) {
                let one = measure(cluster, &pool, way, load).await?;
                // The first warms up.
                if round > 0 {
                    kept.push(one);
                }
                writeln!(
                    io::stderr(),
                    "{load:?}, {way:?}, round {round} of {ROUNDS}: {one:?}"
                )?;
            }
        }
        let [group, usual] = both.map(|rounds| median(&rounds));
        let ratio = group.per_second / usual.per_second;
        missed += u32::from(ratio < goal) + u32::from(group.cpu_us > CPU_US);
        said.push(format!(
            "{:<10}{:>14.0}{:>14.0}{:>9.1}x{:>16.1}{:>16.0}   goals: {goal}x, {CPU_US} µs",
            format!("{load:?}").to_lowercase(),
            group.per_second,
            usual.per_second,
            ratio,
            group.cpu_us,
            usual.cpu_us,
        ));
    }
    let proof = ledger::reconcile(&pool)
        .await?
        .context("nobody else proves")?;
    ensure!(proof.holds(), "the books are wrong: {proof:?}");
    said.push("the books prove right".to_owned());
    if cfg!(debug_assertions) {
        said.push("A debug build: these figures mean nothing.".to_owned());
    }
    io::stdout().write_all((said.join("\n") + "\n").as_bytes())?;
    if missed > 0 {
        bail!("{missed} of the goals are missed");
    }
    Ok(())
}

/// A durable server with accounts that may all overdraw, so that nobody is refused.
async fn prepare(pool: &PgPool) -> anyhow::Result<()> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let is: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(pool)
            .await?;
        ensure!(is == "on", "{setting} is {is}");
    }
    pg::migrate::run(pool, &ledger::MIGRATOR).await?;
    sqlx::query(
        "insert into ledger.account (owner, currency, kind, floor)
        select gen_random_uuid(), 840, 1, -1000000000000 from generate_series(1, $1)",
    )
    .bind(ACCOUNTS)
    .execute(pool)
    .await?;
    sqlx::query("vacuum analyze ledger.account")
        .execute(pool)
        .await?;
    let least: i64 = sqlx::query_scalar("select min(id) from ledger.account")
        .fetch_one(pool)
        .await?;
    ensure!(least == 1, "accounts are numbered from 1");
    Ok(())
}

async fn measure(cluster: &Cluster, pool: &PgPool, way: Way, load: Load) -> anyhow::Result<Round> {
    let before = count(pool).await?;
    let spent_before = family_cpu_time(cluster.pid())?;
    let begun = Instant::now();
    let done = match way {
        Way::Group => group(pool, load).await?,
        Way::Naive => naive(pool, load).await?,
    };
    let took = begun.elapsed().as_secs_f64();
    let cpu = family_cpu_time(cluster.pid())?.saturating_sub(spent_before);
    let written = count(pool).await? - before;
    ensure!(
        u64::try_from(written) == Ok(done),
        "{done} were told that it is done, and {written} are in the journal"
    );
    Ok(Round {
        per_second: done as f64 / took,
        cpu_us: cpu.as_secs_f64() * 1e6 / done as f64,
    })
}

async fn count(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from ledger.journal")
        .fetch_one(pool)
        .await
}

/// Through the ledger's one queue.
async fn group(pool: &PgPool, load: Load) -> anyhow::Result<u64> {
    let teller = Teller::open(pool.clone());
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (teller, mut dice) = (teller.clone(), Dice(client));
        clients.spawn(async move {
            let mut done = 0;
            while begun.elapsed() < ROUND {
                let outcome = teller.post(order(dice.pair(load))?).await?;
                ensure!(
                    matches!(&outcome, Outcome::Fresh(answer) if answer.status == 201),
                    "{outcome:?}"
                );
                done += 1;
            }
            Ok(done)
        });
    }
    sum(clients).await
}

fn order((debit, credit): (i64, i64)) -> anyhow::Result<Order> {
    let transfer = Transfer {
        debit: AccountId(debit),
        credit: AccountId(credit),
        amount: Amount::new(1, Currency::USD)?,
    };
    let key = Uuid::new_v4();
    Ok(Order {
        chain: Chain::one(transfer, Code::Transfer),
        claim: Claim::new(Uuid::nil(), &key.to_string(), [0; 32]),
        answer: Box::new(move |verdict| Answer {
            status: if verdict.is_ok() { 201 } else { 422 },
            body: key.as_bytes().to_vec(),
        }),
    })
}

/// One transaction each.
async fn naive(pool: &PgPool, load: Load) -> anyhow::Result<u64> {
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..u64::from(CONNECTIONS) {
        let (pool, mut dice) = (pool.clone(), Dice(CLIENTS + client));
        clients.spawn(async move {
            let mut line = pool.acquire().await?;
            let mut done = 0;
            while begun.elapsed() < ROUND {
                let (debit, credit) = dice.pair(load);
                naive::transfer(&mut line, debit, credit, 1).await?;
                done += 1;
            }
            Ok(done)
        });
    }
    sum(clients).await
}

async fn sum(mut clients: JoinSet<anyhow::Result<u64>>) -> anyhow::Result<u64> {
    let mut all = 0;
    while let Some(done) = clients.join_next().await {
        all += done.context("a client died")??;
    }
    Ok(all)
}

/// Draws that are the same in each run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn account(&mut self) -> i64 {
        (self.draw() % ACCOUNTS.unsigned_abs()) as i64 + 1
    }

    /// Who pays whom; never oneself.
    fn pair(&mut self, load: Load) -> (i64, i64) {
        let credit = match load {
            Load::Uniform => self.account(),
            Load::Hot => 1,
        };
        loop {
            let debit = self.account();
            if debit != credit {
                return (debit, credit);
            }
        }
    }
}

/// The round in the middle, by its speed.
fn median(rounds: &[Round]) -> Round {
    let mut rounds = rounds.to_vec();
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds[rounds.len() / 2]
}
