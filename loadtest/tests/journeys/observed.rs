//! What an operator sees of a request: the cache's word, an access record, a trace, metrics.

use std::{collections::BTreeSet, fs};

use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Stage, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_leaves_its_traces() {
    let stage = Stage::open().await;
    cached(&stage).await;
    recorded(&stage).await;
    measured(&stage).await;
}

async fn cached(stage: &Stage) {
    let client = stage.client(2);
    let first = client.get("/v1/currencies").await;
    assert!(!first.header("cache-status").contains("hit"), "{first:#?}");
    let first = first.expect(200);
    let second = client.get("/v1/currencies").await;
    assert!(
        second.header("cache-status").contains("; hit"),
        "{second:#?}"
    );
    assert_eq!(second.expect(200), first);
}

/// One record for each request, under the trace that the client began.
async fn recorded(stage: &Stage) {
    let client = stage.client(3);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let request = client
        .request(Method::GET, "/v1/currencies?key=SECRET")
        .header("traceparent", parent);
    client.send(request).await.expect(200);
    let records = eventually("the record is written", || async {
        let log =
            fs::read_to_string(stage.product.place().log("gateway")).expect("the log is there");
        let lines = log.lines().filter(|line| line.contains(TRACE));
        let records: Vec<Value> = lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (!records.is_empty()).then_some(records)
    })
    .await;
    let [record] = records.as_slice() else {
        panic!("one record was due: {records:#?}")
    };
    for (field, value) in [
        ("trace_id", json!(TRACE)),
        ("route", json!("currencies.list")),
        ("method", json!("GET")),
        ("path", json!("/v1/currencies")),
        ("query", json!(["key"])),
        ("status", json!(200)),
        ("client", json!("127.0.0.3")),
    ] {
        assert_eq!(record[field], value, "{field} of {record:#}");
    }
    assert!(
        !record.to_string().contains("SECRET"),
        "a query's values may be secrets: {record:#}"
    );
}

/// A label takes its values from closed sets, never from what a client sends.
async fn measured(stage: &Stage) {
    let client = stage.client(4);
    client.get("/v1/from-a-client").await.expect(404);
    let brew = Method::from_bytes(b"BREW").expect("it is a token");
    client
        .send(client.request(brew, "/v1/me"))
        .await
        .expect(405);
    let metrics = eventually("the requests are counted", || async {
        let metrics = stage.metrics().await;
        metrics.contains("method=\"other\"").then_some(metrics)
    })
    .await;
    assert!(
        !metrics.contains("from-a-client") && !metrics.contains("BREW"),
        "{metrics}"
    );

    let table = fs::read_to_string(stage.product.place().routes()).expect("the table is there");
    let ids: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- id: "))
        .collect();
    let labels = metrics
        .split("route=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let labels: BTreeSet<&str> = labels.collect();
    assert!(labels.contains("currencies.list"), "{labels:?}");
    let strange: Vec<_> = labels
        .iter()
        .filter(|label| !ids.contains(*label) && **label != "none")
        .collect();
    assert!(strange.is_empty(), "labels that are no routes: {strange:?}");
}
