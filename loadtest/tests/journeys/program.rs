//! A program's life with an API key: made, used, rotated, taken back.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, text},
    stage::eventually,
};

/// Somebody lets a program look at their wallets, and nothing else. `client` is the program; it is
/// nobody but for its key.
pub(crate) async fn works_with_a_key(client: &Client, owner: &Client) {
    let wish = json!({ "name": "reports", "scopes": ["wallets:read"] });
    let made = ask(owner, "/v1/me/api-keys", "journey-1", &wish).await;
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.expect(201);
    let again = ask(owner, "/v1/me/api-keys", "journey-1", &wish).await;
    assert_eq!(again.expect(201), made, "a lost answer is given again");
    let key = text(&made["key"]);

    by_key(client, "/v1/wallets", key).await.expect(200);
    by_key(client, "/v1/me", key)
        .await
        .expect_problem(403, "forbidden");
    // No route takes a key that does not say so.
    by_key(client, "/v1/me/api-keys", key)
        .await
        .expect_problem(401, "unauthenticated");
    client
        .get(&format!("/v1/wallets?x-api-key={key}"))
        .await
        .expect_problem(401, "unauthenticated");
    let mistyped = key.replacen("gk_live_", "gk_live_0", 1);
    by_key(client, "/v1/wallets", &mistyped)
        .await
        .expect_problem(401, "invalid_api_key");
    let more = json!({ "name": "more", "scopes": ["users:write"] });
    ask(owner, "/v1/me/api-keys", "journey-2", &more)
        .await
        .expect_problem(422, "scope_not_held");

    let path = format!("/v1/me/api-keys/{}", text(&made["api_key"]["id"]));
    let overlap = json!({ "overlap_s": 600 });
    let rotated = ask(owner, &format!("{path}/rotate"), "journey-3", &overlap).await;
    let rotated = rotated.expect(200);
    let second = text(&rotated["key"]);
    for key in [key, second] {
        by_key(client, "/v1/wallets", key).await.expect(200);
    }

    let gone = owner.send(owner.request(Method::DELETE, &path)).await;
    gone.expect(204);
    for key in [key, second] {
        let refused = eventually("the key is refused", || async {
            let answer = by_key(client, "/v1/wallets", key).await;
            (answer.status != 200).then_some(answer)
        });
        assert_eq!(refused.await.status, 401);
    }
    let left = owner.get("/v1/me/api-keys").await.expect(200);
    assert_eq!(left["items"], json!([]));
}

async fn by_key(client: &Client, path: &str, key: &str) -> Answer {
    let request = client.request(Method::GET, path).header("x-api-key", key);
    client.send(request).await
}

async fn ask(owner: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let request = owner.request(Method::POST, path).json(body);
    owner.send(request.header("idempotency-key", key)).await
}
