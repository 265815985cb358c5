//! npm's openid-client, for tests: what it takes for an authorization server is one to others as well.

use std::{path::Path, process::Command};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::registries;

const SCRIPT: &str = include_str!("../openid-client/call.mjs");
/// What was installed must be what this says.
const LOCK: &str = include_str!("../openid-client/package-lock.json");

/// Makes the calls of `wish` (see `openid-client/call.mjs`) as a client that believes the authority
/// `ca`, and tells what came of each: `answer`, or the `error` and its `status`. It blocks until all
/// are answered.
///
/// # Errors
/// When its packages are not installed, or it can't discover the issuer; the message says what to do.
pub fn call(ca: &Path, wish: &Value) -> anyhow::Result<Vec<Value>> {
    let output = Command::new("node")
        .args(["--input-type=module", "--eval", SCRIPT])
        .env("OPENID_CLIENT", wish.to_string())
        .env(
            "OPENID_CLIENT_MODULES",
            registries::modules("openid-client", LOCK)?,
        )
        .env("NODE_EXTRA_CA_CERTS", ca)
        .output()
        .context("run node")?;
    ensure!(
        output.status.success(),
        "openid-client did not come to an end\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcomes = String::from_utf8(output.stdout)?;
    let outcomes = outcomes.lines().map(serde_json::from_str);
    outcomes
        .collect::<Result<_, _>>()
        .context("read what openid-client says")
}
