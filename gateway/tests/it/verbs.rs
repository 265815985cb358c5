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
