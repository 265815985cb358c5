//! Brings the demo people into the apps.

use std::path::Path;

use anyhow::Context;

use crate::DemoPerson;
use crate::config::Config;
use crate::databases::Databases;

/// Reads the people of `file` and lets each app make what it has for them; tells how many people
/// there are. A second time it changes nothing.
pub async fn demo(config: &Config, file: &Path) -> anyhow::Result<usize> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the demo people from {}", file.display()))?;
    // The file holds passwords: serde tells the place of a mistake, and we keep the text back.
    let mut people: Vec<DemoPerson> = serde_json::from_str(&text).map_err(|error| {
        anyhow::anyhow!(
            "{}:{}:{}: expected [{{\"email\",\"password\",\"role\"}}]",
            file.display(),
            error.line(),
            error.column()
        )
    })?;
    let databases = Databases::open(config);
    databases.ready().await?;
    for app in &config.apps {
        (app.entry.demo)(databases.pool(&app.settled.database), &mut people)
            .await
            .with_context(|| format!("the demo people of {}", app.entry.name))?;
    }
    databases.close().await;
    Ok(people.len())
}
