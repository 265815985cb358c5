//! OAuth's own words, and each of its refusals.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    service_account::{add_key, service, token},
    stage::{Answer, PASSWORD, Stage},
};

const TOKEN: &str = "/oauth/token";
const ISSUER: &str = "https://localhost:8443";
const ANN: &str = "ann@example.com";

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status, answer.text("error")),
        (status, error),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.text("error_description").is_empty());
    let challenged = answer.headers.contains_key("www-authenticate");
    assert_eq!(challenged, status == 401, "{answer:?}");
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

async fn signed_in(stage: &Stage) -> Answer {
    let answer = stage.login(ANN, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[tokio::test]
async fn what_we_say_of_ourselves_is_where_it_is_looked_for() {
    let stage = Stage::start().await;
    let oauth = stage.get("/.well-known/oauth-authorization-server").await;
    let openid = stage.get("/.well-known/openid-configuration").await;
    assert_eq!(oauth.body, openid.body);
    assert_eq!(oauth.header("cache-control"), "public, max-age=300");
    let said = &oauth.body;
    assert_eq!(said["issuer"], ISSUER);
    assert_eq!(said["token_endpoint"], format!("{ISSUER}{TOKEN}"));
    assert_eq!(said["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
    assert_eq!(said["response_types_supported"], json!([]));
    assert!(said.get("authorization_endpoint").is_none());
}

#[tokio::test]
async fn a_client_proves_itself_in_one_way_and_by_what_is_its_own() {
    let stage = Stage::start().await;
    let admin = stage.officer("root@example.com", "admin").await;
    let (id, secret) = service(&stage, &admin, &["wallets:read"], false).await;
    let (other, _) = service(&stage, &admin, &[], false).await;
    let grant = ("grant_type", "client_credentials");
    let good = basic(&id, &secret);
    let answer = stage.form(TOKEN, &[grant], Some(&good)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = stage
        .form(TOKEN, &[grant, ("client_id", &id)], Some(&good))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(token(&stage, &id, &secret).await.status, 200);

    // Wrong, another's, nobody's, and none at all look alike.
    for authorization in [
        basic(&id, "sk_wrong"),
        basic(&other, &secret),
        basic(&Uuid::now_v7().to_string(), &secret),
        basic("vorota", &secret),
        "Basic nonsense".to_owned(),
        "Bearer abc".to_owned(),
    ] {
        let answer = stage.form(TOKEN, &[grant], Some(&authorization)).await;
        refused(&answer, 401, "invalid_client");
    }
    for fields in [
        &[grant][..],
        &[grant, ("client_id", "vorota")],
        &[grant, ("client_id", &id)],
        &[grant, ("client_id", &id), ("client_secret", "sk_wrong")],
    ] {
        refused(
            &stage.form(TOKEN, fields, None).await,
            401,
            "invalid_client",
        );
    }
    // Two ways at once, or two names.
    let secret = ("client_secret", secret.as_str());
    let assertion = ("client_assertion", "a.b.c");
    for fields in [
        &[grant, ("client_id", &id), secret][..],
        &[grant, ("client_id", &other)],
        &[grant, assertion],
    ] {
        refused(
            &stage.form(TOKEN, fields, Some(&good)).await,
            400,
            "invalid_request",
        );
    }
    for fields in [
        &[grant, ("client_id", &id), secret, assertion][..],
        &[grant, secret],
        &[grant, ("client_id", &id), assertion],
        &[grant, ("client_assertion_type", "saml"), assertion],
        &[grant, grant],
        &[("client_id", &id), secret],
    ] {
        refused(
            &stage.form(TOKEN, fields, None).await,
            400,
            "invalid_request",
        );
    }
}

#[tokio::test]
async fn grants_and_scopes_that_there_are_not_are_refused() {
    let stage = Stage::start().await;
    let admin = stage.officer("root@example.com", "admin").await;
    let (id, secret) = service(&stage, &admin, &["wallets:read", "profile:read"], false).await;
    let authorization = basic(&id, &secret);
    for grant in ["password", "authorization_code", "refresh-token"] {
        let answer = stage
            .form(TOKEN, &[("grant_type", grant)], Some(&authorization))
            .await;
        refused(&answer, 400, "unsupported_grant_type");
    }
    let ask = |scope| [("grant_type", "client_credentials"), ("scope", scope)];
    let answer = stage
        .form(TOKEN, &ask("wallets:read"), Some(&authorization))
        .await;
    assert_eq!(answer.text("scope"), "wallets:read");
    assert_eq!(answer.claims()["scope"], "wallets:read");
    for more in ["transfers:read", "wallets:read role:admin", " "] {
        let answer = stage.form(TOKEN, &ask(more), Some(&authorization)).await;
        refused(&answer, 400, "invalid_scope");
    }
    let json = stage
        .post(TOKEN, json!({"grant_type": "client_credentials"}))
        .await;
    refused(&json, 415, "invalid_request");
}

#[tokio::test]
async fn a_refresh_token_is_spent_by_the_same_rules() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let first = signed_in(&stage).await.text("refresh_token").to_owned();
    let spend = async |token: &str, more: &[(&str, &str)]| {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(more);
        stage.form(TOKEN, &fields, None).await
    };
    refused(
        &spend(&first, &[("scope", "wallets:read")]).await,
        400,
        "invalid_scope",
    );
    let answer = spend(&first, &[("client_id", "vorota")]).await;
    assert_eq!((answer.status, answer.text("token_type")), (200, "Bearer"));
    let second = answer.text("refresh_token").to_owned();
    assert_eq!(
        spend(&first, &[]).await.text("refresh_token"),
        second,
        "a lost answer"
    );
    let json = json!({"refresh_token": second});
    assert_eq!(stage.post("/v1/auth/refresh", json).await.status, 200);
    stage.advance_secs(11);
    refused(&spend(&second, &[]).await, 400, "invalid_grant");
    refused(&spend("rt_never", &[]).await, 400, "invalid_grant");
    let empty = stage
        .form(TOKEN, &[("grant_type", "refresh_token")], None)
        .await;
    refused(&empty, 400, "invalid_request");
    let admin = stage.officer("root@example.com", "admin").await;
    let (id, secret) = service(&stage, &admin, &[], false).await;
    let token = signed_in(&stage).await.text("refresh_token").to_owned();
    let theirs = [("client_id", id.as_str()), ("client_secret", &secret)];
    refused(&spend(&token, &theirs).await, 400, "invalid_grant");
    assert_eq!(spend(&token, &[]).await.status, 200, "nobody has spent it");
}

/// An assertion as a client signs it.
fn assertion(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_key_of_its_own_proves_a_client_once_each_time() {
    let stage = Stage::start().await;
    let admin = stage.officer("root@example.com", "admin").await;
    let (id, _) = service(&stage, &admin, &["wallets:read"], false).await;
    let (other, _) = service(&stage, &admin, &[], false).await;
    let key = SigningKey::from_bytes(&[5; 32]);
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key());
    let jwk = json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k1"}});
    assert_eq!(add_key(&stage, &admin, &id, jwk).await.status, 201);

    let present = async |assertion: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ];
        stage.form(TOKEN, &fields, None).await
    };
    let now = stage.now().unix_timestamp();
    let header = json!({"alg": "EdDSA", "kid": "k1"});
    let claims = |change: Value| {
        let mut claims = json!({
            "iss": id, "sub": id, "aud": ISSUER, "exp": now + 60, "jti": Uuid::new_v4(),
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    };
    let good = assertion(&key, &header, &claims(json!({})));
    let answer = present(&good).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    refused(&present(&good).await, 401, "invalid_client");
    let endpoint = claims(json!({"aud": [format!("{ISSUER}{TOKEN}")]}));
    for header in [
        json!({"alg": "EdDSA"}),
        json!({"alg": "Ed25519", "kid": "k1"}),
    ] {
        let mut endpoint = endpoint.clone();
        endpoint["jti"] = json!(Uuid::new_v4());
        assert_eq!(
            present(&assertion(&key, &header, &endpoint)).await.status,
            200
        );
    }

    for change in [
        json!({"aud": "https://elsewhere"}),
        json!({"aud": [ISSUER, "https://elsewhere"]}),
        json!({"exp": now}),
        json!({"exp": now + 3600}),
        json!({"nbf": now + 60}),
        json!({"iss": other}),
        json!({"iss": other, "sub": other}),
        json!({"jti": ""}),
        json!({"exp": null}),
        json!({"jti": null}),
    ] {
        let bad = assertion(&key, &header, &claims(change.clone()));
        assert_eq!(present(&bad).await.status, 401, "{change}");
    }
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES256", "kid": "k1"}),
        json!({"alg": "EdDSA", "kid": "another"}),
        json!({"alg": "EdDSA", "crit": ["b64"], "b64": false}),
    ] {
        let bad = assertion(&key, &header, &claims(json!({})));
        refused(&present(&bad).await, 401, "invalid_client");
        let unsigned = bad.rsplit_once('.').expect("three parts").0;
        refused(
            &present(&format!("{unsigned}.")).await,
            401,
            "invalid_client",
        );
    }
    let forged = assertion(
        &SigningKey::from_bytes(&[6; 32]),
        &header,
        &claims(json!({})),
    );
    refused(&present(&forged).await, 401, "invalid_client");
    for nonsense in ["", "a", "a.b.c", "..", "a.b.c.d"] {
        let answer = present(nonsense).await;
        assert!([400, 401].contains(&answer.status), "{nonsense}");
    }
}

async fn ask(stage: &Stage, (id, secret): &(String, String), token: &str) -> Value {
    let authorization = basic(id, secret);
    let answer = stage
        .form(
            "/oauth/introspect",
            &[("token", token)],
            Some(&authorization),
        )
        .await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "no-store")
    );
    answer.body
}

#[tokio::test]
async fn whoever_may_is_told_what_a_token_is_worth() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let admin = stage.officer("root@example.com", "admin").await;
    let server = service(&stage, &admin, &[], true).await;
    let client = service(&stage, &admin, &["wallets:read"], false).await;
    let inactive = json!({"active": false});
    let answer = signed_in(&stage).await;
    let (access, refresh) = (answer.text("access_token"), answer.text("refresh_token"));
    let own = token(&stage, &client.0, &client.1).await;
    let own = own.text("access_token");

    let known = ask(&stage, &server, access).await;
    assert_eq!(
        (&known["active"], &known["sub"]),
        (&json!(true), &json!(ann))
    );
    assert_eq!(
        (&known["token_type"], &known["iss"]),
        (&json!("Bearer"), &json!(ISSUER))
    );
    assert_eq!(known["client_id"], "vorota");
    assert_eq!(ask(&stage, &server, refresh).await["sub"], json!(ann));
    let known = ask(&stage, &server, own).await;
    assert_eq!(
        (&known["active"], &known["scope"]),
        (&json!(true), &json!("wallets:read"))
    );

    // A client is told of its own, and of nobody else's.
    assert_eq!(
        ask(&stage, &client, own).await["client_id"],
        json!(client.0)
    );
    for others in [access, refresh] {
        assert_eq!(ask(&stage, &client, others).await, inactive);
    }
    let (head, signature) = access.rsplit_once('.').expect("a JWT");
    let touched = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for nothing in ["nothing", "rt_nothing", &touched] {
        assert_eq!(ask(&stage, &server, nothing).await, inactive);
    }
    let anonymous = stage
        .form("/oauth/introspect", &[("token", access)], None)
        .await;
    refused(&anonymous, 401, "invalid_client");
    let authorization = basic(&server.0, &server.1);
    let empty = stage
        .form("/oauth/introspect", &[], Some(&authorization))
        .await;
    refused(&empty, 400, "invalid_request");

    // What was taken back is worth nothing, and so is what is over.
    let user = stage.user_in(
        ann,
        answer.claims()["sid"]
            .as_str()
            .expect("a sid")
            .parse()
            .expect("an id"),
    );
    assert_eq!(stage.post_as(&user, "/v1/auth/logout").await.status, 204);
    for gone in [access, refresh] {
        assert_eq!(ask(&stage, &server, gone).await, inactive);
    }
    stage.advance_secs(300);
    assert_eq!(ask(&stage, &server, own).await, inactive);
}

#[tokio::test]
async fn a_token_is_taken_back_by_whoever_holds_it() {
    let stage = Stage::start().await;
    stage.member(ANN).await;
    let admin = stage.officer("root@example.com", "admin").await;
    let server = service(&stage, &admin, &[], true).await;
    let client = service(&stage, &admin, &[], false).await;
    let revoke = async |token: &str, authorization: Option<&str>| {
        let fields = [("token", token), ("token_type_hint", "access_token")];
        stage.form("/oauth/revoke", &fields, authorization).await
    };
    for which in ["refresh_token", "access_token"] {
        let answer = signed_in(&stage).await;
        let head = stage.feed("").await["head"].as_i64().expect("a number");
        for _ in 0..2 {
            assert_eq!(revoke(answer.text(which), None).await.status, 200);
        }
        let told = stage.feed(&format!("?after={head}")).await;
        assert_eq!(told["items"][0]["id"], answer.claims()["sid"], "{which}");
        assert_eq!(told["items"].as_array().expect("rows").len(), 1);
        let spend = json!({"refresh_token": answer.text("refresh_token")});
        assert_eq!(stage.post("/v1/auth/refresh", spend).await.status, 401);
        assert_eq!(
            ask(&stage, &server, answer.text("access_token")).await["active"],
            false
        );
    }
    for nothing in ["nothing", "rt_nothing", "a.b.c"] {
        assert_eq!(revoke(nothing, None).await.status, 200);
    }
    // A service account's token is its own to take back.
    let answer = token(&stage, &client.0, &client.1).await;
    let own = answer.text("access_token");
    refused(&revoke(own, None).await, 401, "invalid_client");
    let theirs = basic(&server.0, &server.1);
    refused(
        &revoke(own, Some(&theirs)).await,
        400,
        "unauthorized_client",
    );
    assert_eq!(ask(&stage, &server, own).await["active"], true);
    let its = basic(&client.0, &client.1);
    assert_eq!(revoke(own, Some(&its)).await.status, 200);
    assert_eq!(ask(&stage, &server, own).await["active"], false);
    stage.advance_secs(1);
    let next = token(&stage, &client.0, &client.1).await;
    assert_eq!(
        ask(&stage, &server, next.text("access_token")).await["active"],
        true
    );
    refused(
        &stage.form("/oauth/revoke", &[], None).await,
        400,
        "invalid_request",
    );
    let wrong = basic(&client.0, "sk_wrong");
    refused(
        &revoke("nothing", Some(&wrong)).await,
        401,
        "invalid_client",
    );
}

#[tokio::test]
async fn a_person_is_told_who_they_are_and_a_program_is_nobody() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    let told = stage.get_as(&stage.user(ann), "/oauth/userinfo").await;
    assert_eq!(
        told.body,
        json!({"sub": ann, "email": ANN, "email_verified": true})
    );
    let program = stage.user(Uuid::now_v7());
    let nobody = stage.get_as(&program, "/oauth/userinfo").await;
    assert_eq!((nobody.status, nobody.code()), (401, "unauthenticated"));
}
