//! Clients that speak OAuth: npm's openid-client against the product as it stands.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, text},
    stage::{Stage, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn oauth_is_what_openid_client_takes_for_it() {
    let stage = Stage::open().await;
    let client = stage.client(21);
    let admin = stage.demo(&client, "admin", 0).await;
    discovery(&stage).await;
    let reporter = service(&admin, "reporter", false).await;
    let server = service(&admin, "server", true).await;
    let secret = new_key(&admin, &reporter, &json!({})).await;
    let secret = text(&secret["client_secret"]);
    let reader = new_key(&admin, &server, &json!({})).await;
    let reader = json!({
        "id": server, "secret": reader["client_secret"], "method": "client_secret_basic",
    });

    programs(&stage, &client, &admin, &reporter, secret, &reader).await;
    people(&stage, &client, &reader).await;

    // With the service account its tokens end, at the edge too.
    let by_secret = json!({ "id": reporter, "secret": secret, "method": "client_secret_post" });
    let program = eventually("a token is taken", || async {
        let token = credentials(&stage, &by_secret, &json!({})).await;
        let program = client.with(&token["access_token"]);
        (program.get("/v1/wallets").await.status == 200).then_some(program)
    })
    .await;
    let path = format!("/v1/service-accounts/{reporter}");
    admin
        .send(admin.request(Method::DELETE, &path))
        .await
        .expect(204);
    eventually("its token is refused", || async {
        (program.get("/v1/wallets").await.status == 401).then_some(())
    })
    .await;
    let refused = call(&stage, &by_secret, json!([["clientCredentials", {}]])).await;
    assert_eq!(refused[0]["status"], 401, "{refused:?}");
}

async fn discovery(stage: &Stage) {
    for algorithm in ["oidc", "oauth2"] {
        let wish = json!({
            "issuer": stage.product.url(),
            "algorithm": algorithm,
            "client": { "id": "vorota", "method": "none" },
            "calls": [["metadata"]],
        });
        let known = run(stage, wish).await;
        let metadata = &known[0]["answer"];
        assert_eq!(metadata["issuer"], json!(stage.product.url()), "{known:?}");
        assert!(text(&metadata["token_endpoint"]).ends_with("/oauth/token"));
    }
}

/// A program signs in by each proof that it may have, and what it gets opens what it should.
async fn programs(
    stage: &Stage,
    client: &Client,
    admin: &Client,
    id: &str,
    secret: &str,
    reader: &Value,
) {
    let pair = pair();
    new_key(admin, id, &json!({ "jwk": pair.public })).await;
    for who in [
        json!({ "id": id, "secret": secret, "method": "client_secret_basic" }),
        json!({ "id": id, "secret": secret, "method": "client_secret_post" }),
        json!({ "id": id, "jwk": pair.private, "method": "private_key_jwt" }),
    ] {
        let wish = json!({ "scope": "wallets:read" });
        // What is issued in the second of a revocation is refused with what was revoked.
        let (token, program) = eventually("a token is taken", || async {
            let token = credentials(stage, &who, &wish).await;
            let program = client.with(&token["access_token"]);
            let taken = program.get("/v1/wallets").await.status == 200;
            taken.then_some((token, program))
        })
        .await;
        assert_eq!(token["scope"], "wallets:read", "{who}");
        program.get("/v1/me").await.expect_problem(403, "forbidden");

        let calls = json!([
            ["introspect", token["access_token"]],
            ["revoke", token["access_token"]],
            ["introspect", token["access_token"]],
        ]);
        let outcome = call(stage, &who, calls).await;
        assert_eq!(outcome[0]["answer"]["active"], true, "{outcome:?}");
        assert_eq!(outcome[0]["answer"]["client_id"], json!(id));
        assert_eq!(outcome[2]["answer"]["active"], false, "{outcome:?}");
        eventually("the edge refuses it", || async {
            (program.get("/v1/wallets").await.status == 401).then_some(())
        })
        .await;
    }
    let who = json!({ "id": id, "secret": secret, "method": "client_secret_basic" });
    let too_much = call(
        stage,
        &who,
        json!([["clientCredentials", { "scope": "role:admin" }]]),
    )
    .await;
    assert_eq!(too_much[0]["error"], "invalid_scope", "{too_much:?}");
    let other = json!({ "id": id, "secret": "sk_wrong", "method": "client_secret_basic" });
    let refused = call(stage, &other, json!([["clientCredentials", {}]])).await;
    assert_eq!(refused[0]["status"], 401, "{refused:?}");
    let known = call(stage, reader, json!([["introspect", "nothing"]])).await;
    assert_eq!(known[0]["answer"], json!({ "active": false }));
}

/// Somebody's app refreshes, asks who they are and signs out, in OAuth's words.
async fn people(stage: &Stage, client: &Client, reader: &Value) {
    let person = stage
        .product
        .people()
        .iter()
        .find(|person| person.role == "user");
    let person = person.expect("the demo has users");
    let body = json!({ "email": person.email, "password": person.password });
    let session = client.post("/v1/auth/login", &body).await.expect(200);
    let me = client
        .with(&session["access_token"])
        .get("/v1/me")
        .await
        .expect(200);
    let app = json!({ "id": "vorota", "method": "none" });
    let calls = json!([
        ["refresh", session["refresh_token"]],
        ["userinfo", session["access_token"], me["id"]],
    ]);
    let outcome = call(stage, &app, calls).await;
    let next = &outcome[0]["answer"];
    assert_eq!(
        outcome[1]["answer"]["email"],
        json!(person.email),
        "{outcome:?}"
    );

    let asked = call(stage, reader, json!([["introspect", next["access_token"]]])).await;
    assert_eq!(asked[0]["answer"]["sub"], me["id"], "{asked:?}");
    let outcome = call(
        stage,
        &app,
        json!([
            ["revoke", next["refresh_token"]],
            ["refresh", next["refresh_token"]]
        ]),
    )
    .await;
    assert_eq!(outcome[0], json!({ "answer": null }), "{outcome:?}");
    assert_eq!(outcome[1]["error"], "invalid_grant", "{outcome:?}");
    let gone = client.with(&next["access_token"]);
    eventually("the session has ended at the edge", || async {
        (gone.get("/v1/me").await.status == 401).then_some(())
    })
    .await;
    let asked = call(stage, reader, json!([["introspect", next["access_token"]]])).await;
    assert_eq!(asked[0]["answer"], json!({ "active": false }), "{asked:?}");
}

/// A service account that may read wallets, by its id.
async fn service(admin: &Client, name: &str, introspects: bool) -> String {
    let wish = json!({ "name": name, "scopes": ["wallets:read"], "introspects": introspects });
    let made = admin.post("/v1/service-accounts", &wish).await.expect(201);
    text(&made["id"]).to_owned()
}

async fn new_key(admin: &Client, id: &str, wish: &Value) -> Value {
    let path = format!("/v1/service-accounts/{id}/keys");
    admin.post(&path, wish).await.expect(201)
}

async fn credentials(stage: &Stage, who: &Value, parameters: &Value) -> Value {
    let outcome = call(stage, who, json!([["clientCredentials", parameters]])).await;
    let answer = &outcome[0]["answer"];
    assert!(answer["access_token"].is_string(), "{who}: {outcome:?}");
    answer.clone()
}

async fn call(stage: &Stage, who: &Value, calls: Value) -> Vec<Value> {
    let issuer = stage.product.url();
    run(
        stage,
        json!({ "issuer": issuer, "client": who, "calls": calls }),
    )
    .await
}

async fn run(stage: &Stage, wish: Value) -> Vec<Value> {
    let ca = stage.product.place().ca();
    let called = tokio::task::spawn_blocking(move || local::openid_client::call(&ca, &wish));
    let called = called.await.expect("no panic");
    called.unwrap_or_else(|error| panic!("openid-client: {error:#}"))
}

/// A key pair as JWKs.
struct Pair {
    public: Value,
    private: Value,
}

fn pair() -> Pair {
    let key = SigningKey::from_bytes(&[9; 32]);
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key());
    let d = BASE64_URL_SAFE_NO_PAD.encode(key.to_bytes());
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one" });
    let mut private = public.clone();
    private["d"] = d.into();
    Pair { public, private }
}
