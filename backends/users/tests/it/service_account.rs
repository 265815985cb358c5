//! Programs that act for themselves, and who makes them.

use identity::Principal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Answer, Stage};

const PATH: &str = "/v1/service-accounts";

async fn create(stage: &Stage, who: &Principal, wish: Value) -> Answer {
    stage.call_as(who, "POST", PATH, None, wish).await
}

/// A service account that may ask for this, and its secret.
pub(crate) async fn service(
    stage: &Stage,
    who: &Principal,
    scopes: &[&str],
    introspects: bool,
) -> (String, String) {
    let name = Uuid::now_v7().to_string();
    let wish = json!({"name": name, "scopes": scopes, "introspects": introspects});
    let made = create(stage, who, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.text("id").to_owned();
    let key = add_key(stage, who, &id, json!({})).await;
    assert_eq!(key.status, 201, "{key:?}");
    (id, key.text("client_secret").to_owned())
}

pub(crate) async fn add_key(stage: &Stage, who: &Principal, id: &str, wish: Value) -> Answer {
    let path = format!("{PATH}/{id}/keys");
    stage.call_as(who, "POST", &path, None, wish).await
}

pub(crate) async fn token(stage: &Stage, id: &str, secret: &str) -> Answer {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
    ];
    stage.form("/oauth/token", &fields, None).await
}

#[tokio::test]
async fn a_service_account_gets_tokens_for_itself_until_it_ends() {
    let stage = Stage::start().await;
    let admin = stage.officer("root@example.com", "admin").await;
    let wish = json!({"name": "settlement", "scopes": ["wallets:read"], "roles": ["user"]});
    let made = create(&stage, &admin, wish.clone()).await;
    assert_eq!(
        (made.status, made.header("cache-control")),
        (201, "no-store")
    );
    let id = made.text("id").to_owned();
    assert_eq!(create(&stage, &admin, wish).await.code(), "name_taken");

    let key = add_key(&stage, &admin, &id, json!({})).await;
    let secret = key.text("client_secret").to_owned();
    let answer = token(&stage, &id, &secret).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "no-store")
    );
    assert_eq!(answer.text("scope"), "wallets:read role:user");
    let claims = answer.claims();
    assert_eq!(
        (&claims["sub"], &claims["client_id"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(claims["scope"], "wallets:read");
    assert_eq!(claims["roles"], json!(["user"]));
    assert!(claims.get("sid").is_none());

    let list = stage.get_as(&admin, PATH).await;
    let keys = &list.body["items"][0]["keys"];
    assert_eq!(keys[0]["kind"], "secret");
    assert!(!list.body.to_string().contains(&secret));
    assert!(!stage.everything_but_the_outbox().await.contains(&secret));

    // A second key, so that the first can go without a pause.
    let second = add_key(&stage, &admin, &id, json!({})).await;
    let second = second.text("client_secret").to_owned();
    let key_id = key.body["key"]["id"].as_str().expect("an id");
    let gone = format!("{PATH}/{id}/keys/{key_id}");
    let before = stage.feed("").await["head"].as_i64().expect("a number");
    let answer = stage
        .call_as(&admin, "DELETE", &gone, None, Value::Null)
        .await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(token(&stage, &id, &secret).await.status, 401);
    assert_eq!(token(&stage, &id, &second).await.status, 200);
    let path = format!("{PATH}/{id}");
    for status in [204, 404] {
        let answer = stage
            .call_as(&admin, "DELETE", &path, None, Value::Null)
            .await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(token(&stage, &id, &second).await.status, 401);
    // Gateways are told both times.
    let told = stage.feed(&format!("?after={before}")).await;
    let told = told["items"].as_array().expect("rows").clone();
    assert_eq!(told.len(), 2);
    assert!(
        told.iter()
            .all(|row| row["kind"] == "subject" && row["id"] == json!(id))
    );
    let acts = stage.acts_of(admin.sub.parse().expect("an id")).await;
    for act in ["created", "key_created", "key_deleted", "deleted"] {
        assert!(
            acts.contains(&format!("service_account.{act}")),
            "{act} in {acts:?}"
        );
    }
}

#[tokio::test]
async fn nobody_makes_one_that_may_more_than_they_do() {
    let stage = Stage::start().await;
    let ann = stage.member("ann@example.com").await;
    let admin = stage.officer("root@example.com", "admin").await;
    let wish = json!({"name": "x"});
    let user = stage.user_in(ann, Uuid::now_v7());
    assert_eq!(
        create(&stage, &user, wish.clone()).await.code(),
        "forbidden"
    );
    let mut program = admin.clone();
    program.sid = None;
    assert_eq!(
        create(&stage, &program, wish).await.code(),
        "session_required"
    );
    for more in [
        json!({"name": "x", "roles": ["support"]}),
        json!({"name": "x", "roles": ["nobody"]}),
        json!({"name": "x", "scopes": ["vault:open"]}),
    ] {
        let refused = create(&stage, &admin, more.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "not_held"),
            "{more}"
        );
    }
    // One made by somebody who may more is nobody's to become who may less.
    let made = create(&stage, &admin, json!({"name": "x", "roles": ["admin"]})).await;
    let id = made.text("id").to_owned();
    let mut lesser = stage.officer("lesser@example.com", "support").await;
    lesser.roles = vec!["admin".to_owned()];
    let refused = add_key(&stage, &lesser, &id, json!({})).await;
    assert_eq!((refused.status, refused.code()), (422, "not_held"));
    let path = format!("{PATH}/{}", Uuid::now_v7());
    let answer = stage
        .call_as(&user, "DELETE", &path, None, Value::Null)
        .await;
    assert_eq!(answer.code(), "forbidden");
}

#[tokio::test]
async fn a_role_that_is_gone_is_gone_from_its_next_token() {
    let stage = Stage::start().await;
    let admin = stage.officer("root@example.com", "admin").await;
    let (id, secret) = service(&stage, &admin, &["wallets:read", "profile:read"], false).await;
    let scope = |answer: &Answer| answer.text("scope").to_owned();
    let answer = token(&stage, &id, &secret).await;
    assert_eq!(scope(&answer), "profile:read wallets:read");
    stage
        .execute("delete from users.scope where name = 'wallets:read'")
        .await;
    assert_eq!(scope(&token(&stage, &id, &secret).await), "profile:read");
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to() {
    let stage = Stage::start().await;
    let admin = stage.officer("root@example.com", "admin").await;
    let made = create(&stage, &admin, json!({"name": "x"})).await;
    let id = made.text("id").to_owned();
    let past = json!({"expires_at": stage.now_text()});
    assert_eq!(
        add_key(&stage, &admin, &id, past).await.code(),
        "bad_expiry"
    );
    let later = (stage.now() + time::Duration::MINUTE)
        .format(&time::format_description::well_known::Rfc3339)
        .expect("a time");
    let key = add_key(&stage, &admin, &id, json!({"expires_at": later})).await;
    let secret = key.text("client_secret").to_owned();
    assert_eq!(token(&stage, &id, &secret).await.status, 200);
    stage.advance_secs(60);
    assert_eq!(token(&stage, &id, &secret).await.status, 401);
    for bad in [
        json!({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}}),
    ] {
        assert_eq!(add_key(&stage, &admin, &id, bad).await.code(), "bad_body");
    }
}
