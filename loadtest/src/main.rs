//! Drives a running product. It weighs the gateway's work beside nginx's, `make bench`, how well
//! limits hold, `make bench-limits`, and what identity costs, `make bench-users`.
//!
//! The journeys through the whole product are in `tests/journeys`, the house rules in `tests/tidy`.

mod bench;
mod limits;
mod users;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(about)]
enum Verb {
    /// Tells what a request costs the gateway, beside what nginx takes to pass it on.
    Bench {
        /// How often each contender is measured; the cheapest round counts.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// How long a round takes, per contender.
        #[arg(long, default_value_t = 3)]
        seconds: u32,
    },
    /// Tells how far a limit that three gateways count together is from right, with Redis and
    /// while it restarts.
    Limits,
    /// Tells what sign-ins and refreshes cost, and what others feel of a flood of them.
    Users {
        /// How often each thing is measured; the cheapest round counts.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// How long a round takes.
        #[arg(long, default_value_t = 4)]
        seconds: u32,
    },
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Bench { rounds, seconds } => bench::run(rounds, seconds),
        Verb::Limits => limits::run(),
        Verb::Users { rounds, seconds } => users::run(rounds, seconds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
