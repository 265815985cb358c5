//! The verbs as an operator types them.

use std::path::Path;
use std::process::{Command, Output};

fn gateway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The shipped table without the certificate, which only a running product makes.
fn table(folder: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shipped = std::fs::read_to_string(root.join("routes.yaml")).unwrap();
    std::os::unix::fs::symlink(root.join("backends"), folder.join("backends")).unwrap();
    std::fs::create_dir_all(folder.join("var/secrets")).unwrap();
    let key: String = (0..32_u8).map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(folder.join("var/secrets/identity.key"), key).unwrap();
    let tls = shipped
        .lines()
        .find(|line| line.trim().starts_with("tls:"))
        .unwrap();
    shipped.replace(&format!("{tls}\n"), "")
}

#[test]
fn check_and_explain_say_what_they_should_and_end_as_they_should() {
    let folder = std::env::temp_dir().join(format!("verbs-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("table.yaml");
    let config = path.to_str().unwrap();
    let good = table(&folder);

    std::fs::write(&path, &good).unwrap();
    let check = gateway(&["check", "--config", config]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stdout));
    assert!(text(&check.stdout).contains("table.yaml: good"));

    let url = "https://edge/v1/transfers";
    let explain = gateway(&[
        "explain", "POST", url, "--as", "user", "--config", config, "--json",
    ]);
    let explanation: serde_json::Value = serde_json::from_slice(&explain.stdout).unwrap();
    assert_eq!(explanation["way"]["route"], "transfers.create");
    assert_eq!(explanation["verdict"], "goes on to transactions");
    let explain = gateway(&["explain", "POST", url, "--config", config]);
    assert!(text(&explain.stdout).contains("refused with 401 unauthenticated"));
    let explain = gateway(&["explain", "POST", "edge", "--config", config]);
    assert_eq!(explain.status.code(), Some(1));
    assert!(text(&explain.stderr).contains("write the URL as `https://edge/v1/…`"));

    std::fs::write(&path, good.replace("to: users", "to: nobody")).unwrap();
    for arguments in [
        &["check", "--config", config][..],
        &["explain", "GET", url, "--config", config],
        &["run", "--config", config],
    ] {
        let refused = gateway(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert!(
            said.contains("names `nobody`, which is not in `upstreams`"),
            "{said}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn check_diff_and_probe_speak_to_programs() {
    let folder = std::env::temp_dir().join(format!("verbs-diff-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (path, other) = (folder.join("table.yaml"), folder.join("other.yaml"));
    let (config, other) = (path.to_str().unwrap(), other.to_str().unwrap());
    let good = table(&folder);
    std::fs::write(&path, &good).unwrap();
    std::fs::write(
        other,
        good.replace("path: /v1/wallets }", "path: /v1/purses }"),
    )
    .unwrap();

    let matrix = gateway(&["check", "--matrix", "--config", config]);
    assert!(
        text(&matrix.stdout).contains("GET     /v1/wallets "),
        "{}",
        text(&matrix.stdout)
    );
    let sarif = gateway(&["check", "--format", "sarif", "--config", other]);
    let sarif: serde_json::Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let json = gateway(&["check", "--format", "json", "--config", other]);
    assert_eq!(json.status.code(), Some(2), "the table's own tests fail");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["good"], false);

    let (routes, _) = good.split_once("tests:\n").unwrap();
    std::fs::write(
        other,
        routes.replace("path: /v1/wallets }", "path: /v1/purses }"),
    )
    .unwrap();
    let records = folder.join("access.ndjson");
    let record = r#"{"at":"2026-11-21T10:00:00Z","method":"GET","path":"/v1/wallets","user":"u1","roles":["user"]}"#;
    std::fs::write(&records, format!("{record}\n{record}\n")).unwrap();
    let traffic = records.to_str().unwrap();
    let diff = gateway(&["diff", config, other, "--traffic", traffic, "--json"]);
    assert_eq!(diff.status.code(), Some(0), "{}", text(&diff.stderr));
    let diff: serde_json::Value = serde_json::from_slice(&diff.stdout).unwrap();
    assert_eq!(diff["exposure"].as_array().map(Vec::len), Some(2));
    let shift = &diff["traffic"]["shifts"][0];
    assert_eq!(
        (&shift["from"], &shift["to"]),
        (&"wallets.list".into(), &"404".into())
    );
    assert_eq!(
        (&shift["requests"], &shift["users"]),
        (&2.into(), &1.into())
    );
    let missing = gateway(&["diff", config, other, "--traffic", "/nowhere"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("open /nowhere"));

    let probe = gateway(&["probe", "api.example.com", "--config", config]);
    assert_eq!(probe.status.code(), Some(1));
    assert!(text(&probe.stderr).contains("write `https://api.example.com`"));
    std::fs::remove_dir_all(&folder).unwrap();
}
