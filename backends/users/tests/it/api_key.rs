//! Keys for programs, from making one to what the gateway is told of it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use identity::{ApiKey, Principal};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Answer, Stage};

const PATH: &str = "/v1/me/api-keys";

/// Somebody who is signed in.
async fn signed_in(stage: &Stage, email: &str) -> Principal {
    let id = stage.member(email).await;
    stage.user_in(id, Uuid::now_v7())
}

async fn create(stage: &Stage, who: &Principal, key: &str, change: Value) -> Answer {
    let mut wish = json!({"name": "report", "scopes": ["wallets:read", "transfers:read"]});
    for (field, value) in change.as_object().expect("fields") {
        wish[field] = value.clone();
    }
    stage.call_as(who, "POST", PATH, Some(key), wish).await
}

async fn rotate(stage: &Stage, who: &Principal, id: &str, key: &str, overlap_s: u32) -> Answer {
    let path = format!("{PATH}/{id}/rotate");
    let wish = json!({ "overlap_s": overlap_s });
    stage.call_as(who, "POST", &path, Some(key), wish).await
}

/// What the gateway is told of a key.
async fn resolve(stage: &Stage, key: &str) -> Answer {
    let key = ApiKey::parse(key, "gk_live_").expect("a well-formed key");
    let hash = BASE64_URL_SAFE_NO_PAD.encode(key.hash());
    let question = json!({"id": key.id, "hash": hash});
    stage
        .ask_by_gateway("/internal/v1/api-keys/resolve", question)
        .await
}

fn id(answer: &Answer) -> String {
    let id = answer.body["api_key"]["id"].as_str();
    id.unwrap_or_else(|| panic!("no id in {answer:?}"))
        .to_owned()
}

#[tokio::test]
async fn a_key_speaks_for_its_owner_within_its_scopes() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let wish = json!({"networks": ["192.0.2.0/24"], "expires_at": "2027-02-01T00:00:00Z"});
    let made = create(&stage, &ann, "k1", wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("cache-control"), "no-store");

    let told = resolve(&stage, made.text("key")).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(
        told.body,
        json!({
            "sub": ann.sub,
            "scopes": ["transfers:read", "wallets:read"],
            "key": made.body["api_key"]["secret_id"],
            "issued_at": 1_800_000_000,
            "expires_at": 1_801_440_000,
            "networks": ["192.0.2.0/24"],
        })
    );

    let list = stage.get_as(&ann, PATH).await;
    let mut seen = made.body["api_key"].clone();
    seen["last_used_at"] = json!(stage.now_text());
    assert_eq!(list.body, json!({"items": [seen], "next_cursor": null}));
    stage.advance_secs(1_439_999);
    assert_eq!(
        resolve(&stage, made.text("key")).await.status,
        200,
        "a second before its end"
    );
    stage.advance_secs(1);
    assert_eq!(
        resolve(&stage, made.text("key")).await.status,
        404,
        "past its end"
    );
    let list = stage.get_as(&ann, PATH).await;
    assert_eq!(list.body["items"], json!([]));
}

/// Security case users 23.
#[tokio::test]
async fn users_23_no_key_has_more_scopes_than_its_owner() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    for scope in ["users:write", "wallets:write", "*", "admin"] {
        let answer = create(
            &stage,
            &ann,
            "k",
            json!({"scopes": ["wallets:read", scope]}),
        )
        .await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "scope_not_held"),
            "{scope}"
        );
    }
    let made = create(&stage, &ann, "k", json!({})).await;
    let path = format!("{PATH}/{}", id(&made));
    let more = json!({"scopes": ["users:write"]});
    let answer = stage.call_as(&ann, "PATCH", &path, None, more).await;
    assert_eq!((answer.status, answer.code()), (422, "scope_not_held"));

    // What the owner loses is lost to the key that was made before.
    stage
        .execute("delete from users.role_scope where role = 'user' and scope = 'wallets:read'")
        .await;
    let told = resolve(&stage, made.text("key")).await;
    assert_eq!(told.body["scopes"], json!(["transfers:read"]));
    stage.execute("delete from users.account_role").await;
    let told = resolve(&stage, made.text("key")).await;
    assert_eq!((told.status, &told.body["scopes"]), (200, &json!([])));
    stage.execute("delete from users.account").await;
    assert_eq!(resolve(&stage, made.text("key")).await.status, 404);
}

/// Security case users 24: the owner is in every statement.
#[tokio::test]
async fn users_24_anothers_key_is_not_there() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let bob = signed_in(&stage, "bob@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let path = format!("{PATH}/{}", id(&made));
    for (method, path, key, body) in [
        ("PATCH", path.clone(), None, json!({"name": "mine"})),
        ("DELETE", path.clone(), None, Value::Null),
        ("POST", format!("{path}/rotate"), Some("r"), json!({})),
        ("DELETE", format!("{PATH}/none"), None, Value::Null),
    ] {
        let answer = stage.call_as(&bob, method, &path, key, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (404, "not_found"),
            "{method}"
        );
    }
    assert_eq!(stage.get_as(&bob, PATH).await.body["items"], json!([]));
    assert_eq!(resolve(&stage, made.text("key")).await.status, 200);
    // The same Idempotency-Key is another one for somebody else.
    let his = create(&stage, &bob, "k", json!({})).await;
    assert_ne!(his.text("key"), made.text("key"));
}

/// Security case users 10: who has only a key, or proves who they are without signing in.
#[tokio::test]
async fn users_10_a_key_manages_no_keys() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let by_key = Principal {
        sid: None,
        roles: vec![],
        ..ann.clone()
    };
    let path = format!("{PATH}/{}", id(&made));
    for (method, path, key, body) in [
        ("GET", PATH.to_owned(), None, Value::Null),
        (
            "POST",
            PATH.to_owned(),
            Some("k2"),
            json!({"name": "x", "scopes": ["wallets:read"]}),
        ),
        ("PATCH", path.clone(), None, json!({"name": "x"})),
        ("DELETE", path.clone(), None, Value::Null),
        ("POST", format!("{path}/rotate"), Some("k3"), json!({})),
    ] {
        let answer = stage.call_as(&by_key, method, &path, key, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "session_required"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn users_21_only_a_gateway_resolves_keys() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let key = ApiKey::parse(made.text("key"), "gk_live_").expect("a key");
    let question = json!({"id": key.id, "hash": BASE64_URL_SAFE_NO_PAD.encode(key.hash())});
    let path = "/internal/v1/api-keys/resolve";
    let answer = stage
        .call_as(&ann, "POST", path, None, question.clone())
        .await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    assert_eq!(
        stage.post(path, question).await.status,
        403,
        "a public route is none"
    );
}

#[tokio::test]
async fn what_does_not_fit_is_not_there() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let other = create(&stage, &ann, "k2", json!({})).await;
    let key = ApiKey::parse(made.text("key"), "gk_live_").expect("a key");
    let hash = BASE64_URL_SAFE_NO_PAD.encode(key.hash());
    let stranger = Uuid::now_v7().to_string();
    let others = other.body["api_key"]["secret_id"].as_str().expect("an id");
    for (id, hash) in [
        (stranger.as_str(), hash.as_str()),
        (others, &hash),
        ("x", &hash),
        (key.id, "AAAA"),
        (key.id, ""),
        (key.id, "%%%"),
        (key.id, made.text("key")),
    ] {
        let question = json!({"id": id, "hash": hash});
        let answer = stage
            .ask_by_gateway("/internal/v1/api-keys/resolve", question)
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (404, "not_found"),
            "{id} {hash}"
        );
    }
}

#[tokio::test]
async fn a_lost_answer_is_given_again_for_a_day() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let tries = join_all((0..8).map(|_| create(&stage, &ann, "k", json!({})))).await;
    let fresh = |answer: &&Answer| !answer.headers.contains_key("idempotency-replayed");
    assert_eq!(tries.iter().filter(fresh).count(), 1);
    for answer in &tries {
        assert_eq!((answer.status, &answer.body), (201, &tries[0].body));
    }
    assert_eq!(resolve(&stage, tries[0].text("key")).await.status, 200);

    let other = create(&stage, &ann, "k", json!({"name": "other"})).await;
    assert_eq!(
        (other.status, other.code()),
        (409, "idempotency_key_reused")
    );
    let missing = json!({"name": "x", "scopes": ["wallets:read"]});
    let missing = stage.call_as(&ann, "POST", PATH, None, missing).await;
    assert_eq!(
        (missing.status, missing.code()),
        (400, "idempotency_key_required")
    );

    stage.advance_secs(24 * 60 * 60 - 1);
    let ann = stage.fresh(&ann);
    let again = create(&stage, &ann, "k", json!({})).await;
    assert_eq!(again.body, tries[0].body);
    stage.advance_secs(1);
    let anew = create(&stage, &ann, "k", json!({})).await;
    assert_eq!(anew.status, 201);
    assert_ne!(
        anew.text("key"),
        tries[0].text("key"),
        "the day is over: another wish"
    );
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_for_a_while() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let first = create(&stage, &ann, "k", json!({})).await;
    let second = rotate(&stage, &ann, &id(&first), "r1", 60).await;
    assert_eq!(
        (second.status, id(&second)),
        (200, id(&first)),
        "{second:?}"
    );
    assert_eq!(
        rotate(&stage, &ann, &id(&first), "r1", 60).await.body,
        second.body
    );
    for answer in [&first, &second] {
        assert_eq!(resolve(&stage, answer.text("key")).await.status, 200);
    }
    let old = resolve(&stage, first.text("key")).await;
    assert_eq!(old.body["expires_at"], 1_800_000_060);

    // The third ends the first before its time.
    let third = rotate(&stage, &ann, &id(&first), "r2", 60).await;
    for (answer, status) in [(&first, 404), (&second, 200), (&third, 200)] {
        assert_eq!(resolve(&stage, answer.text("key")).await.status, status);
    }
    stage.advance_secs(60);
    assert_eq!(resolve(&stage, second.text("key")).await.status, 404);
    let fourth = rotate(&stage, &ann, &id(&first), "r3", 0).await;
    assert_eq!(fourth.body["api_key"]["previous_until"], Value::Null);
    assert_eq!(
        resolve(&stage, third.text("key")).await.status,
        404,
        "no overlap"
    );
    assert_eq!(resolve(&stage, fourth.text("key")).await.status, 200);

    // What a rotation ends is revoked.
    let secrets = "select id from users.revocation where kind = 'api_key' order by seq";
    let ended = [&first, &second, &third].map(|it| it.body["api_key"]["secret_id"].clone());
    assert_eq!(json!(stage.column::<String>(secrets).await), json!(ended));

    let long = rotate(&stage, &ann, &id(&first), "r4", 7 * 24 * 60 * 60 + 1).await;
    assert_eq!((long.status, long.code()), (422, "bad_overlap"));
}

#[tokio::test]
async fn a_key_is_changed_and_taken_back_and_the_record_says_so() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let path = format!("{PATH}/{}", id(&made));
    let change = json!({"name": " other ", "scopes": ["wallets:read"], "networks": ["10.1.2.3"]});
    let changed = stage.call_as(&ann, "PATCH", &path, None, change).await;
    assert_eq!((changed.status, changed.text("name")), (200, "other"));
    let told = resolve(&stage, made.text("key")).await;
    assert_eq!(told.body["scopes"], json!(["wallets:read"]));
    assert_eq!(told.body["networks"], json!(["10.1.2.3/32"]));
    for bad in [
        json!({"name": null}),
        json!({"scopes": []}),
        json!({"networks": ["10.0.0.1/8"]}),
        json!({"expires_at": "2030-01-01T00:00:00Z"}),
        json!({"owner": ann.sub}),
    ] {
        let answer = stage.call_as(&ann, "PATCH", &path, None, bad.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_body"), "{bad}");
    }
    rotate(&stage, &ann, &id(&made), "r", 60).await;

    assert_eq!(
        stage
            .call_as(&ann, "DELETE", &path, None, Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        stage
            .call_as(&ann, "DELETE", &path, None, Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(resolve(&stage, made.text("key")).await.status, 404);
    // Gateways are told of both secrets at once.
    let secrets = "select id from users.revocation where kind = 'api_key'";
    assert_eq!(stage.column::<String>(secrets).await.len(), 2);
    let user_id = ann.sub.parse().expect("an id");
    assert_eq!(
        stage.acts_of(user_id).await,
        [
            "user.verified",
            "api_key.created",
            "api_key.changed",
            "api_key.rotated",
            "api_key.revoked"
        ]
    );
    let about = "select distinct api_key_id::text from users.audit where api_key_id is not null";
    assert_eq!(stage.column::<String>(about).await, [id(&made)]);
}

#[tokio::test]
async fn gateways_are_told_of_a_secret_that_was_being_made() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let path = format!("{PATH}/{}", id(&made));

    // A rotation that has done all but commit.
    let mut rotation = stage.pool().begin().await.expect("a transaction");
    for step in [
        "select id from users.account for no key update",
        "insert into users.api_key_secret (id, hash, api_key_id, issued_at)
        select gen_random_uuid(), decode(repeat('07', 32), 'hex'), id, created_at from users.api_key",
    ] {
        let done = sqlx::query(step).execute(&mut *rotation).await;
        done.expect("a step of it");
    }
    let commit = async {
        let waits = "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')";
        while stage.column::<bool>(waits).await != [true] {
            tokio::task::yield_now().await;
        }
        rotation.commit().await.expect("a commit");
    };
    let revoke = stage.call_as(&ann, "DELETE", &path, None, Value::Null);
    let both = futures::future::join(revoke, commit);
    let (revoked, ()) = tokio::time::timeout(std::time::Duration::from_secs(60), both)
        .await
        .expect("neither waits for ever");
    assert_eq!(revoked.status, 204);
    let secrets = "select id from users.revocation where kind = 'api_key'";
    assert_eq!(stage.column::<String>(secrets).await.len(), 2);
}

#[tokio::test]
async fn a_wish_out_of_bounds_makes_no_key() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    for expires_at in [
        "2027-01-15T08:00:00Z",
        "2026-01-01T00:00:00Z",
        "2033-01-01T00:00:00Z",
    ] {
        let answer = create(&stage, &ann, "k", json!({ "expires_at": expires_at })).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "bad_expiry"),
            "{expires_at}"
        );
    }
    let wishes = (0..25).map(|n| (n, format!("k{n}")));
    let made = join_all(wishes.map(|(_, key)| {
        let (stage, ann) = (&stage, &ann);
        async move { create(stage, ann, &key, json!({})).await }
    }));
    let made = made.await;
    let good = made.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(good, 20, "at once as well as one by one");
    let refused = made
        .iter()
        .find(|answer| answer.status != 201)
        .expect("one");
    assert_eq!((refused.status, refused.code()), (409, "too_many_api_keys"));
}

/// Security case 28: only hashes are stored.
#[tokio::test]
async fn gateway_28_no_key_rests_in_the_database() {
    let stage = Stage::start().await;
    let ann = signed_in(&stage, "ann@example.com").await;
    let made = create(&stage, &ann, "k", json!({})).await;
    let rotated = rotate(&stage, &ann, &id(&made), "r", 60).await;
    let rows = stage.everything_but_the_outbox().await;
    assert!(rows.contains("report"), "the rows are looked at");
    for answer in [&made, &rotated] {
        let secret = answer.text("key").rsplit('_').next().expect("digits");
        assert!(!rows.contains(&secret[..43]), "a secret is in the database");
    }
    let last_use = "select last_used_at::text from users.api_key";
    resolve(&stage, rotated.text("key")).await;
    let first = stage.column::<Option<String>>(last_use).await;
    stage.advance_secs(599);
    resolve(&stage, rotated.text("key")).await;
    assert_eq!(
        stage.column::<Option<String>>(last_use).await,
        first,
        "written rarely"
    );
    stage.advance_secs(1);
    resolve(&stage, rotated.text("key")).await;
    assert_ne!(stage.column::<Option<String>>(last_use).await, first);
}
