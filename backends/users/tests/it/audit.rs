//! The record that nobody rewrites, or not without being found.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::stage::{Answer, PASSWORD, Stage};

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn the_record_takes_no_change() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    for change in [
        "update users.audit set act = 'nothing'",
        "delete from users.audit",
        "truncate users.audit",
        "update users.audit_link set n = n + 1",
        "delete from users.audit_link",
        "truncate users.audit_link",
        "update users.audit_detail set detail = '{}'",
        "truncate users.audit_detail",
        "insert into users.audit_head (n, hash) values (0, sha256(''))",
        "delete from users.audit_head",
        "truncate users.audit_head",
    ] {
        let refused = stage.try_execute(change).await.expect_err(change);
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.audit")
            .await,
        [1]
    );
    let requests = stage
        .column::<Option<String>>("select request_id from users.audit")
        .await;
    assert!(requests[0].is_some(), "an act is found by its request");
}

/// Somebody who may look into the record.
async fn look(stage: &Stage, path: &str) -> Answer {
    stage.get_as(&stage.admin(Uuid::nil()), path).await
}

async fn verify(stage: &Stage, query: &str) -> Value {
    let answer = look(stage, &format!("/v1/audit/verify{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// A head that somebody keeps elsewhere.
async fn head(stage: &Stage) -> String {
    let answer = look(stage, "/v1/audit/head").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("signature").to_owned()
}

/// A member with some acts to their name, the last of them with particulars.
async fn busy_stage() -> (Stage, Uuid) {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    for _ in 0..3 {
        stage.login(ANN, PASSWORD).await;
        stage.login(ANN, "a wrong password").await;
    }
    let seen = look(&stage, &format!("/v1/audit?account_id={ann}")).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    (stage, ann)
}

/// What somebody does who has the database in their hands: no trigger works for them.
async fn tamper(stage: &Stage, sql: &str) {
    let sql = format!("begin; set local session_replication_role = replica; {sql}; commit");
    let done = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(stage.pool())
        .await;
    done.expect(&sql);
}

#[tokio::test]
async fn the_chain_of_what_happened_is_whole() {
    let (stage, _) = busy_stage().await;
    let proof = verify(&stage, "").await;
    assert_eq!(
        proof,
        json!({"ok": true, "checked": 8, "from": 1, "to": 8, "next": null, "erased": 0, "head": 8,
            "compared": null, "broken": null})
    );
    let part = verify(&stage, "?from=3&to=5").await;
    assert_eq!(
        (&part["checked"], &part["to"], &part["next"]),
        (&json!(3), &json!(5), &json!(null))
    );
    let none = verify(&stage, "?from=9").await;
    assert_eq!((&none["ok"], &none["checked"]), (&json!(true), &json!(0)));

    let kept = head(&stage).await;
    stage.login(ANN, PASSWORD).await;
    let compared = verify(&stage, &format!("?head={kept}")).await;
    assert_eq!(compared["ok"], true);
    assert_eq!(compared["compared"]["n"], 8);
    assert_eq!(compared["compared"]["signature_checked"], true);

    for (query, status, code) in [
        ("?from=0", 400, "bad_request"),
        ("?from=5&to=4", 400, "bad_request"),
        ("?limit=0", 400, "bad_request"),
        ("?limit=100001", 400, "bad_request"),
        ("?to=x", 400, "bad_request"),
        ("?of=1", 400, "bad_request"),
        ("?head=x.y.z", 422, "bad_head"),
    ] {
        let answer = look(&stage, &format!("/v1/audit/verify{query}")).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query}");
    }
}

/// Each of these is done to a whole record, and undone by doing it to a fresh one.
#[tokio::test]
async fn users_30_whatever_is_done_to_the_record_is_found() {
    for (deed, sql, n, what) in [
        (
            "an act is edited",
            "update users.audit set act = 'session.begun' where seq = 3",
            3,
            "act_changed",
        ),
        (
            "its time is moved by a microsecond",
            "update users.audit set at = at + interval '1 microsecond' where seq = 8",
            8,
            "act_changed",
        ),
        (
            "two acts change places",
            "update users.audit_link set audit_seq = -audit_seq where n in (4, 5);
            update users.audit_link set audit_seq = 9 + audit_seq where n in (4, 5)",
            4,
            "act_changed",
        ),
        (
            "an act is taken out",
            "delete from users.audit where seq = 4",
            4,
            "act_missing",
        ),
        (
            "and its link with it",
            "delete from users.audit where seq = 4; delete from users.audit_link where n = 4",
            4,
            "link_missing",
        ),
        (
            "an act is slipped in",
            "insert into users.audit (seq, at, act, account_id) overriding system value
            values (100, now(), 'user.verified', gen_random_uuid())",
            9,
            "act_unchained",
        ),
        (
            "or among the others",
            "insert into users.audit (seq, at, act, account_id) overriding system value
            values (0, now(), 'user.verified', gen_random_uuid())",
            9,
            "act_unchained",
        ),
        (
            "a particular is edited",
            r#"update users.audit_detail set detail = '{"reason":"none"}' where audit_seq = 8"#,
            8,
            "detail_changed",
        ),
        (
            "particulars go though nobody was erased",
            "delete from users.audit_detail where audit_seq = 8",
            8,
            "detail_missing",
        ),
        (
            "the last acts are cut off, and the head stays",
            "delete from users.audit where seq > 6; delete from users.audit_link where n > 6",
            7,
            "link_missing",
        ),
        (
            "the chain is cut off, and the acts stay",
            "delete from users.audit_link where n > 6;
            update users.audit_head set n = 6,
                hash = (select hash from users.audit_link where n = 6)",
            7,
            "act_unchained",
        ),
        (
            "the head is put back",
            "update users.audit_head set n = 6,
                hash = (select hash from users.audit_link where n = 6)",
            6,
            "head_differs",
        ),
    ] {
        let (stage, _) = busy_stage().await;
        tamper(&stage, sql).await;
        let proof = verify(&stage, "").await;
        assert_eq!(proof["ok"], false, "{deed}");
        let broken = (&proof["broken"]["n"], &proof["broken"]["what"]);
        assert_eq!(broken, (&json!(n), &json!(what)), "{deed}");
    }
}

/// Makes every link anew from what the record says now.
const REWRITE: &str = "delete from users.audit_link;
    do $$ declare act users.audit; last bigint := 0; link bytea := decode(repeat('00', 32), 'hex');
    begin
        for act in select * from users.audit order by seq loop
            last := last + 1;
            link := users.audit_hash(link, act);
            insert into users.audit_link (n, audit_seq, hash) values (last, act.seq, link);
        end loop;
        update users.audit_head set n = last, hash = link;
    end $$";

#[tokio::test]
async fn a_record_that_was_written_anew_is_found_by_an_older_head() {
    let (stage, _) = busy_stage().await;
    let kept = head(&stage).await;
    tamper(&stage, REWRITE).await;
    let same = verify(&stage, &format!("?head={kept}")).await;
    assert_eq!(same["ok"], true, "it says what it said");

    tamper(
        &stage,
        &format!("update users.audit set act = 'session.begun' where seq = 3; {REWRITE}"),
    )
    .await;
    let alone = verify(&stage, "").await;
    assert_eq!(alone["ok"], true, "consistent in itself");
    let compared = verify(&stage, &format!("?head={kept}")).await;
    assert_eq!(compared["broken"], json!({"n": 8, "what": "rewritten"}));
}

#[tokio::test]
async fn a_record_that_was_cut_off_is_found_by_an_older_head() {
    let (stage, _) = busy_stage().await;
    let kept = head(&stage).await;
    tamper(
        &stage,
        &format!(
            "delete from users.audit where seq > 6;
            delete from users.audit_detail where audit_seq > 6; {REWRITE}"
        ),
    )
    .await;
    let alone = verify(&stage, "").await;
    assert_eq!((&alone["ok"], &alone["head"]), (&json!(true), &json!(6)));
    let compared = verify(&stage, &format!("?head={kept}")).await;
    assert_eq!(compared["broken"], json!({"n": 7, "what": "truncated"}));
}

#[tokio::test]
async fn a_longer_record_is_walked_call_by_call() {
    let (stage, _) = busy_stage().await;
    let first = verify(&stage, "?limit=5").await;
    assert_eq!(
        (&first["ok"], &first["checked"], &first["next"]),
        (&json!(true), &json!(5), &json!(6))
    );
    let second = verify(&stage, "?from=6&limit=5").await;
    assert_eq!(
        (&second["ok"], &second["checked"], &second["next"]),
        (&json!(true), &json!(3), &json!(null))
    );

    // Whatever was slipped in is found by one of the calls, wherever they begin.
    tamper(
        &stage,
        "insert into users.audit (seq, at, act, account_id) overriding system value
        values (100, now(), 'user.verified', gen_random_uuid())",
    )
    .await;
    let first = verify(&stage, "?limit=5").await;
    assert_eq!(first["ok"], true);
    let second = verify(&stage, "?from=6&limit=5").await;
    assert_eq!(second["broken"]["what"], "act_unchained");
}

/// Two hundred who sign out at once take the numbers of the revocations, and then those of the chain.
#[tokio::test]
async fn two_hundred_acts_at_once_make_one_chain() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    sqlx::query(
        "insert into users.session (id, account_id, proven, created_at, authenticated_at,
            last_seen_at, expires_at)
        select gen_random_uuid(), $1, '{password}', at, at, at, at + interval '1 d'
        from to_timestamp(1800000000) at, generate_series(1, 200)",
    )
    .bind(ann)
    .execute(stage.pool())
    .await
    .expect("sessions");
    let sessions = stage.column::<Uuid>("select id from users.session").await;
    let goodbyes = sessions.into_iter().map(|session| {
        let stage = &stage;
        async move {
            let who = stage.user_in(ann, session);
            stage.post_as(&who, "/v1/auth/logout").await.status
        }
    });
    let statuses = futures::future::join_all(goodbyes).await;
    assert!(
        statuses.iter().all(|status| *status == 204),
        "{statuses:?}: nobody waits for somebody who waits for them"
    );

    let proof = verify(&stage, "").await;
    assert_eq!(
        (&proof["ok"], &proof["checked"], &proof["head"]),
        (&json!(true), &json!(201), &json!(201))
    );
    let numbers = "select count(distinct n) = 201 and min(n) = 1 and max(n) = 201
        from users.audit_link";
    assert_eq!(stage.column::<bool>(numbers).await, [true], "without gaps");
}

#[tokio::test]
async fn an_act_that_was_rolled_back_is_no_link() {
    let stage = Stage::start().await;
    let mut tx = stage.pool().begin().await.expect("a transaction");
    let act = "insert into users.audit (at, act, account_id)
        values (now(), 'session.begun', gen_random_uuid())";
    sqlx::query(act).execute(&mut *tx).await.expect("an act");
    tx.rollback().await.expect("rolled back");
    stage.execute(act).await;
    let proof = verify(&stage, "").await;
    assert_eq!((&proof["ok"], &proof["head"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn the_record_of_everybody_is_shown_to_those_who_run_the_place() {
    let stage = Stage::start().await;
    let ann = stage.member(ANN).await;
    for (path, support) in [
        ("/v1/audit", 200),
        ("/v1/audit/head", 200),
        ("/v1/audit/verify", 403),
    ] {
        for (role, status) in [("user", 403), ("support", support), ("admin", 200)] {
            let who = identity::Principal {
                roles: vec![role.to_owned()],
                ..stage.user(ann)
            };
            let answer = stage.get_as(&who, path).await;
            assert_eq!(answer.status, status, "{role} at {path}");
        }
        let nobody = stage.get(path).await;
        assert_eq!(nobody.status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_head_is_a_jws_that_anybody_can_check() {
    let (stage, _) = busy_stage().await;
    let answer = look(&stage, "/v1/audit/head").await;
    let jwks = stage.get("/.well-known/jwks.json").await.body;
    let jwk = jwks["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["kid"] == answer.body["kid"])
        .expect("a key that is published");
    let key = jsonwebtoken::DecodingKey::from_ed_components(jwk["x"].as_str().expect("x"))
        .expect("an Ed25519 key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let said = jsonwebtoken::decode::<Value>(answer.text("signature"), &key, &rules);
    let said = said.expect("it is signed");
    assert_eq!(said.header.typ.as_deref(), Some("audit-head+jwt"));
    assert_eq!(said.claims["n"], answer.body["n"]);
    assert_eq!(said.claims["hash"], answer.body["hash"]);
    assert_eq!(said.claims["iss"], "https://localhost:8443");
    let last = "select encode(hash, 'hex') from users.audit_link order by n desc limit 1";
    assert_eq!(stage.column::<String>(last).await, [answer.text("hash")]);
}

fn acts(answer: &Answer) -> Vec<&str> {
    let items = answer.body["items"].as_array().expect("a list");
    let acts = items
        .iter()
        .map(|item| item["act"].as_str().expect("a text"));
    acts.collect()
}

#[tokio::test]
async fn one_sees_what_happened_to_oneself_and_to_nobody_else() {
    let (stage, ann) = busy_stage().await;
    let bob = stage.member("bob@example.com").await;
    let first = stage.get_as(&stage.user(ann), "/v1/me/audit?limit=3").await;
    assert_eq!(
        acts(&first),
        ["audit.read", "session.refused", "session.begun"]
    );
    let looked = &first.body["items"][0];
    assert_eq!(looked["by_other"], true, "somebody has looked into it");
    assert_eq!(looked.get("detail"), None, "what they wrote down is theirs");
    assert_eq!(looked.get("seq"), None, "nor how much happens to others");
    assert_eq!(first.header("cache-control"), "no-store");

    let cursor = first.text("next_cursor");
    let rest = format!("/v1/me/audit?limit=50&cursor={cursor}");
    let others = stage.get_as(&stage.user(bob), &rest).await;
    assert_eq!((others.status, others.code()), (400, "bad_cursor"));
    let rest = stage.get_as(&stage.user(ann), &rest).await;
    let (refused, begun) = ("session.refused", "session.begun");
    assert_eq!(
        acts(&rest),
        [refused, begun, refused, begun, "user.verified"]
    );
    assert_eq!(rest.body["next_cursor"], Value::Null);

    let bobs = stage.get_as(&stage.user(bob), "/v1/me/audit").await;
    assert_eq!(acts(&bobs), ["user.verified"]);
}

#[tokio::test]
async fn the_record_is_searched_by_whom_it_concerns_who_did_it_what_and_when() {
    let (stage, ann) = busy_stage().await;
    stage.advance_secs(3600);
    let bob = stage.member("bob@example.com").await;
    for (query, found) in [
        (format!("account_id={ann}&act=session.begun"), 3),
        (format!("account_id={bob}"), 1),
        (format!("actor_id={}", Uuid::nil()), 3),
        ("act=user.verified".to_owned(), 2),
        ("act=user.verified&from=2027-01-15T08:30:00Z".to_owned(), 1),
        ("act=user.verified&to=2027-01-15T08:30:00Z".to_owned(), 1),
        ("act=user".to_owned(), 0),
    ] {
        let answer = look(&stage, &format!("/v1/audit?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(acts(&answer).len(), found, "{query}");
    }
    let page = look(&stage, "/v1/audit?act=session.begun&limit=2").await;
    let cursor = page.text("next_cursor");
    let rest = look(
        &stage,
        &format!("/v1/audit?act=session.begun&limit=2&cursor={cursor}"),
    )
    .await;
    assert_eq!(acts(&rest).len(), 1);
    let other = look(
        &stage,
        &format!("/v1/audit?act=user.verified&cursor={cursor}"),
    )
    .await;
    assert_eq!(
        (other.status, other.code()),
        (400, "bad_cursor"),
        "a cursor goes on in its own list"
    );
    let odd = look(&stage, "/v1/audit?account_id=ann").await;
    assert_eq!((odd.status, odd.code()), (400, "bad_request"));

    // Who looked, and for what, stands in the record.
    let looks = look(
        &stage,
        &format!("/v1/audit?account_id={ann}&act=audit.read"),
    )
    .await;
    let item = &looks.body["items"][0];
    assert_eq!(item["actor_id"], Uuid::nil().to_string());
    assert_eq!(item["detail"]["filter"]["account_id"], ann.to_string());
    assert!(item["n"].is_i64(), "and is a link of the chain");
}
