//! What the program can be told to do.

use std::fmt::Display;
use std::future::Future;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use host::{Config, Entry};

/// The backend apps in one program.
#[derive(Parser)]
#[command(name = "backend", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Run apps until SIGTERM.
    Run {
        /// The apps to run; `all`, or none, are all that the configuration has.
        apps: Vec<String>,
        #[command(flatten)]
        file: File,
    },
    /// Apply the migrations that are missing.
    Migrate {
        /// The apps whose schemas to migrate; none are all.
        apps: Vec<String>,
        #[command(flatten)]
        file: File,
    },
    /// Print an app's OpenAPI document; without a name, the names.
    Openapi {
        /// The app.
        app: Option<String>,
    },
    /// Tell what is wrong with the configuration, without a database; exit code 2 if anything is.
    Check {
        #[command(flatten)]
        file: File,
    },
    /// Make the demo accounts and give them money; a second time changes nothing.
    Demo {
        /// A list of `{"email","password","role"}`.
        people: PathBuf,
        #[command(flatten)]
        file: File,
    },
    /// Look at everything that a run needs, and say how it is.
    Doctor {
        #[command(flatten)]
        file: File,
    },
}

#[derive(Args)]
pub(crate) struct File {
    /// The configuration.
    #[arg(long, value_name = "PATH", default_value = "var/backend.yaml")]
    config: PathBuf,
}

impl File {
    fn read(&self, apps: &[Entry], wanted: &[String]) -> anyhow::Result<Config> {
        Ok(Config::read(&self.config, apps, wanted)?)
    }
}

impl Verb {
    pub(crate) fn run(self, apps: &[Entry]) -> anyhow::Result<()> {
        match self {
            Self::Run { apps: wanted, file } => {
                let config = file.read(apps, &wanted)?;
                host::telemetry::start()?;
                wait_for(host::run(config))
            }
            Self::Migrate { apps: wanted, file } => {
                let config = file.read(apps, &wanted)?;
                for (app, count) in wait_for(host::migrate(&config))? {
                    say(&mut stdout(), format_args!("{app}: {count} applied"));
                }
                Ok(())
            }
            Self::Openapi { app } => openapi(apps, app.as_deref()),
            Self::Check { file } => {
                let config = file.read(apps, &[])?;
                let good = wait_for(async { Ok(host::check(config).await?) })?;
                say(&mut stdout(), format_args!("good: {good}"));
                Ok(())
            }
            Self::Demo { people, file } => {
                let config = file.read(apps, &[])?;
                let count = wait_for(host::demo(&config, &people))?;
                say(&mut stdout(), format_args!("{count} demo people are there"));
                Ok(())
            }
            Self::Doctor { file } => {
                let config = file.read(apps, &[])?;
                doctor(&wait_for(async { Ok(host::doctor(config).await) })?)
            }
        }
    }
}

fn wait_for<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(work)
}

fn openapi(apps: &[Entry], wanted: Option<&str>) -> anyhow::Result<()> {
    let names: Vec<&str> = apps.iter().map(|app| app.name).collect();
    let Some(wanted) = wanted else {
        names.iter().for_each(|name| say(&mut stdout(), name));
        return Ok(());
    };
    let Some(app) = apps.iter().find(|app| app.name == wanted) else {
        bail!(
            "no app `{wanted}` in this program; it has {}",
            names.join(", ")
        );
    };
    say(
        &mut stdout(),
        serde_json::to_string_pretty(&(app.openapi)())?,
    );
    Ok(())
}

fn doctor(findings: &host::Findings) -> anyhow::Result<()> {
    for (what, finding) in findings {
        let (word, text) = match finding {
            Ok(text) => ("good", text),
            Err(text) => ("BAD ", text),
        };
        say(&mut stdout(), format_args!("{word}  {what}: {text}"));
    }
    let bad = findings
        .iter()
        .filter(|(_, finding)| finding.is_err())
        .count();
    if bad > 0 {
        bail!("{bad} of {} are not as a run needs them", findings.len());
    }
    Ok(())
}

/// Writes a line. A reader that has gone (`backend openapi users | head`) is no failure.
pub(crate) fn say(to: &mut impl Write, line: impl Display) {
    let _ = writeln!(to, "{line}");
}
