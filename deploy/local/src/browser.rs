//! A browser that does what a script says, for tests: headless Chromium, driven by npm's
//! playwright-core.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    leash::{Farewell, Program},
    registries, room,
};

/// Opens the browser: what every script begins with.
const OPEN: &str = include_str!("../browser/open.mjs");
/// What was installed must be what this says.
const LOCK: &str = include_str!("../browser/package-lock.json");

/// A browser starts slowly on a loaded machine, and a journey has many steps.
const DONE_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// Plays a script and gives what it returns. The script is a module of JavaScript whose default
/// export is an async function; it is called with `open()`, which gives a page, and with `wish`, in
/// which `url` is where the product is and `ca` the file of the authority that vouches for it.
///
/// # Errors
/// When the browser is not installed, does not start, or the script throws; the message shows what
/// it has said.
pub fn play(script: &str, wish: &Value) -> anyhow::Result<Value> {
    let modules = registries::modules("browser", LOCK)?;
    let ca = wish["ca"].as_str().context("the wish names no `ca`")?;
    let place = room::private(&env::temp_dir())?;
    let log = place.join("browser.log");
    let open = place.join("open.mjs");
    fs::write(&open, OPEN)?;
    fs::write(place.join("script.mjs"), script)?;
    let output = File::create(&log)?;
    // Read by a handle: the file goes with the script's directory, this does not.
    let mut said = File::open(&log)?;
    let mut leash = Program {
        line: vec![OsStr::new("node"), open.as_os_str()],
        env: vec![
            ("SCRIPT_WISH", wish.to_string()),
            ("SCRIPT_MODULES", modules.display().to_string()),
            ("NODE_EXTRA_CA_CERTS", ca.to_owned()),
        ],
        directory: Some(&place),
        log: output,
        user: None,
        farewell: Farewell::Terminate,
        leftovers: Some(place.clone()),
        grace: STOPPED_WITHIN,
    }
    .start()
    .inspect_err(|_| drop(fs::remove_dir_all(&place)))?;
    let deadline = Instant::now() + DONE_WITHIN;
    let mut text = String::new();
    loop {
        // Asked before reading: what it says last is read after it has ended.
        let ended = leash.ended()?;
        said.read_to_string(&mut text)?;
        let done = text.lines().find_map(|line| line.strip_prefix("done "));
        if let Some(value) = done.and_then(|text| serde_json::from_str(text).ok()) {
            return Ok(value);
        }
        if let Some(status) = ended {
            bail!("the script in the browser ended early ({status})\n{text}");
        }
        if Instant::now() > deadline {
            bail!("the script in the browser was not done within {DONE_WITHIN:?}\n{text}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
