//! From a new account to money moved, as a person would walk it.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, text},
    program::works_with_a_key,
    stage::{Stage, code, eventually},
};

const EMAIL: &str = "carol@example.com";
const PASSWORD: &str = "correct horse battery staple";

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_registers_logs_in_and_is_paid() {
    let stage = Stage::open().await;
    register(&stage, &stage.client(2)).await;
    let client = stage.client(3);
    let (carol, spent) = sessions(&client).await;
    keys_and_me(&client, &carol).await;
    let payer = stage.demo(&stage.client(4), "user", 0).await;
    tokio::join!(
        money(&payer, &carol),
        works_with_a_key(&client, &carol),
        a_stolen_token_ends_its_session(&client, &spent)
    );
    logs_keep_secrets(&stage, &spent);
}

/// A mail with a code proves the address; who has an account already is told so by mail alone.
async fn register(stage: &Stage, client: &Client) {
    let wish = json!({ "email": EMAIL, "password": PASSWORD });
    let flow = client.post("/v1/auth/register", &wish).await.expect(202);
    let mails = stage.mails(EMAIL, 1).await;
    let proof = json!({ "flow_id": flow["flow_id"], "code": code(&mails[0]) });

    let early = json!({ "email": EMAIL, "password": PASSWORD });
    client
        .post("/v1/auth/login", &early)
        .await
        .expect_problem(401, "invalid_credentials");
    let wrong = json!({ "flow_id": flow["flow_id"], "code": other_code(text(&proof["code"])) });
    client
        .post("/v1/auth/verify", &wrong)
        .await
        .expect_problem(400, "invalid_code");
    client.post("/v1/auth/verify", &proof).await.expect(200);
    client
        .post("/v1/auth/verify", &proof)
        .await
        .expect_problem(400, "invalid_code");

    let known = client.post("/v1/auth/register", &wish).await.expect(202);
    assert_eq!(
        keys(&known),
        keys(&flow),
        "a known address is answered as a new one"
    );
    assert_ne!(known["flow_id"], flow["flow_id"]);
    let mails = stage.mails(EMAIL, 2).await;
    assert!(
        !text(&mails[0]["text"]).contains(text(&proof["code"])),
        "the second mail has no code to use"
    );
}

fn other_code(code: &str) -> String {
    let digit = if code.starts_with('0') { '1' } else { '0' };
    format!("{digit}{}", &code[1..])
}

fn keys(body: &Value) -> Vec<&String> {
    body.as_object().expect("an object").keys().collect()
}

/// The refresh tokens of one session, the first of them spent long ago.
struct Spent {
    first: Value,
    last: Value,
}

/// A refresh token is good once; for a moment its answer can be had again, and nothing else.
async fn sessions(client: &Client) -> (Client, Spent) {
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    let wrong = json!({ "email": EMAIL, "password": "not the one" });
    client
        .post("/v1/auth/login", &wrong)
        .await
        .expect_problem(401, "invalid_credentials");
    let first = client.post("/v1/auth/login", &login).await;
    assert_eq!(first.header("cache-control"), "no-store");
    let first = first.expect(200);
    assert_eq!(
        (&first["token_type"], &first["expires_in"]),
        (&json!("Bearer"), &json!(300))
    );

    let second = refresh(client, &first["refresh_token"]).await.expect(200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let again = refresh(client, &first["refresh_token"]).await.expect(200);
    assert_eq!(
        again["refresh_token"], second["refresh_token"],
        "a lost answer is given again: no fork"
    );
    let third = refresh(client, &second["refresh_token"]).await.expect(200);

    let session = client.post("/v1/auth/login", &login).await.expect(200);
    let spent = Spent {
        first: first["refresh_token"].clone(),
        last: third["refresh_token"].clone(),
    };
    (client.with(&session["access_token"]), spent)
}

/// Once a spent token's moment is over, whoever brings it holds a copy: the family ends.
async fn a_stolen_token_ends_its_session(client: &Client, spent: &Spent) {
    let refused = eventually("the spent token is refused", || async {
        let answer = refresh(client, &spent.first).await;
        (answer.status != 200).then_some(answer)
    });
    refused.await.expect_problem(401, "invalid_token");
    refresh(client, &spent.last)
        .await
        .expect_problem(401, "invalid_token");
}

async fn refresh(client: &Client, token: &Value) -> Answer {
    client
        .post("/v1/auth/refresh", &json!({ "refresh_token": token }))
        .await
}

async fn keys_and_me(client: &Client, carol: &Client) {
    let jwks = client.get("/.well-known/jwks.json").await.expect(200);
    let key = &jwks["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"]),
        (&json!("OKP"), &json!("Ed25519")),
        "{jwks}"
    );
    assert!(key.get("d").is_none(), "the private half stays at home");

    let me = carol.get("/v1/me").await.expect(200);
    assert_eq!(me["email"], EMAIL);
}

async fn money(payer: &Client, payee: &Client) {
    // The payee's is opened by an event, so it may come a moment later.
    eventually("the wallet is opened", || async {
        let wallets = payee.get("/v1/wallets").await.expect(200);
        (wallets["items"] != json!([])).then_some(())
    })
    .await;
    let (from, to) = (wallet(payer).await, wallet(payee).await);
    assert!(
        posted(&from) > 10_000,
        "the demo's people have money: {from}"
    );
    assert_eq!((posted(&to), &to["currency"]), (0, &json!("USD")));

    let wish = |amount: i64| json!({ "from": from["id"], "to": to["id"], "amount": { "amount": amount, "currency": "USD" } });
    let first = transfer(payer, "first", &wish(1234)).await.expect(201);
    let replay = transfer(payer, "first", &wish(1234)).await.expect(201);
    assert_eq!(first, replay, "the same key has the same answer");
    assert_eq!(
        posted(&wallet(payer).await),
        posted(&from) - 1234,
        "money moved once"
    );
    assert_eq!(posted(&wallet(payee).await), 1234);

    transfer(payer, "first", &wish(1235))
        .await
        .expect_problem(409, "idempotency_key_reused");
    transfer(payer, "second", &wish(posted(&from)))
        .await
        .expect_problem(422, "insufficient_funds");
    payer
        .post("/v1/transfers", &wish(1))
        .await
        .expect_problem(400, "idempotency_key_required");
    let theirs =
        json!({ "from": to["id"], "to": from["id"], "amount": { "amount": 1, "currency": "USD" } });
    let refused = transfer(payer, "theirs", &theirs).await;
    assert!(
        matches!(refused.status, 403 | 404),
        "nobody pays with another's money: {refused:#?}"
    );
    transfer(payer, "third", &wish(6)).await.expect(201);
    assert_eq!(posted(&wallet(payee).await), 1240);

    pages(payer, payee, &from, &to).await;
}

/// Entries come newest first, a page at a time, each once; a cursor is good for its list alone.
async fn pages(payer: &Client, payee: &Client, from: &Value, to: &Value) {
    let entries = format!("/v1/wallets/{}/entries", text(&to["id"]));
    let first = payee.get(&format!("{entries}?limit=1")).await.expect(200);
    let cursor = text(&first["next_cursor"]);
    let second = payee
        .get(&format!("{entries}?limit=1&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(second["next_cursor"], Value::Null, "{second}");
    let whole = payee.get(&entries).await.expect(200);
    assert_eq!(
        whole["items"],
        json!([first["items"][0], second["items"][0]])
    );
    assert_eq!(whole["items"].as_array().map(Vec::len), Some(2));

    let other = format!("/v1/wallets/{}/entries?cursor={cursor}", text(&from["id"]));
    payer.get(&other).await.expect_problem(400, "bad_cursor");
    payer
        .get(&entries)
        .await
        .expect_problem(404, "wallet_not_found");
}

async fn wallet(client: &Client) -> Value {
    let mut wallets = client.get("/v1/wallets").await.expect(200);
    assert_eq!(
        wallets["items"].as_array().map(Vec::len),
        Some(1),
        "{wallets}"
    );
    wallets["items"][0].take()
}

fn posted(wallet: &Value) -> i64 {
    assert_eq!(
        wallet["available"], wallet["posted"],
        "nothing is held: {wallet}"
    );
    wallet["posted"]
        .as_i64()
        .unwrap_or_else(|| panic!("an amount was due in {wallet}"))
}

async fn transfer(client: &Client, key: &str, wish: &Value) -> Answer {
    let request = client
        .request(Method::POST, "/v1/transfers")
        .header("idempotency-key", key)
        .json(wish);
    client.send(request).await
}

/// Nothing that lets somebody in, and nobody's address.
fn logs_keep_secrets(stage: &Stage, spent: &Spent) {
    for part in ["gateway", "backend"] {
        let log = fs::read_to_string(stage.product.place().log(part)).expect("the log is there");
        assert!(!log.is_empty());
        for secret in [
            EMAIL,
            PASSWORD,
            text(&spent.first),
            text(&spent.last),
            "Bearer ",
            "eyJ",
            "gk_live_",
        ] {
            assert!(
                !log.contains(secret),
                "the log of the {part} holds {secret:?}"
            );
        }
    }
}
