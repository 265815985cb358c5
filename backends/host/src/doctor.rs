//! Looks at everything that a run needs, and says all of it at once.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::config::Config;
use crate::databases::{Database, Databases};

/// What was looked at, each with what is wrong with it.
pub type Findings = Vec<(String, Result<String, String>)>;

/// Looks at the listeners, the databases, the schemas, and whether the apps can be built.
pub async fn doctor(config: Config) -> Findings {
    let mut findings = Vec::new();
    let mut binds: Vec<_> = config.apps.iter().map(|app| app.settled.bind).collect();
    binds.push(config.private_bind);
    binds.sort_unstable();
    binds.dedup();
    for bind in binds {
        let free = TcpListener::bind(bind).await.map(|_| "free".to_owned());
        // A backend that runs takes them: that is for the reader to know.
        findings.push((
            format!("port {bind}"),
            free.map_err(|error| error.to_string()),
        ));
    }
    let databases = Databases::open(&config);
    for database in databases.iter() {
        let what = format!("database {} of {}", database.url, database.names());
        let reached = reach(database).await;
        let answers = reached.is_ok();
        findings.push((what, reached));
        if !answers {
            continue;
        }
        for app in &database.apps {
            for migrator in (app.migrations)() {
                let schema = pg::migrate::schema(migrator);
                findings.push((
                    format!("schema {schema} of {}", app.name),
                    match pg::migrate::state(&database.pool, migrator).await {
                        Ok(state) if state.is_current() => Ok("current".to_owned()),
                        Ok(state) => Err(format!(
                            "migrations to apply: {:?}; changed after they were applied: {:?}",
                            state.missing, state.changed
                        )),
                        Err(error) => Err(error.to_string()),
                    },
                ));
            }
        }
    }
    databases.close().await;
    let apps = crate::check(config)
        .await
        .map_err(|mistakes| mistakes.to_string());
    findings.push(("apps".to_owned(), apps));
    findings
}

async fn reach(database: &Database) -> Result<String, String> {
    let began = Instant::now();
    pg::wait(&database.pool, Duration::from_secs(2))
        .await
        .map_err(|error| error.to_string())?;
    Ok(format!("answers in {} ms", began.elapsed().as_millis()))
}
