//! Several apps in one process, from the first migration to the last request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::{Stage, seal};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn two_apps_answer_on_one_listener_and_stop_when_told() {
    let stage = Stage::new().await;
    let migrated = stage.verb(&["migrate"]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    let again = text(&stage.verb(&["migrate"]).stdout);
    assert_eq!(again, "users: 0 applied\ntransactions: 0 applied\n");
    // What apps may share is noted where it is, so that the next of them finds it.
    for table in ["ledger._sqlx_migrations", "transactions._sqlx_migrations"] {
        let sql = sqlx::AssertSqlSafe(format!("select min(version) from {table}"));
        let first: i64 = sqlx::query_scalar(sql)
            .fetch_one(&stage.database.pool)
            .await
            .expect(table);
        assert_eq!(first, 1, "{table}");
    }

    let mut process = stage.run(&["all"]);
    for path in ["/v1/me", "/v1/wallets"] {
        let answer = stage.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (401, "unauthenticated")
        );
    }
    assert_eq!(stage.get("/nowhere").await.code(), "not_found");
    // Each app takes what was sealed for it, and not its neighbour's.
    assert_eq!(
        stage
            .sealed("transactions", "GET", "/v1/currencies")
            .await
            .status,
        200
    );
    assert_eq!(
        stage.sealed("users", "GET", "/v1/currencies").await.code(),
        "unauthenticated"
    );
    assert_eq!(
        stage.sealed("users", "BREW", "/v1/me").await.code(),
        "method_not_allowed"
    );

    let ready: Value = stage.private("/readyz").await.json();
    assert_eq!(
        ready.to_string(),
        r#"{"databases":{"users, transactions":true},"needs":{"users: signing keys":true},"status":"ready"}"#
    );
    let keys: Value = stage.private("/.well-known/jwks.json").await.json();
    assert!(keys["keys"].is_array(), "{keys}");
    let metrics = text(&stage.private("/metrics").await.body);
    assert!(metrics.contains("backend_request_seconds"), "{metrics}");

    let began = Instant::now();
    process.terminate();
    assert_eq!(process.end(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(6));
    for line in process.log() {
        let line: Value = serde_json::from_str(line).expect("each line of the log is JSON");
        assert_ne!(line["level"], "ERROR", "{line}");
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let stage = Stage::new().await;
    stage.verb(&["migrate"]);
    let mut process = stage.run(&[]);
    let body = r#"{"email":"ann@example.com","password":"not-ann's-own"}"#;
    let mut client = Slow::send_head(stage.apps, body.len());
    // The handler has begun to read the body.
    client.read_until("100 Continue\r\n\r\n");
    process.terminate();
    process.wait_for("draining");
    // New ones are not taken any more, and this one is.
    while TcpStream::connect(stage.apps).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = client.finish(body);
    assert!(answer.contains("invalid_credentials"), "{answer}");
    assert_eq!(process.end(), Some(0));
}

/// A client that takes its time.
struct Slow(TcpStream);

impl Slow {
    fn send_head(to: SocketAddr, length: usize) -> Self {
        let mut stream = TcpStream::connect(to).expect("it listens");
        write!(
            stream,
            "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nexpect: 100-continue\r\nx-identity: {}\r\n\r\n",
            seal("users")
        )
        .expect("it reads");
        Self(stream)
    }

    fn read_until(&mut self, words: &str) {
        let mut read = Vec::new();
        while !read.ends_with(words.as_bytes()) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("it answers");
            read.extend(byte);
        }
    }

    fn finish(&mut self, body: &str) -> String {
        write!(self.0, "{body}").expect("it reads");
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

#[tokio::test]
async fn an_unmigrated_database_is_told_and_not_served() {
    let stage = Stage::new().await;
    let run = stage.verb(&["run"]);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text(&run.stderr).contains("run `backend migrate`"),
        "{}",
        text(&run.stderr)
    );
    let doctor = stage.verb(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(
        text(&doctor.stdout).contains("BAD   schema users"),
        "{}",
        text(&doctor.stdout)
    );
    assert!(
        text(&doctor.stdout).contains("BAD   schema ledger of transactions"),
        "{}",
        text(&doctor.stdout)
    );
}

#[tokio::test]
async fn an_absent_database_is_waited_for_and_then_named() {
    let stage = Stage::new().await;
    stage.write(
        "backend.yaml",
        &stage
            .config()
            .replace("$env:DATABASE_URL", "$file:database"),
    );
    stage.write("database", "postgres://ann:hush@127.0.0.1:1/none");
    let began = Instant::now();
    let run = stage.verb(&["run"]);
    assert_eq!(run.status.code(), Some(1));
    let told = text(&run.stderr);
    let expected =
        "error: the database of users, transactions at 127.0.0.1:1/none cannot be reached";
    assert!(
        told.starts_with(expected) && told.contains("refused"),
        "{told}"
    );
    assert!(!told.contains("hush"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let stage = Stage::new().await;
    stage.verb(&["migrate"]);
    let _taken = std::net::TcpListener::bind(stage.apps).expect("free a moment ago");
    let run = stage.verb(&["run"]);
    assert_eq!(run.status.code(), Some(1));
    let expected = format!("error: users cannot listen on {}: ", stage.apps);
    assert!(
        text(&run.stderr).starts_with(&expected),
        "{}",
        text(&run.stderr)
    );
}

#[tokio::test]
async fn an_outage_is_503_and_passes_by_itself() {
    let stage = Stage::new().await;
    stage.verb(&["migrate"]);
    let _process = stage.run(&["users"]);
    let name = stage
        .database
        .url
        .rsplit('/')
        .next()
        .expect("a name")
        .to_owned();
    let server = pg::testing::server();
    // Nobody gets in, and those who are in are thrown out: a server that is away, for one database.
    let statement = |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&server);
    statement(format!("alter database {name} allow_connections false"))
        .await
        .expect("we may");
    statement(format!(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}'"
    ))
    .await
    .expect("we may");

    let ready = stage.private("/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(stage.private("/livez").await.status, 200);
    let answer = stage.login().await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "upstream_unavailable")
    );
    assert!(answer.header("retry-after").is_some());

    statement(format!("alter database {name} allow_connections true"))
        .await
        .expect("we may");
    let soon = Instant::now() + Duration::from_secs(20);
    while stage.private("/readyz").await.status != 200 {
        assert!(Instant::now() < soon, "it did not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stage.login().await.code(), "invalid_credentials");
}
