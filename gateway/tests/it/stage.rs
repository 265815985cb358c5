//! The stage: a gateway on ports that the system chose, and an origin that plays what a test says.

mod authority;
mod issuer;
mod kinds;
mod origin;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway::access_log::Target;
use gateway::env::Lender;
use gateway::listener::ListenError;
use gateway::metrics::Metrics;
use gateway::plan::{self, Plan};
use gateway::reload::{self, Watch};
use gateway::run::Edge;
use plugin_sdk::Env;

pub(crate) use authority::{Authority, Issued};
pub(crate) use issuer::{Issuer, Mood, says};
pub(crate) use kinds::counted;
pub(crate) use origin::{Answer, Asked, Origin};
pub(crate) use wire::{Wire, parse};

/// Whatever a test waits for comes within this time, or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway between a test and its origin.
pub(crate) struct Stage {
    pub(crate) edge: Edge,
    pub(crate) origin: Origin,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) https: SocketAddr,
    pub(crate) plain: SocketAddr,
    folder: Folder,
    env: Env,
    /// The certificate that clients trust.
    pub(crate) trusted: String,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One route that takes everything, for tests that are not about routes.
pub(crate) const OPEN: &str = "
routes:
  - { id: all, match: { method: [GET, POST, PUT, DELETE], path: /** }, to: origin, auth: none, why_public: a test }
";

impl Stage {
    /// With routes (and whatever else the table should say), before an origin that echoes.
    pub(crate) async fn open(rest: &str) -> Self {
        Self::before(Origin::start(Answer::echo).await, "", rest).await
    }

    /// With an origin of the test's own, and more keys for both listeners.
    pub(crate) async fn before(origin: Origin, listener: &str, rest: &str) -> Self {
        capture_logs();
        let path = std::env::temp_dir().join(format!("stage-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        let folder = Folder(path);
        let trusted = certificate(&folder.0);
        secret(&folder.0);
        let table = table(origin.address, listener, rest);
        std::fs::write(folder.0.join("routes.yaml"), table).unwrap();
        let lender = Lender::default();
        let env = gateway::env::live(
            &folder.0.join("routes.yaml"),
            tokio::runtime::Handle::current(),
            &lender,
        );
        let plan = load(&folder.0, &env);
        let metrics = lender.metrics.clone();
        let log = Target::File(folder.0.join("access.log"));
        let plan = Arc::new(ArcSwap::from_pointee(plan));
        let edge = Edge::start(plan, &log, &lender).await.unwrap();
        let addresses = edge.addresses().await;
        Self {
            https: addresses["edge"],
            plain: addresses["plain"],
            edge,
            origin,
            metrics,
            folder,
            env,
            trusted,
        }
    }

    /// Gives the running edge another table.
    pub(crate) async fn reload(&self, listener: &str, rest: &str) {
        let table = table(self.origin.address, listener, rest);
        self.reload_text(&table).await;
    }

    async fn reload_text(&self, table: &str) {
        self.try_reload(table).await.unwrap();
    }

    /// [`Stage::reload_table`] with a table that can perhaps not be served.
    pub(crate) async fn try_reload(&self, table: &str) -> Result<(), ListenError> {
        std::fs::write(self.folder.0.join("routes.yaml"), table).unwrap();
        let plan = load(&self.folder.0, &self.env);
        self.edge.live().take(Arc::new(plan)).await
    }

    /// Has the table's file followed, as a gateway that runs does.
    pub(crate) fn follow(&self) -> tokio::task::AbortHandle {
        let config = self.folder.0.join("routes.yaml");
        let loaded = plan::load(&config, kinds::all(), &self.env);
        let Ok(loaded) = loaded else {
            panic!("the table was good before")
        };
        let watch = Watch::new(config, kinds::all(), self.env.clone(), &loaded);
        tokio::spawn(reload::follow(watch, self.edge.live().clone())).abort_handle()
    }

    /// Writes another table, which is followed or not.
    pub(crate) fn write_table(&self, table: &str) {
        std::fs::write(self.folder.0.join("routes.yaml"), table).unwrap();
    }

    /// Makes a new certificate where the old one lies.
    pub(crate) fn renew_certificate(&self) -> String {
        certificate(&self.folder.0)
    }

    /// Writes a file beside the table.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What a file beside the table holds.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.0.join(name)).unwrap()
    }

    /// Takes a file beside the table away.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.0.join(name)).unwrap();
    }

    /// Lets a link beside the table lead to something else, in one step.
    pub(crate) fn link(&self, to: &str, name: &str) {
        let fresh = self.folder.0.join(format!("{name}.fresh"));
        std::os::unix::fs::symlink(to, &fresh).unwrap();
        std::fs::rename(fresh, self.folder.0.join(name)).unwrap();
    }

    /// What is found in a table that must be refused.
    pub(crate) fn refused(&self, table: &str) -> String {
        let path = self.folder.0.join("routes.yaml");
        std::fs::write(&path, table).unwrap();
        match plan::load(&path, kinds::all(), &self.env) {
            Ok(_) => panic!("the table was taken"),
            Err(refused) => refused.findings.to_string(),
        }
    }

    /// The whole table of this stage, for tests that change more than routes.
    pub(crate) fn table(&self, listener: &str, rest: &str) -> String {
        table(self.origin.address, listener, rest)
    }

    /// [`Stage::reload`] with a table of the test's own.
    pub(crate) async fn reload_table(&self, table: &str) {
        self.reload_text(table).await;
    }

    /// A table of this stage that it does not serve: what an edge is held against.
    pub(crate) fn described(&self, rest: &str) -> Plan {
        let path = self.file("described.yaml", &table(self.origin.address, "", rest));
        match plan::load(&path, kinds::all(), &gateway::env::inert(&path)) {
            Ok(loaded) => loaded.plan,
            Err(refused) => panic!("{}", refused.findings),
        }
    }

    /// A file in the stage's folder, which goes when the stage does.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Opens a connection to the plain listener.
    pub(crate) async fn connect(&self) -> Wire {
        Wire::open(self.plain).await
    }

    /// Sends bytes to the plain listener and reads all that comes until the connection ends.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect().await;
        wire.send(bytes).await;
        wire.rest().await
    }

    /// A `GET` over a plain connection of its own.
    pub(crate) async fn get(&self, target: &str, headers: &str) -> parse::Response {
        let mut wire = self.connect().await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n");
        wire.send(format!("{head}{headers}\r\n")).await;
        wire.response().await
    }

    /// A client that speaks TLS and trusts the stage; HTTP/2 where `h2` says so.
    pub(crate) fn client(&self, h2: bool) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.trusted.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .no_proxy()
            .timeout(PATIENCE)
            .resolve("localhost", self.https);
        let client = if h2 { client } else { client.http1_only() };
        client.build().unwrap()
    }

    /// Where such a client finds a path.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.https.port())
    }

    /// The value of a metric's line, as `/metrics` would show it; 0 when it is not there.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.metrics.render();
        let found = text
            .lines()
            .find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0.0)
    }

    /// Waits until a metric's line has a value.
    pub(crate) async fn metric_becomes(&self, line: &str, value: f64) {
        let reached = async {
            while (self.metric(line) - value).abs() > f64::EPSILON {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(
            waited.is_ok(),
            "{line} is {}, not {value}",
            self.metric(line)
        );
    }

    /// Stops the edge and returns what it wrote down.
    pub(crate) async fn records(self) -> Vec<serde_json::Value> {
        let (drained, records) = self.records_within(PATIENCE).await;
        assert!(drained, "the edge did not drain");
        records
    }

    /// The same, whether all requests finished in time or not.
    pub(crate) async fn records_within(self, limit: Duration) -> (bool, Vec<serde_json::Value>) {
        let drained = self.edge.stop(limit).await;
        let text = std::fs::read_to_string(self.folder.0.join("access.log")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (drained, records.collect())
    }
}

fn load(folder: &std::path::Path, env: &Env) -> Plan {
    match plan::load(&folder.join("routes.yaml"), kinds::all(), env) {
        Ok(loaded) => loaded.plan,
        Err(refused) => panic!("{}", refused.findings),
    }
}

fn table(origin: SocketAddr, listener: &str, rest: &str) -> String {
    let comma = if listener.is_empty() { "" } else { ", " };
    format!(
        r#"
version: 1
listeners:
  edge: {{ bind: "127.0.0.1:0", tls: {{ cert: edge.pem, key: edge.key }}, http: [h1, h2]{comma}{listener} }}
  plain: {{ bind: "127.0.0.1:0", http: [h1]{comma}{listener} }}
management: {{ bind: "127.0.0.1:0" }}
identity:
  headers: {{ x-user-id: sub, x-user-roles: roles }}
  sign: {{ key: $file:identity.key, ttl: 60s }}
upstreams:
  origin: {{ targets: ["http://{origin}"], connect_timeout: 500ms }}
{rest}
"#
    )
}

fn certificate(folder: &std::path::Path) -> String {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = certified.cert.pem();
    std::fs::write(folder.join("edge.pem"), &pem).unwrap();
    std::fs::write(
        folder.join("edge.key"),
        certified.signing_key.serialize_pem(),
    )
    .unwrap();
    pem
}

fn secret(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let key = folder.join("identity.key");
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    // What proves to an issuer who we are.
    std::fs::write(folder.join("client.secret"), "a secret of a test").unwrap();
}

/// The key that seals; tests open with it. Not one byte over and over: that would be refused.
pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Every line that the library below us wrote to its log, in this process.
pub(crate) fn logged() -> Vec<String> {
    LOGGED.lock().unwrap().clone()
}

fn capture_logs() {
    struct Capture;
    impl log::Log for Capture {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            LOGGED.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    // Each test asks; the first one gets it.
    if log::set_logger(&Capture).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}
