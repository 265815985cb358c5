//! The gateway: `run` serves, the other verbs answer questions about a route table.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use clap::{Parser, Subcommand};
use gateway::access_log::Target;
use gateway::env::Lender;
use gateway::explain::{self, Question};
use gateway::plan::{self, Refused};
use gateway::reload::{self, Watch};
use gateway::run::{DRAIN, Edge};
use gateway::table::Caller;
use gateway::{check, env, schema};
use plugin_sdk::Period;
use plugins::BUILTIN;
use tracing_subscriber::EnvFilter;

/// A route table that can't be served ends with this status.
const REFUSED: u8 = 2;

/// The guarded door in front of the services.
#[derive(Parser)]
#[command(name = "gateway", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serves until SIGTERM; takes edits of the route table on the way
    Run {
        #[command(flatten)]
        table: Table,
        /// Where access records go; standard output when it is not given
        #[arg(long, value_name = "FILE")]
        access_log: Option<PathBuf>,
        /// How long `/readyz` says 503 before the listeners close, in milliseconds
        #[arg(long, value_name = "MS", default_value_t = 0)]
        notice_ms: u64,
    },
    /// Tells all that is wrong with a route table; exits 2 if it would be refused
    Check {
        #[command(flatten)]
        table: Table,
    },
    /// Tells which route takes a request, why, and what it meets there
    Explain {
        #[command(flatten)]
        table: Table,
        /// The method
        method: String,
        /// The URL, as `https://edge/v1/transfers`
        url: String,
        /// A header, as `name: value`; may come more than once
        #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
        headers: Vec<String>,
        #[command(flatten)]
        asker: Asker,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON Schema of route tables
    Schema,
}

#[derive(clap::Args)]
struct Table {
    /// The route table
    #[arg(long, value_name = "FILE", default_value = "routes.yaml")]
    config: PathBuf,
}

/// Who asks, and from where.
#[derive(clap::Args)]
struct Asker {
    /// Who is calling: roles with commas between, or `anonymous`
    #[arg(long = "as", value_name = "ROLES", default_value = "anonymous")]
    roles: String,
    /// The caller's subject
    #[arg(long, value_name = "ID")]
    sub: Option<String>,
    /// A scope that the caller was granted; may come more than once
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long ago the caller used a second factor, as `2m`
    #[arg(long, value_name = "AGO")]
    second_factor: Option<Period>,
    /// What else the issuer says, as `tenant=acme`; may come more than once
    #[arg(long = "claim", value_name = "NAME=TEXT")]
    claims: Vec<String>,
    /// The address that it comes from
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
}

impl Asker {
    fn caller(self) -> anyhow::Result<Option<Caller>> {
        let claims = self.claims.iter().map(|claim| {
            let (name, text) = claim
                .split_once('=')
                .with_context(|| format!("write the claim `{claim}` as `name=text`"))?;
            Ok((name.to_owned(), text.into()))
        });
        let caller = Caller {
            sub: self.sub,
            roles: self.roles.split(',').map(String::from).collect(),
            scopes: self.scopes,
            second_factor: self.second_factor,
            claims: claims.collect::<anyhow::Result<_>>()?,
        };
        Ok((self.roles != "anonymous").then_some(caller))
    }
}

fn main() -> ExitCode {
    match answer(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer(verb: Verb) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match verb {
        Verb::Run {
            table,
            access_log,
            notice_ms,
        } => {
            // Access records are written to standard output by a thread of their own.
            drop(out);
            run(table.config, access_log, Duration::from_millis(notice_ms))
        }
        Verb::Check { table } => {
            let good = check::check(&table.config, BUILTIN, &mut out)?;
            Ok(if good {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(REFUSED)
            })
        }
        Verb::Explain {
            table,
            method,
            url,
            headers,
            asker,
            json,
        } => {
            let loaded = match plan::load(&table.config, BUILTIN, &env::inert(&table.config)) {
                Ok(loaded) => loaded,
                Err(refused) => return refuse(&refused),
            };
            let question = Question {
                method,
                url,
                headers,
                from: asker.from,
                caller: asker.caller()?,
            };
            let explanation = explain::explain(&loaded.plan, &question)?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?,
                false => write!(out, "{explanation}")?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Schema => {
            writeln!(
                out,
                "{}",
                serde_json::to_string_pretty(&schema::schema(BUILTIN))?
            )?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn refuse(refused: &Refused) -> anyhow::Result<ExitCode> {
    write!(io::stderr(), "{}", refused.findings)?;
    Ok(ExitCode::from(REFUSED))
}

/// What is logged unless `RUST_LOG` says otherwise. The library below us takes every client that
/// misbehaves for an error of its own: the access records and metrics have them already.
const LOG: &str = "info,pingora_proxy=off,pingora_core::apps=off,pingora_core::protocols=off";

fn run(config: PathBuf, access_log: Option<PathBuf>, notice: Duration) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let lender = Lender::default();
        let env = env::live(&config, runtime.handle().clone(), &lender);
        let loaded = match plan::load(&config, BUILTIN, &env) {
            Ok(loaded) => loaded,
            Err(refused) => return refuse(&refused),
        };
        reload::report(&loaded.warnings);
        let watch = Watch::new(config, BUILTIN, env, &loaded);
        let plan = Arc::new(ArcSwap::from_pointee(loaded.plan));
        let log = access_log.map_or(Target::Stdout, Target::File);
        let edge = Edge::start(plan, &log, &lender).await?;
        let reloads = tokio::spawn(reload::follow(watch, edge.live().clone()));
        for (name, address) in edge.addresses().await {
            tracing::info!(name, %address, "listening");
        }
        let all = edge.until_signal(notice, DRAIN).await?;
        reloads.abort();
        tracing::info!(all_finished = all, "stopped");
        Ok(ExitCode::SUCCESS)
    })
}
