//! The directories of a product, and what must be in them before anything serves.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};

use crate::{
    certs, config, people, people::Person, ports::Ports, postgres::Cluster, room, secrets,
};

/// Logs are set aside at a start that finds them larger, in bytes.
const LOG_KEPT: u64 = 16 * 1024 * 1024;

/// Where a product lives. The files keep the places they have in a clone.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    /// Removed with the product.
    temporary: bool,
    /// Held while a product runs here.
    lock: Option<File>,
}

impl Place {
    pub(super) fn kept(clone: &Path) -> Self {
        Self {
            root: clone.to_owned(),
            temporary: false,
            lock: None,
        }
    }

    pub(super) fn temporary(clone: &Path, ports: &Ports) -> anyhow::Result<Self> {
        let root =
            room::private(&std::env::temp_dir()).context("make a directory for the product")?;
        // PostgreSQL does not run as root: where its user can't enter, the cluster would be kept
        // elsewhere and outlive the product.
        fs::set_permissions(&root, Permissions::from_mode(0o711))?;
        let place = Self {
            root,
            temporary: true,
            lock: None,
        };
        config::move_routes(clone, &place.root, ports)?;
        Ok(place)
    }

    /// Everything that a run writes, certificates aside.
    #[must_use]
    pub fn var(&self) -> PathBuf {
        self.root.join("var")
    }

    /// The route table.
    #[must_use]
    pub fn routes(&self) -> PathBuf {
        self.root.join("routes.yaml")
    }

    /// The certificate of the authority that clients must trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.certs().join("ca.pem")
    }

    /// The demo accounts as JSON.
    #[must_use]
    pub fn demo(&self) -> PathBuf {
        self.var().join("demo.json")
    }

    /// A part's log.
    #[must_use]
    pub fn log(&self, part: &str) -> PathBuf {
        self.var().join("log").join(format!("{part}.log"))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn backend_yaml(&self) -> PathBuf {
        self.var().join("backend.yaml")
    }

    fn certs(&self) -> PathBuf {
        self.root.join("certs/dev")
    }

    /// One product at a time, told by a lock that ends with the process, however it ends.
    fn lock(&mut self) -> anyhow::Result<()> {
        let path = self.var().join("run.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        if lock.try_lock().is_err() {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "it runs already from {} (process {}): stop that first",
                self.root.display(),
                holder.trim()
            );
        }
        fs::write(&path, std::process::id().to_string())?;
        self.lock = Some(lock);
        Ok(())
    }

    fn make_logs(&self) -> anyhow::Result<()> {
        fs::create_dir_all(self.var().join("log")).context("make the directory of the logs")?;
        for part in ["postgres", "backend", "gateway"] {
            let log = self.log(part);
            if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LOG_KEPT) {
                fs::rename(&log, log.with_extension("log.1"))?;
            }
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed lies where systems tidy up; the cluster's data may lie elsewhere.
            let _ = Cluster::remove(&self.var().join("postgres"));
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// A place where everything is there that the services need.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) cluster: Option<Cluster>,
    pub(super) database_url: String,
    pub(super) people: Vec<Person>,
    pub(super) ports: Ports,
    pub(super) place: Place,
}

impl Prepared {
    pub(super) fn make(
        mut place: Place,
        ports: Ports,
        database_url: Option<String>,
        redis_url: Option<&str>,
    ) -> anyhow::Result<Self> {
        ensure!(
            place.routes().is_file(),
            "{} is not there: run this from the clone's own directory",
            place.routes().display()
        );
        fs::create_dir_all(place.var())
            .with_context(|| format!("make {}", place.var().display()))?;
        // The lock first: of two runs in one clone, the second should not speak of ports.
        place.lock()?;
        ports.ensure_free()?;
        let backend = binary("backend")?;
        binary("gateway")?;
        place.make_logs()?;
        secrets::ensure(&place.var().join("secrets"))?;
        certs::ensure(&place.certs())?;
        config::write_backend(&place.backend_yaml(), &ports, redis_url.is_some())?;
        let people = people::ensure(&place.demo())?;
        let (cluster, database_url) = match database_url {
            Some(url) => (None, url),
            None => {
                let cluster = Cluster::open(&place.var().join("postgres"), &place.log("postgres"))?;
                let url = cluster.url();
                (Some(cluster), url)
            }
        };
        let prepared = Self {
            cluster,
            database_url,
            people,
            ports,
            place,
        };
        let database = match prepared.cluster {
            Some(_) => "bring the database up to date",
            None => "bring the database that DATABASE_URL names up to date",
        };
        prepared.run(&backend, redis_url, database, &["migrate"])?;
        let demo = prepared.place.demo();
        prepared.run(
            &backend,
            redis_url,
            "make the demo accounts",
            &["demo", &demo.to_string_lossy()],
        )?;
        Ok(prepared)
    }

    /// Runs the backend once with its configuration.
    fn run(
        &self,
        backend: &Path,
        redis_url: Option<&str>,
        what: &str,
        verb: &[&str],
    ) -> anyhow::Result<()> {
        let log = self.place.log("backend");
        let output = Command::new(backend)
            .args(verb)
            .arg("--config")
            .arg(self.place.backend_yaml())
            .env("DATABASE_URL", &self.database_url)
            .envs(redis_url.map(|url| ("REDIS_URL", url)))
            .output()
            .with_context(|| format!("{what}: start {}", backend.display()))?;
        let said = [output.stdout, output.stderr].concat();
        std::io::Write::write_all(
            &mut File::options().create(true).append(true).open(&log)?,
            &said,
        )?;
        ensure!(
            output.status.success(),
            "{what}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&said).trim()
        );
        Ok(())
    }
}

/// One of our binaries, built beside the program that runs now.
pub(super) fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let ours = std::env::current_exe().context("find our own program")?;
    let directory = ours.parent().unwrap_or(Path::new("."));
    // Tests run from a folder further down.
    let directory = if directory.ends_with("deps") {
        directory.parent().unwrap_or(directory)
    } else {
        directory
    };
    let path = directory.join(name);
    ensure!(
        path.is_file(),
        "{} is not built: cargo build --workspace",
        path.display()
    );
    // Handed out before a `cd` into the product's root.
    path.canonicalize()
        .with_context(|| format!("find {}", path.display()))
}
