use crate::stage::{OPEN, Stage, Wire};

const OTHER: &str = "
routes:
  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test }
  - { id: extra, match: { method: GET, path: /extra }, to: origin, auth: none, why_public: a test }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_tables_come_and_go() {
    let stage = Stage::open(OPEN).await;
    let (client, url, plain) = (stage.client(true), stage.url("/extra"), stage.plain);
    let (tell, mut served) = tokio::sync::watch::channel(0);
    let load = tokio::spawn(async move {
        while !tell.is_closed() {
            assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
            let mut fresh = Wire::open(plain).await;
            fresh.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(fresh.response().await.status, 200);
            tell.send_modify(|served| *served += 2);
        }
    });
    for round in 0..30 {
        stage
            .reload("", if round % 2 == 0 { OTHER } else { OPEN })
            .await;
        // Some under each table, and some across the change.
        served.changed().await.expect("a request failed");
    }
    drop(served);
    load.await.unwrap();
}

/// What the two tables below say of the same paths: routes go and come back, and each request sees
/// one table only. Under the one `/v` is answered with 1, under the other with 2, and each says so in
/// a header as well.
fn version(number: u16) -> String {
    let answer = |body: &str| {
        format!(
            "respond: {{ status: 200, body: '{body}', headers: {{ x-version: '{number}' }} }}, auth: none, why_public: a test"
        )
    };
    let mut table = format!(
        "routes:\n  - {{ id: v, match: {{ method: GET, path: /v }}, {} }}\n",
        answer(&number.to_string())
    );
    table += "  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test }\n";
    // Half of the routes are removed by the next table.
    for n in (0..50_u16).filter(|n| n % 2 == number % 2) {
        table += &format!(
            "  - {{ id: r{n}, match: {{ method: GET, path: /r/{n} }}, {} }}\n",
            answer("r")
        );
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_41_a_hundred_reloads_under_load_fail_no_request() {
    let stage = Stage::open(&version(1)).await;
    let (client, plain) = (stage.client(true), stage.plain);
    let (kept, removed, post) = (stage.url("/v"), stage.url("/r/1"), stage.url("/post"));
    let (tell, mut served) = tokio::sync::watch::channel(0_u32);
    let load = tokio::spawn(async move {
        let mut wire = Wire::open(plain).await;
        while !tell.is_closed() {
            let answer = client.get(&kept).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let told = answer.headers()["x-version"].clone();
            assert_eq!(
                answer.text().await.unwrap().as_bytes(),
                told.as_bytes(),
                "two tables"
            );
            // While its route is away it goes to the upstream.
            assert_eq!(client.get(&removed).send().await.unwrap().status(), 200);
            let body = "b".repeat(100_000);
            let echoed = client.post(&post).body(body.clone()).send().await.unwrap();
            assert_eq!(echoed.text().await.unwrap(), body);
            wire.send("GET /r/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(wire.response().await.status, 200);
            tell.send_modify(|served| *served += 4);
        }
    });
    for round in 0..100 {
        stage.reload("", &version(1 + round % 2)).await;
        // Some of them under each table, and some across the change.
        if round % 5 == 0 {
            served.changed().await.expect("a request failed");
        }
    }
    drop(served);
    load.await.unwrap();
}

#[tokio::test]
async fn listeners_come_and_go_while_others_serve() {
    let stage = Stage::open(OPEN).await;
    let with_second = stage.table("", OPEN).replace(
        "management:",
        "  second: { bind: \"127.0.0.1:0\", http: [h1] }\nmanagement:",
    );
    stage.reload_table(&with_second).await;
    let second = stage.edge.addresses().await["second"];
    let mut wire = Wire::open(second).await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.response().await.status, 200);
    stage.reload("", OPEN).await;
    assert_eq!(wire.rest().await, "", "its idle connections end");
    while tokio::net::TcpStream::connect(second).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        stage.edge.addresses().await["plain"],
        stage.plain,
        "the others stay"
    );
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn a_listener_takes_new_bounds_without_closing() {
    let stage = Stage::open(OPEN).await;
    let long = format!("X: {}\r\n", "x".repeat(5_000));
    assert_eq!(stage.get("/", &long).await.status, 200);
    stage
        .reload("", &format!("defaults: {{ max_header: 4KiB }}\n{OPEN}"))
        .await;
    assert_eq!(stage.get("/", &long).await.status, 431);
}

#[tokio::test]
async fn a_listener_is_started_anew_on_the_port_that_it_had() {
    let stage = Stage::open(OPEN).await;
    let bound = format!("plain: {{ bind: \"{}\"", stage.plain);
    let table = stage
        .table("", OPEN)
        .replace("plain: { bind: \"127.0.0.1:0\"", &bound);
    stage.reload_table(&table).await;
    assert_eq!(stage.edge.addresses().await["plain"], stage.plain);
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn a_table_whose_port_is_taken_changes_nothing() {
    let stage = Stage::open(OPEN).await;
    let taken = format!("plain: {{ bind: \"{}\"", stage.origin.address);
    let other = OPEN.replace("/**", "/other");
    let table = stage
        .table("", &other)
        .replace("plain: { bind: \"127.0.0.1:0\"", &taken);
    let refused = stage.try_reload(&table).await.unwrap_err();
    assert!(
        refused.to_string().contains("listener `plain`"),
        "{refused}"
    );
    assert_eq!(stage.edge.addresses().await["plain"], stage.plain);
    assert_eq!(stage.get("/", "").await.status, 200);
}

/// Whoever has the port gives it up some time: the table is taken then, without another edit.
#[tokio::test]
async fn a_table_whose_port_is_taken_is_tried_again() {
    let stage = Stage::open(OPEN).await;
    let following = stage.follow();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let bound = format!("plain: {{ bind: \"{address}\"");
    let table = stage
        .table("", OPEN)
        .replace("plain: { bind: \"127.0.0.1:0\"", &bound);
    stage.write_table(&table);
    stage
        .metric_becomes("gateway_config_rejected_total", 1.0)
        .await;
    assert_eq!(stage.edge.addresses().await["plain"], stage.plain);
    drop(taken);
    let moved = async {
        while stage.edge.addresses().await["plain"] != address {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::stage::PATIENCE, moved)
        .await
        .unwrap();
    assert!((stage.metric("gateway_config_rejected_total") - 1.0).abs() < f64::EPSILON);
    following.abort();
}

#[tokio::test]
async fn a_port_goes_from_one_listener_to_another() {
    let stage = Stage::open(OPEN).await;
    let renamed = format!("renamed: {{ bind: \"{}\"", stage.plain);
    let table = stage
        .table("", OPEN)
        .replace("plain: { bind: \"127.0.0.1:0\"", &renamed);
    stage.reload_table(&table).await;
    assert_eq!(stage.edge.addresses().await["renamed"], stage.plain);
    assert_eq!(stage.get("/", "").await.status, 200);
}
