//! Twilio's own library, for tests: what passes for Twilio is what this takes for it.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::registries;

const SCRIPT: &str = include_str!("../twilio/send.mjs");
/// What was installed must be what this says.
const LOCK: &str = include_str!("../twilio/package-lock.json");

/// Sends `messages` (what the library calls `to`, `from`, `messagingServiceSid` and `body`) to the
/// Twilio at `api`, and tells what came of each: `sid`, `status`, `to` and `body`, or the `status`,
/// `code` and `message` of the error. It blocks until all are answered.
///
/// # Errors
/// When its packages are not installed, or what it met is nothing that it knows; the message says
/// what to do.
pub fn send(
    api: &str,
    account_sid: &str,
    auth_token: &str,
    messages: &Value,
) -> anyhow::Result<Vec<Value>> {
    let wish = json!({
        "api": api,
        "account_sid": account_sid,
        "auth_token": auth_token,
        "messages": messages,
    });
    let output = Command::new("node")
        .args(["--input-type=module", "--eval", SCRIPT])
        .env("TWILIO", wish.to_string())
        .env("TWILIO_MODULES", registries::modules("twilio", LOCK)?)
        .output()
        .context("run node")?;
    ensure!(
        output.status.success(),
        "twilio did not come to an end\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcomes = String::from_utf8(output.stdout)?;
    let outcomes = outcomes.lines().map(serde_json::from_str);
    outcomes
        .collect::<Result<_, _>>()
        .context("read what twilio says")
}
