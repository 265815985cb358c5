//! The backend apps in one program: `backend run all` for a small site, `backend run users` and so
//! on for one process each.

mod verbs;

use std::process::ExitCode;

use clap::Parser;
use host::Entry;

/// The list of apps: adding one is a line here and a feature of that name in Cargo.toml.
macro_rules! apps {
    ($($feature:literal $app:path;)*) => {
        /// What this program was built with. `users` stands before whoever builds on its people.
        const APPS: &[Entry] = &[$(#[cfg(feature = $feature)] Entry::of::<$app>(),)*];
    };
}

apps! {
    "users" users::Users;
    "transactions" transactions::Transactions;
    "notifications" notifications::Notifications;
}

fn main() -> ExitCode {
    let verb = verbs::Cli::parse().verb;
    match verb.run(APPS) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The configuration's mistakes are a page of their own; all else is one line.
            match error.downcast_ref::<host::Mistakes>() {
                Some(mistakes) => {
                    verbs::say(&mut std::io::stderr(), mistakes);
                    ExitCode::from(2)
                }
                None => {
                    verbs::say(&mut std::io::stderr(), format_args!("error: {error:#}"));
                    ExitCode::FAILURE
                }
            }
        }
    }
}
