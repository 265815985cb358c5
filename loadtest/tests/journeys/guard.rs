//! What the edge does not let through.

use reqwest::{Client as Plain, Method, StatusCode};
use serde_json::json;

use crate::{client::text, raw, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_guards_what_stands_behind_it() {
    let stage = Stage::open().await;
    strangers(&stage).await;
    forged_identities(&stage).await;
    wrong_bodies(&stage).await;
    wrong_paths(&stage).await;
    roles(&stage).await;
    the_back_door(&stage).await;
    too_many_logins(&stage).await;
}

async fn strangers(stage: &Stage) {
    let client = stage.client(2);
    let answer = client
        .get("/v1/me")
        .await
        .expect_problem(401, "unauthenticated");
    assert!(
        answer.header("www-authenticate").starts_with("Bearer"),
        "{answer:#?}"
    );
    let forged = client.with(&json!("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."));
    forged
        .get("/v1/me")
        .await
        .expect_problem(401, "invalid_token");
}

/// However a client writes an identity, it neither lets anybody in nor makes anybody someone else.
async fn forged_identities(stage: &Stage) {
    let client = stage.client(3);
    let ann = stage.demo(&client, "user", 0).await;
    let me = ann.get("/v1/me").await.expect(200);
    let others = "01890000-0000-7000-8000-000000000001";
    for name in [
        "x-user-id",
        "X-User-Id",
        "X_User_Id",
        "x-identity",
        "X_Identity",
        "x.user.id",
    ] {
        let anonymous = client.request(Method::GET, "/v1/me").header(name, others);
        client
            .send(anonymous)
            .await
            .expect_problem(401, "unauthenticated");
        let disguised = ann.request(Method::GET, "/v1/me").header(name, others);
        assert_eq!(
            ann.send(disguised).await.expect(200),
            me,
            "{name} changes nothing"
        );
    }
}

/// Refused by the backend's OpenAPI document, before the backend hears of it.
async fn wrong_bodies(stage: &Stage) {
    let client = stage.client(4);
    let good = json!({ "email": "dora@example.com", "password": "a good one, and long" });
    client.post("/v1/auth/register", &good).await.expect(202);
    let before = calls_for_registering(stage).await;
    assert!(!before.is_empty(), "the backend counts its calls");
    let wrong = [
        json!({ "email": "dora@example.com", "password": "short" }),
        json!({ "email": 1, "password": "a good one, and long" }),
        json!({ "email": "dora@example.com", "password": "a good one, and long", "role": "admin" }),
        json!([]),
    ];
    for wrong in wrong {
        client
            .post("/v1/auth/register", &wrong)
            .await
            .expect_problem(400, "bad_body");
    }
    assert_eq!(
        calls_for_registering(stage).await,
        before,
        "the backend heard nothing"
    );
}

/// What the backend has counted of the route so far.
async fn calls_for_registering(stage: &Stage) -> Vec<String> {
    let metrics = stage.plain(stage.product.ports().private, "/metrics").await;
    let lines = metrics
        .lines()
        .filter(|line| line.contains("_count{") && line.contains("/v1/auth/register"));
    lines.map(str::to_owned).collect()
}

async fn wrong_paths(stage: &Stage) {
    for path in [
        "/v1/../v1/me",
        "/v1/%2e%2e/v1/me",
        "/v1%2fme",
        "/v1/me%00",
        "/v1//me",
        "/v1/%5cme",
        "/v1/./me",
    ] {
        assert_eq!(
            raw::status_of(stage.edge(), stage.ca(), path).await,
            400,
            "{path}"
        );
    }
    assert_eq!(
        raw::status_of(stage.edge(), stage.ca(), "/v1/me").await,
        401
    );
    stage
        .client(5)
        .get("/v1/nobody-knows")
        .await
        .expect_problem(404, "not_found");
}

async fn roles(stage: &Stage) {
    let client = stage.client(6);
    let ann = stage.demo(&client, "user", 0).await;
    let admin = stage.demo(&client, "admin", 0).await;
    let path = "/v1/notifications";
    ann.get(path).await.expect_problem(403, "forbidden");
    admin.get(path).await.expect(200);
}

/// Whoever reaches a backend without the gateway's seal is nobody there.
async fn the_back_door(stage: &Stage) {
    let url = format!("http://127.0.0.1:{}/v1/me", stage.product.ports().apps);
    let http = Plain::builder()
        .no_proxy()
        .build()
        .expect("a client is built");
    let bare = http.get(&url).send().await.expect("the backend answers");
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    let forged = http
        .get(&url)
        .header("x-identity", "forged")
        .header("x-user-id", "admin");
    let forged = forged.send().await.expect("the backend answers");
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
}

/// Five logins in a minute from an address, and a sixth that is told when to come back.
async fn too_many_logins(stage: &Stage) {
    let client = stage.client(7);
    let wrong = json!({ "email": "nobody@example.com", "password": "not the one" });
    for _ in 0..5 {
        client
            .post("/v1/auth/login", &wrong)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    let sixth = client
        .post("/v1/auth/login", &wrong)
        .await
        .expect_problem(429, "rate_limited");
    let wait: u64 = sixth
        .header("retry-after")
        .parse()
        .expect("seconds to wait");
    assert!((1..=60).contains(&wait), "{wait} s");
    assert!(!text(&sixth.body["title"]).is_empty());
    let neighbour = stage.client(8).post("/v1/auth/login", &wrong).await;
    neighbour.expect_problem(401, "invalid_credentials");
}
