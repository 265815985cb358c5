//! backend.yaml: read, checked, and every mistake told with its place.
//!
//! ```yaml
//! private_bind: "127.0.0.1:9441"                # /livez /readyz /metrics, for machines of ours
//! identity_keys: "$file:secrets/identity.key"   # opens what the gateway seals
//! cursor_key: "$file:secrets/cursor.key"        # signs list cursors
//! redis: "$env:REDIS_URL"                       # optional; what is told other programs at once
//! pool:                                         # optional, per database; these are the defaults
//!   max_connections: 10
//!   acquire_timeout: 2s
//!   statement_timeout: 5s
//!   lock_timeout: 2s
//!   pgbouncer: false
//! apps:
//!   users:
//!     bind: "127.0.0.1:9081"                    # apps that name the same one share a listener
//!     database: "$env:DATABASE_URL"             # apps that name the same one share a pool
//!     settings: {}                              # the app's own
//! ```

mod mistake;
mod pick;
mod source;
mod written;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;

pub(crate) use mistake::Place;
pub use mistake::{Mistake, Mistakes};
pub(crate) use source::Source;

use crate::{App, Entry, Host, Key, Parts};

/// A configuration in which each value is right by itself; [`crate::check`] builds the apps as well.
pub struct Config {
    pub(crate) private_bind: SocketAddr,
    pub(crate) keys: Arc<identity::KeyRing>,
    pub(crate) cursor_key: Key,
    pub(crate) redis: Option<redis::Client>,
    pub(crate) pool: pg::Settings,
    pub(crate) apps: Vec<AppConfig>,
}

/// One app's part of it.
pub(crate) struct AppConfig {
    pub(crate) entry: Entry,
    /// Where the file names it.
    pub(crate) place: Place,
    pub(crate) settled: Settled,
}

/// What backend.yaml says of one app, its settings already inside the way to build it.
pub(crate) struct Settled {
    pub(crate) bind: SocketAddr,
    pub(crate) database: pg::Url,
    pub(crate) build: Build,
}

type Build = Box<dyn FnOnce(Host) -> BoxFuture<'static, anyhow::Result<Parts>> + Send>;

impl Settled {
    /// Reads `apps.NAME`, which the caller knows to be there.
    pub(crate) fn read<A: App>(source: &Source) -> Result<Self, Mistake> {
        let path = &["apps", A::NAME];
        let app: written::App<A::Config> = source.at(path)?.expect("the caller has seen it");
        Ok(Self::new::<A>(app.bind.0, app.database.0, app.settings))
    }

    pub(crate) fn new<A: App>(bind: SocketAddr, database: pg::Url, settings: A::Config) -> Self {
        Self {
            bind,
            database,
            build: Box::new(|host| Box::pin(async move { A::build(settings, &host).await })),
        }
    }
}

impl Config {
    /// Reads `path` for the apps named in `wanted`: none, or the word `all`, are all that the file
    /// has. `program` is what was compiled in.
    pub fn read(path: &Path, program: &[Entry], wanted: &[String]) -> Result<Self, Mistakes> {
        let source = Source::open(path).map_err(Mistakes::one)?;
        let mut found = Gathered::default();
        found.note(
            source
                .outline::<written::Outline>()
                .map_err(Mistakes::one)?,
        );
        let private_bind = found.note(source.at::<written::Bind>(&["private_bind"]));
        let keys = found.note(source.at::<written::Keys>(&["identity_keys"]));
        let cursor_key = found.note(source.at::<Key>(&["cursor_key"]));
        let redis = found.note(source.at::<written::Redis>(&["redis"]));
        let pool = found.note(source.at::<written::Pool>(&["pool"]));
        let named = found
            .note(source.at::<written::Names>(&["apps"]))
            .unwrap_or_default();
        if named.is_empty() && found.0.is_empty() {
            found.0.push(Mistake::new(
                source.file(),
                "there is no app to run under `apps`",
            ));
        }
        let mut apps = Vec::new();
        for name in named.keys() {
            let place = source.place(name.referenced);
            match program.iter().find(|entry| entry.name == name.value) {
                Some(entry) if is_wanted(wanted, entry.name) => {
                    let settled = found.note((entry.read)(&source).map(Some));
                    apps.extend(settled.map(|settled| AppConfig {
                        entry: *entry,
                        place,
                        settled,
                    }));
                }
                Some(_) => {}
                None => found.0.push(
                    Mistake::new(place, format!("unknown app `{}`", name.value))
                        .hint(mistake::one_of(&name.value, program.iter().map(|e| e.name))),
                ),
            }
        }
        for name in wanted.iter().filter(|name| *name != "all") {
            if !named.keys().any(|known| known.value == *name) {
                let there = named.keys().map(|known| known.value.as_str());
                found.0.push(
                    Mistake::new(source.file(), format!("the file has no app `{name}`"))
                        .hint(mistake::one_of(name, there)),
                );
            }
        }
        // The program's order: `users` comes before whoever builds on its people.
        apps.sort_by_key(|app| program.iter().position(|e| e.name == app.entry.name));
        match (private_bind, keys, cursor_key) {
            (Some(private_bind), Some(keys), Some(cursor_key)) if found.0.is_empty() => Ok(Self {
                private_bind: private_bind.0,
                keys: keys.0,
                cursor_key,
                redis: redis.map(|redis| redis.0),
                pool: pool.unwrap_or_default().settings(),
                apps,
            }),
            _ => Err(Mistakes::of(found.0)),
        }
    }

    /// One line about what will run, for `check`.
    pub fn summary(&self) -> String {
        let mut listeners: Vec<(SocketAddr, Vec<&str>)> = Vec::new();
        for app in &self.apps {
            match listeners
                .iter_mut()
                .find(|(bind, _)| *bind == app.settled.bind)
            {
                Some((_, names)) => names.push(app.entry.name),
                None => listeners.push((app.settled.bind, vec![app.entry.name])),
            }
        }
        let listeners: Vec<String> = listeners
            .iter()
            .map(|(bind, names)| format!("{} on {bind}", names.join(", ")))
            .collect();
        format!(
            "{}; private port {}",
            listeners.join("; "),
            self.private_bind
        )
    }
}

/// Mistakes so far; reading goes on behind each.
#[derive(Default)]
struct Gathered(Vec<Mistake>);

impl Gathered {
    fn note<T>(&mut self, read: Result<Option<T>, Mistake>) -> Option<T> {
        read.unwrap_or_else(|mistake| {
            self.0.push(mistake);
            None
        })
    }
}

fn is_wanted(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wish| wish == name || wish == "all")
}
