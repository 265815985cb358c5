//! The gateway: `run` serves, the other verbs answer questions about a route table.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use clap::{Parser, Subcommand};
use gateway::access_log;
use gateway::check::Format;
use gateway::env::Lender;
use gateway::explain::{self, Question};
use gateway::plan::{self, Refused};
use gateway::probe::{Target, Token, Verdict};
use gateway::reload::{self, Watch};
use gateway::run::{DRAIN, Edge};
use gateway::table::Caller;
use gateway::{check, diff, env, matrix, probe, schema};
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
        /// How findings are written
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Prints who may do what instead: a line for each route and method
        #[arg(long, conflicts_with = "format")]
        matrix: bool,
    },
    /// Tells what another route table would change
    Diff {
        /// The table that is served
        old: PathBuf,
        /// The one that is to come
        new: PathBuf,
        /// Access records to try both on, one a line; `-` for standard input
        #[arg(long, value_name = "FILE")]
        traffic: Option<PathBuf>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Asks a deployed edge for what the route table says it must refuse; exits 1 if it does not
    Probe {
        #[command(flatten)]
        table: Table,
        /// Where the edge is, as `https://api.example.com`
        url: String,
        /// Authorities to trust, as PEM; those of the system when it is not given
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// A file with an access token of somebody who may not everything
        #[arg(long, value_name = "FILE")]
        token: Option<PathBuf>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
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
    /// The roles of whoever is calling, with commas between; `anonymous` for nobody, as when
    /// nothing is said of the caller at all
    #[arg(long = "as", value_name = "ROLES")]
    roles: Option<String>,
    /// The caller's subject
    #[arg(long, value_name = "ID")]
    sub: Option<String>,
    /// A permission that the caller's roles grant; may come more than once. When none is given it is
    /// not known which they grant
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
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
        let nobody = self.roles.as_deref() == Some("anonymous");
        let roles = self.roles.filter(|_| !nobody).unwrap_or_default();
        let roles = roles.split(',').map(str::trim);
        let caller = Caller {
            sub: self.sub,
            roles: roles
                .filter(|it| !it.is_empty())
                .map(String::from)
                .collect(),
            permissions: (!self.permissions.is_empty()).then_some(self.permissions),
            scopes: self.scopes,
            second_factor: self.second_factor,
            claims: claims.collect::<anyhow::Result<_>>()?,
        };
        let told = caller != Caller::default();
        ensure!(
            !(nobody && told),
            "`--as anonymous` is nobody, of whom there is nothing to tell: leave it out"
        );
        Ok(told.then_some(caller))
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
        Verb::Check {
            table,
            matrix: true,
            ..
        } => {
            let loaded = match plan::load(&table.config, BUILTIN, &env::inert(&table.config)) {
                Ok(loaded) => loaded,
                Err(refused) => return refuse(&refused),
            };
            write!(out, "{}", matrix::matrix(&loaded.plan))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Check { table, format, .. } => {
            let good = check::check(&table.config, BUILTIN, format, &mut out)?;
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
        Verb::Diff {
            old,
            new,
            traffic,
            json,
        } => {
            let (mut one, mut other) = (None, None);
            for (path, plan) in [(&old, &mut one), (&new, &mut other)] {
                match plan::load(path, BUILTIN, &env::inert(path)) {
                    Ok(loaded) => *plan = Some(loaded.plan),
                    Err(refused) => return refuse(&refused),
                }
            }
            let (old, new) = one.zip(other).expect("both were loaded above");
            let mut records = traffic.as_deref().map(records).transpose()?;
            let records = records.as_mut().map(|records| records as &mut dyn BufRead);
            let difference = diff::diff(&old, &new, records).context("read the access records")?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&difference)?)?,
                false => write!(out, "{difference}")?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Probe {
            table,
            url,
            ca,
            token,
            json,
        } => {
            let loaded = match plan::load(&table.config, BUILTIN, &env::inert(&table.config)) {
                Ok(loaded) => loaded,
                Err(refused) => return refuse(&refused),
            };
            let target = Target::new(&url, ca.as_deref())?;
            let token = token.as_deref().map(token_of).transpose()?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("start the runtime")?;
            let report = runtime.block_on(probe::probe(&loaded.plan, &target, token.as_ref()));
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
                false => write!(out, "{report}")?,
            }
            Ok(match report.count(Verdict::Bad) {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            })
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

fn records(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

fn token_of(path: &Path) -> anyhow::Result<Token> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Token::read(&text).with_context(|| format!("{} holds no JWT", path.display()))
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
        let log = access_log.map_or(access_log::Target::Stdout, access_log::Target::File);
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
