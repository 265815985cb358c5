//! What must not be found in logs, nor in the database.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::stage::Stage;

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a log").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

/// The log is that of the whole process: what the tests beside this one say is looked at as well.
#[tokio::test]
async fn no_secret_reaches_a_log_or_rests_in_the_database() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("no other test has a log");
    let stage = Stage::start().await;

    let password = "walrus under the ninth bridge";
    let flow_id = stage.register("ann@example.com", password).await;
    let code = stage.code("ann@example.com").await;
    stage.verify(flow_id, "000000").await;
    stage.verify(flow_id, &code).await;
    let signed_in = stage.login("ann@example.com", password).await;
    let first = signed_in.text("refresh_token").to_owned();
    let refreshed = stage
        .post("/v1/auth/refresh", json!({"refresh_token": first}))
        .await;
    stage.advance_secs(60);
    assert_eq!(
        stage
            .post("/v1/auth/refresh", json!({"refresh_token": first}))
            .await
            .status,
        401
    );
    stage.login("ann@example.com", "a wrong walrus").await;
    let thought_of = json!({"password": "a walrus thought of", "words": ["a walrus's word"]});
    let opinion = stage.post("/v1/auth/password/check", thought_of).await;
    assert_eq!(opinion.status, 200);

    let log = String::from_utf8(log.0.lock().expect("a log").clone()).expect("a text");
    let rows = stage.everything_but_the_outbox().await;
    assert!(
        log.contains("somebody signed in"),
        "the log is not looked at"
    );
    assert!(
        rows.contains("ann@example.com"),
        "the rows are not looked at"
    );
    for (what, secret) in [
        ("the password", password),
        ("a wrong password", "a wrong walrus"),
        ("a password that was thought of", "a walrus thought of"),
        ("a word of its person", "a walrus's word"),
        ("an access token", signed_in.text("access_token")),
        ("a refresh token", &first),
        ("its successor", refreshed.text("refresh_token")),
    ] {
        assert!(!log.contains(secret), "{what} is in the log");
        assert!(!rows.contains(secret), "{what} is in the database");
    }
    let quoted = [format!("\"{code}\""), format!(" {code} ")];
    assert!(
        !quoted.iter().any(|code| log.contains(code)),
        "a code is in the log"
    );
    assert!(!log.contains("ann@example.com"), "an address is in the log");
}
