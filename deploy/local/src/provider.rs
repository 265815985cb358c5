//! An OpenID provider to throw away, for tests: npm's oidc-provider on a loopback port.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use serde_json::{Value, json};

use crate::{
    leash::{Farewell, Leash, Program},
    registries, room, tail,
};

const SCRIPT: &str = include_str!("../provider/provider.mjs");
/// What was installed must be what this says.
const LOCK: &str = include_str!("../provider/package-lock.json");

/// Node starts slowly on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// A running provider. Dropping it stops it; so does the end of this process, however it comes.
#[derive(Debug)]
pub struct Provider {
    leash: Leash,
    issuer: String,
}

impl Provider {
    /// Starts a provider on a port that the system chose. `wish` holds `clients` (their metadata,
    /// as in RFC 7591), `accounts` (claims by subject; without it anybody may sign in as anything),
    /// `scopes` beyond OpenID's own, `resources` (RFC 8707) with the form of their access tokens, and `more`, which goes into oidc-provider's configuration.
    ///
    /// # Errors
    /// When its packages are not installed or it does not start; the message says what to do.
    pub fn start(wish: Value) -> anyhow::Result<Self> {
        Self::start_on(0, wish)
    }

    /// Starts a provider on a given loopback port: a test that stops one may bring it back. It has
    /// new keys then, and knows of no code and no session.
    ///
    /// # Errors
    /// As [`Provider::start`], and when the port is taken.
    pub fn start_on(port: u16, mut wish: Value) -> anyhow::Result<Self> {
        let modules = registries::modules("provider", LOCK)?;
        wish["port"] = json!(port);
        let place = room::private(&env::temp_dir())?;
        let script = place.join("provider.mjs");
        let log = place.join("provider.log");
        fs::write(&script, SCRIPT)?;
        let leash = Program {
            line: vec![OsStr::new("node"), script.as_os_str()],
            env: vec![
                ("PROVIDER", wish.to_string()),
                ("PROVIDER_MODULES", modules.display().to_string()),
            ],
            directory: Some(&place),
            log: File::create(&log)?,
            user: None,
            farewell: Farewell::Terminate,
            leftovers: Some(place.clone()),
            grace: STOPPED_WITHIN,
        }
        .start()
        .inspect_err(|_| drop(fs::remove_dir_all(&place)))?;
        let issuer = String::new();
        let mut provider = Self { leash, issuer };
        provider.issuer = provider.await_ready(&log)?;
        Ok(provider)
    }

    /// Its issuer: `http://127.0.0.1:port`, where its metadata and everything else lie.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        let port = self.issuer.rsplit(':').next().map(str::parse);
        port.and_then(Result::ok)
            .expect("an issuer ends with its port: await_ready has seen it")
    }

    fn await_ready(&mut self, log: &Path) -> anyhow::Result<String> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // Read before asking whether it ended: the log goes with the provider's directory.
            let said = tail::of(log);
            let ready = said.lines().find_map(|line| line.strip_prefix("ready "));
            if let Some(issuer) = ready
                && issuer.rsplit(':').next().is_some_and(is_port)
            {
                return Ok(issuer.to_owned());
            }
            if let Some(status) = self.leash.ended()? {
                bail!("the provider did not start ({status}); it needs node 20 or later\n{said}");
            }
            if Instant::now() > deadline {
                bail!("the provider was not ready within {READY_WITHIN:?}\n{said}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}
