//! An edit of the route table while requests are under way.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    bystander::Bystander,
    stage::{Stage, eventually},
};

const NEW_ROUTE: &str = r#"
  - id: reload.probe
    match: { method: GET, path: /v1/currencies-too }
    to: transactions
    auth: none
    why_public: the journey's own
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_taken_without_a_failed_request_and_a_bad_one_is_not() {
    let stage = Stage::open().await;
    let client = stage.client(2);
    let bystander = Bystander::start(stage.demo(&client, "user", 0).await, "/v1/me");
    let path = stage.product.place().routes();
    let shipped = fs::read_to_string(&path).expect("the table is there");
    assert!(shipped.contains("\nroutes:\n"));
    client
        .get("/v1/currencies-too")
        .await
        .expect_problem(404, "not_found");

    let edited = shipped.replacen("\nroutes:\n", &format!("\nroutes:{NEW_ROUTE}\n"), 1);
    let before = Instant::now();
    fs::write(&path, &edited).expect("the table is written");
    // The backend knows no such path, but it is the one that says so now, not the edge.
    eventually("the new route is taken", || async {
        let log = stage.metrics().await;
        client.get("/v1/currencies-too").await;
        log.contains("reload.probe").then_some(())
    })
    .await;
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "taken within a second, give or take: {:?}",
        before.elapsed()
    );

    fs::write(&path, edited.replace("to: transactions", "to: nowhere"))
        .expect("the table is written");
    let metrics = eventually("the bad edit is counted", || async {
        let metrics = stage.metrics().await;
        (value(&metrics, "gateway_config_rejected_total") > 0.0).then_some(metrics)
    })
    .await;
    assert!(metrics.contains("gateway_config_info"), "{metrics}");
    client.get("/v1/currencies").await.expect(200);
    let log = fs::read_to_string(stage.product.place().log("gateway")).expect("the log is there");
    assert!(log.contains("nowhere"), "the log says why");

    fs::write(&path, &shipped).expect("the table is written");
    eventually("the shipped table is back", || async {
        (client.get("/v1/currencies-too").await.body["code"] == "not_found").then_some(())
    })
    .await;
    assert!(
        bystander.calls() > 20,
        "the bystander called all the while: {}",
        bystander.calls()
    );
    bystander.finish().await;
}

/// The value of a metric without labels, 0 when it is not there.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or(0.0)
}
