//! `make run`: the whole product on this machine, until Ctrl-C or SIGTERM.

use std::{
    io::{Write, stdout},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use local::{
    banner,
    postgres::Cluster,
    product::{Options, Product},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Parser)]
#[command(
    about = "The whole product on this machine",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Start everything from the clone in the current directory (the default)
    Run,
    /// Run a command with DATABASE_URL of a fresh, empty PostgreSQL that goes with it
    Postgres {
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb.unwrap_or(Verb::Run) {
        Verb::Run => run(),
        Verb::Postgres { command } => with_postgres(&command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn run() -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let here = Path::new(".")
        .canonicalize()
        .context("find the current directory")?;
    let mut product = tokio::select! {
        started = Product::start(Options::kept(&here)) => started?,
        () = either(&mut interrupt, &mut terminate) => return Ok(ExitCode::FAILURE),
    };
    stdout().write_all(banner::text(&product, &here).as_bytes())?;
    let outcome = tokio::select! {
        error = product.failed() => Err(error),
        () = either(&mut interrupt, &mut terminate) => Ok(()),
    };
    let database = product.cluster().map_or("", |_| ", PostgreSQL");
    writeln!(stdout(), "\nStopping: the gateway, the backends{database}.")?;
    product.stop().await;
    outcome?;
    writeln!(stdout(), "Stopped.")?;
    Ok(ExitCode::SUCCESS)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn with_postgres(command: &[String]) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::temporary()?;
    let (program, arguments) = command.split_first().context("name a command")?;
    let status = Command::new(program)
        .args(arguments)
        .env("DATABASE_URL", cluster.url())
        .status()
        .with_context(|| format!("start {program}"))?;
    // 128 and more is how a shell tells of a signal; the exact one does not matter to `make`.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(128);
    Ok(ExitCode::from(code))
}
