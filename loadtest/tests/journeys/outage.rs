//! What happens when a part goes away: for a moment, or for the night.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use local::{
    ports::Ports,
    product::{Options, Service},
};
use serde_json::Value;

use crate::stage::{Stage, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backend_comes_back() {
    let stage = Stage::open().await;
    let client = stage.client(2);
    let ann = stage.demo(&client, "user", 0).await;
    let before = ann.get("/v1/wallets").await.expect(200);
    let killed = stage.product.pid(Service::Backend);
    let status = Command::new("kill")
        .args(["-KILL", &killed.to_string()])
        .status();
    assert!(status.expect("kill runs").success());
    eventually("another backend serves", || async {
        let answer = ann.get("/v1/wallets").await;
        // While it is away the edge says so itself, as a problem.
        assert!(matches!(answer.status, 200 | 502..=504), "{answer:#?}");
        (answer.status == 200 && stage.product.pid(Service::Backend) != killed).then_some(())
    })
    .await;
    assert_eq!(ann.get("/v1/wallets").await.expect(200), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_quick_and_loses_nothing() {
    let clone = Clone::new().expect("a small clone is laid out");
    let stage = Stage::start(clone.options()).await;
    let before = wallets(&stage).await;
    let pids = [Service::Gateway, Service::Backend].map(|service| stage.product.pid(service));
    let begin = Instant::now();
    stage.product.stop().await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    for pid in pids {
        assert!(
            !Path::new(&format!("/proc/{pid}")).exists(),
            "process {pid} is left over"
        );
    }

    let stage = Stage::start(clone.options()).await;
    assert_eq!(
        wallets(&stage).await,
        before,
        "the same wallets with the same money, opened once"
    );
    stage.product.stop().await;
}

async fn wallets(stage: &Stage) -> Value {
    let client = stage.client(2);
    let ann = stage.demo(&client, "user", 0).await;
    ann.get("/v1/wallets").await.expect(200)
}

/// What of a clone a product needs to live in and come back to, on ports of its own.
struct Clone {
    root: PathBuf,
    ports: Ports,
}

impl Clone {
    fn new() -> io::Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()?;
        // Not a private room: PostgreSQL does not run as root, and shall find its data inside.
        let name = format!("vorota-clone-{}", local::room::random_hex::<5>()?);
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root)?;
        let clone = Self {
            root,
            ports: Ports::free()?,
        };
        let mut table = fs::read_to_string(source.join("routes.yaml"))?;
        let Ports {
            edge,
            management,
            apps,
            private,
            ..
        } = Ports::WELL_KNOWN;
        let ours = &clone.ports;
        for (from, to) in [
            (edge, ours.edge),
            (management, ours.management),
            (apps, ours.apps),
            (private, ours.private),
        ] {
            table = table.replace(&format!(":{from}"), &format!(":{to}"));
        }
        fs::write(clone.root.join("routes.yaml"), table)?;
        symlink(source.join("backends"), clone.root.join("backends"))?;
        Ok(clone)
    }

    fn options(&self) -> Options {
        Options {
            ports: self.ports,
            database_url: None,
            ..Options::kept(&self.root)
        }
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // In the system's directory for what is left behind.
        let _ = fs::remove_dir_all(&self.root);
    }
}
