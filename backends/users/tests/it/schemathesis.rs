//! PyPI's schemathesis asks whatever the OpenAPI document allows, and more, as somebody of each kind. No
//! answer may be a server error.

use std::{path::Path, process::Command};

use identity::Principal;
use uuid::Uuid;

use crate::stage::Stage;

/// Questions in a row to each operation; it goes round until its 40 seconds are over.
const EXAMPLES: &str = "6";

async fn asks(stage: &Stage, who: &str, caller: Option<Principal>) {
    let program = local::registries::schemathesis().expect("installed");
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(document)
        .args(["--url", &stage.base_url()])
        .args(["--phases", "fuzzing", "--max-examples", EXAMPLES])
        .args([
            "--checks",
            "not_a_server_error",
            "--workers",
            "1",
            "--seed",
            "1",
        ])
        .args([
            "--suppress-health-check",
            "all",
            "--no-color",
            "--continue-on-failure",
        ])
        .args(["--request-timeout", "10", "--max-time", "40"])
        .args([
            "-H",
            &format!("{}:{}", identity::HEADER, stage.seal(caller)),
        ])
        .current_dir(std::env::temp_dir());
    let run = tokio::task::spawn_blocking(move || command.output());
    let run = run.await.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        run.status.success(),
        "as {who}:\n{said}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(
        said.contains("Test cases"),
        "as {who} it asked nothing:\n{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_is_no_server_error() {
    let stage = Stage::start_with(|settings| settings.hash_queue = 1_000).await;
    let id = stage.member("ann@example.com").await;
    let of = |roles: &[&str]| Principal {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        acr: Some("mfa".to_owned()),
        ..stage.user_in(id, Uuid::now_v7())
    };
    for (who, caller) in [
        ("nobody", None),
        ("a user", Some(of(&["user"]))),
        ("an admin", Some(of(&["admin", "user"]))),
    ] {
        asks(&stage, who, caller).await;
    }
}
