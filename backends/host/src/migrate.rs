//! Brings the apps' schemas up to date.

use anyhow::Context;

use crate::config::Config;
use crate::databases::Databases;

/// Applies what is missing, app by app; tells how many that were for each.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<(&'static str, usize)>> {
    let databases = Databases::open(config);
    databases.reach().await?;
    let mut applied = Vec::new();
    for app in &config.apps {
        let pool = databases.pool(&app.settled.database);
        let mut count = 0;
        for migrator in (app.entry.migrations)() {
            count += pg::migrate::run(pool, migrator).await.with_context(|| {
                let schema = pg::migrate::schema(migrator);
                format!("migrating the schema {schema} of {}", app.entry.name)
            })?;
        }
        applied.push((app.entry.name, count));
    }
    databases.close().await;
    Ok(applied)
}
