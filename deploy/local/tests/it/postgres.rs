use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use local::{postgres::Cluster, room};

/// Runs one statement and returns what psql prints.
fn ask(url: &str, statement: &str) -> String {
    let output = Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, url])
        .output()
        .expect("psql is installed with the server");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn await_gone(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while path.exists() {
        assert!(
            Instant::now() < deadline,
            "{} is still there",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_temporary_cluster_leaves_nothing_behind() {
    let cluster = Cluster::temporary().expect("PostgreSQL starts");
    assert_eq!(
        ask(&cluster.url(), "select current_user || current_database()"),
        "vorotavorota"
    );
    assert_eq!(
        ask(&cluster.url_of("postgres"), "show listen_addresses"),
        ""
    );
    let data = cluster.data().to_path_buf();
    drop(cluster);
    assert!(!data.exists());
}

#[test]
fn a_killed_server_does_not_hide_its_end() {
    let mut cluster = Cluster::temporary().expect("PostgreSQL starts");
    assert!(cluster.ended().expect("asked").is_none());
    let pid = i32::try_from(cluster.pid()).expect("a process id");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("killed");
    await_gone(cluster.data());
    let deadline = Instant::now() + Duration::from_secs(10);
    while cluster.ended().expect("asked").is_none() {
        assert!(
            Instant::now() < deadline,
            "the watcher stays although its server is gone"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_kept_cluster_outlives_stops_kills_and_stale_files() {
    let place = room::private(&std::env::temp_dir()).expect("a directory");
    let directory = place.join("var/postgres");
    let log = place.join("postgres.log");
    let open = || Cluster::open(&directory, &log).unwrap_or_else(|error| panic!("{error:#}"));

    let cluster = open();
    ask(
        &cluster.url(),
        "create table kept (n int); insert into kept values (1)",
    );
    let second = Cluster::open(&directory, &log).expect_err("one cluster, one owner");
    assert!(
        second.to_string().contains("another process runs"),
        "{second}"
    );
    let data = cluster.data().to_path_buf();
    cluster.stop().expect("a clean stop");
    assert!(!data.join("postmaster.pid").exists());

    let cluster = open();
    ask(&cluster.url(), "insert into kept values (2)");
    // Not even the watcher gets to clean up: server and watcher are killed as a power cut would.
    let pid = cluster.pid().to_string();
    let watcher = parent_of(&pid);
    Command::new("kill")
        .args(["-9", &watcher, &pid])
        .status()
        .expect("kill runs");
    drop(cluster);
    assert!(
        data.join("postmaster.pid").exists(),
        "the stale file is there"
    );
    // The dead server's number now belongs to somebody else: us.
    let stale = fs::read_to_string(data.join("postmaster.pid")).expect("readable");
    fs::write(
        data.join("postmaster.pid"),
        stale.replacen(&pid, &std::process::id().to_string(), 1),
    )
    .expect("writable");

    let cluster = open();
    assert_eq!(ask(&cluster.url(), "select sum(n) from kept"), "3");
    cluster.stop().expect("a clean stop");
    Cluster::remove(&directory).expect("removed");
    assert!(!data.exists(), "wherever it lay");
    fs::remove_dir_all(place).expect("removed");
}

#[test]
fn a_server_that_outlived_its_watcher_is_stopped_first() {
    let place = room::private(&std::env::temp_dir()).expect("a directory");
    let directory = place.join("postgres");
    let log = place.join("postgres.log");
    let first = Cluster::open(&directory, &log).expect("PostgreSQL starts");
    let orphan = first.pid().to_string();
    Command::new("kill")
        .args(["-9", &parent_of(&orphan)])
        .status()
        .expect("kill runs");
    drop(first);
    assert!(
        Path::new("/proc").join(&orphan).exists(),
        "the server lives on alone"
    );

    let second = Cluster::open(&directory, &log).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(ask(&second.url(), "select 1"), "1");
    assert_ne!(second.pid().to_string(), orphan);
    second.stop().expect("a clean stop");
    Cluster::remove(&directory).expect("removed");
    fs::remove_dir_all(place).expect("removed");
}

fn parent_of(pid: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.expect("everybody has a parent").trim().to_owned()
}

#[test]
fn the_cluster_of_a_killed_process_ends_too() {
    let place = room::private(&std::env::temp_dir()).expect("a directory");
    let note = place.join("url");
    let mut child = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["postgres", "--", "sh", "-c"])
        .arg(
            format!(
                "echo $DATABASE_URL > {0}.new && mv {0}.new {0}",
                note.display()
            ) + " && exec cat",
        )
        // The command lives until this pipe closes: what we kill is its parent alone.
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !note.exists() {
        assert!(Instant::now() < deadline, "the command was never run");
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = fs::read_to_string(&note).expect("readable");
    assert_eq!(ask(url.trim(), "select 1"), "1");
    let sockets = url
        .split_once('@')
        .and_then(|(_, rest)| rest.split_once(':'))
        .expect("a host")
        .0;
    child.kill().expect("killed");
    child.wait().expect("gone");
    await_gone(Path::new(&sockets.replace("%2F", "/")));
    fs::remove_dir_all(place).expect("removed");
}

#[test]
fn a_server_is_not_told_the_password_of_another_database() {
    let looks = r#"
        pid=$(psql -XAtc "select split_part(pg_read_file('postmaster.pid'), chr(10), 1)" "$DATABASE_URL")
        tr '\0' '\n' <"/proc/$pid/environ""#;
    let output = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["postgres", "--", "sh", "-c", looks])
        .env("DATABASE_URL", "postgres://ann:hush@db.example/books")
        .env("HANDED_ON", "yes")
        .output()
        .expect("it starts");
    let environment = String::from_utf8_lossy(&output.stdout);
    assert!(environment.contains("HANDED_ON=yes"), "{output:?}");
    assert!(!environment.contains("hush"), "{environment}");
}
