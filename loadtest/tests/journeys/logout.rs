//! Signing out, as somebody would who has lost a device.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{client::Client, stage::Stage};

/// On this machine there is no Redis to push it: gateways ask twice a second.
const SOON: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_access_tokens_at_once() {
    let stage = Stage::open().await;
    let client = stage.client(2);
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(stage.demo(&client, "user", 0).await);
    }
    for device in &devices {
        device.get("/v1/me").await.expect(200);
    }
    let one = devices.remove(0);
    one.post("/v1/auth/logout", &json!({})).await.expect(204);
    refused(&stage, &one).await;
    for device in &devices {
        device.get("/v1/me").await.expect(200);
    }

    let two = devices.remove(0);
    let everywhere = two.post("/v1/auth/logout-all", &json!({})).await;
    assert_eq!(everywhere.expect(204), Value::Null);
    for device in [&two, &devices[0]] {
        refused(&stage, device).await;
    }
    let again = stage.demo(&client, "user", 0).await;
    again.get("/v1/me").await.expect(200);
    again.get("/v1/wallets").await.expect(200);

    let seen = stage.metrics().await;
    let lag = "gateway_revocation_lag_seconds_count{by=\"feed\",feed=\"users\"} 3";
    assert!(seen.contains(lag), "{seen}");
}

/// Waits until what the client has is refused, by every app.
async fn refused(stage: &Stage, client: &Client) {
    let begun = Instant::now();
    while client.get("/v1/me").await.status == 200 {
        let late = begun.elapsed() > SOON;
        assert!(
            !late,
            "still let in after {SOON:?}:\n{}",
            stage.metrics().await
        );
        // Below what one person may ask.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    eprintln!("refused {:?} after the logout", begun.elapsed());
    for path in ["/v1/me", "/v1/wallets"] {
        let answer = client.get(path).await;
        answer.expect_problem(401, "token_revoked");
    }
}
