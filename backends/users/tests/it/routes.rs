//! Who gets what from every operation, and that nobody gets at what is another's. Both go through the
//! document itself: an operation that is in it and not in the table below fails the test, so that no
//! route comes without a rule.

use std::collections::BTreeMap;

use host::App;
use identity::Principal;
use serde_json::{Value, json};
use users::Users;
use uuid::Uuid;

use crate::{
    staff::Person,
    stage::{PASSWORD, Stage},
};

/// Who tries each operation. A service is somebody with a role of its own, and no session.
const CALLERS: [&str; 6] = ["nobody", "user", "support", "admin", "key", "service"];

/// The statuses that the callers get, in their order.
type Statuses = [u16; 6];

/// The same for everybody.
const fn open(status: u16) -> Statuses {
    [status; 6]
}

/// For whoever is somebody, by whatever way.
const fn known(status: u16) -> Statuses {
    [401, status, status, status, status, status]
}

/// For people in a session.
const fn session(status: u16) -> Statuses {
    [401, status, status, status, 403, 403]
}

/// For those who run the place.
const fn staff(status: u16) -> Statuses {
    [401, 403, status, status, 403, 403]
}

/// For admins.
const fn admin(status: u16) -> Statuses {
    [401, 403, 403, status, 403, 403]
}

/// An operation, a body that it takes, and what each caller gets for it. `{id}` in its path is another
/// user's account, of no rights at all; a version that was seen is said always.
fn table() -> Vec<(&'static str, Value, Statuses)> {
    let flow = Uuid::nil();
    let (email, token) = (
        json!({"email": "zoe@example.com"}),
        format!("mfa_{}", "A".repeat(43)),
    );
    let proof = json!({"factor": "totp", "code": "123456"});
    let assertion = json!({"id": "AAAA", "type": "public-key", "response":
        {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"}});
    let attestation = json!({"id": "AAAA", "type": "public-key", "response":
        {"clientDataJSON": "AAAA", "attestationObject": "AAAA"}});
    let why = || json!({"reason": "a test"});
    let none = Value::Null;
    vec![
        // Becoming somebody.
        ("jwks", none.clone(), open(200)),
        (
            "register",
            json!({"email": "zoe@example.com", "password": PASSWORD}),
            open(202),
        ),
        (
            "verify",
            json!({"flow_id": flow, "code": "123456"}),
            open(400),
        ),
        ("resendCode", json!({"flow_id": flow}), open(202)),
        (
            "login",
            json!({"email": "zoe@example.com", "password": PASSWORD}),
            open(401),
        ),
        ("otp", email.clone(), open(202)),
        (
            "otpVerify",
            json!({"flow_id": flow, "code": "123456"}),
            open(400),
        ),
        (
            "mfaChallenge",
            json!({"mfa_token": token, "factor": "email"}),
            open(401),
        ),
        (
            "mfaVerify",
            json!({"mfa_token": token, "proof": proof}),
            open(401),
        ),
        ("forgotPassword", email, open(202)),
        (
            "resetPassword",
            json!({"flow_id": flow, "code": "123456", "password": PASSWORD}),
            open(400),
        ),
        (
            "refresh",
            json!({"refresh_token": format!("rt_{}", "A".repeat(43))}),
            open(401),
        ),
        ("logout", none.clone(), [401, 204, 204, 204, 400, 400]),
        ("logout_all", none.clone(), session(204)),
        ("stepUp", json!({}), session(200)),
        ("stepUpVerify", json!({"proof": proof}), session(422)),
        ("checkPassword", json!({"password": PASSWORD}), open(200)),
        ("passkeyOptions", none.clone(), open(200)),
        ("passkeyVerify", json!({"credential": assertion}), open(401)),
        ("changePasswordPage", none.clone(), open(404)),
        ("passkeyEndpoints", none.clone(), open(200)),
        // By other providers, of which none is configured here.
        ("listProviders", none.clone(), open(200)),
        ("startSocial", none.clone(), open(404)),
        ("finishSocial", none.clone(), open(404)),
        ("finishSocialForm", none.clone(), open(404)),
        (
            "exchangeSocial",
            json!({"code": "A".repeat(43), "code_verifier": "A".repeat(43)}),
            open(400),
        ),
        ("socialNonce", none.clone(), open(404)),
        (
            "socialToken",
            json!({"id_token": "a.b.c", "nonce": "A".repeat(43)}),
            open(404),
        ),
        // Oneself. Keys get at none of it but what the route table opens to them.
        ("me", none.clone(), known(200)),
        (
            "changePassword",
            json!({"password": "quite another long phrase"}),
            session(204),
        ),
        ("listSessions", none.clone(), session(200)),
        (
            "restoreAccount",
            json!({"undo_token": "A".repeat(43)}),
            open(400),
        ),
        ("eraseMe", none.clone(), session(202)),
        ("askExport", none.clone(), session(202)),
        ("fetchExport", none.clone(), session(404)),
        ("endSession", none.clone(), session(404)),
        ("listSecondFactors", none.clone(), session(200)),
        ("enrolTotp", json!({"name": "phone"}), session(201)),
        (
            "confirmTotp",
            json!({"id": flow, "code": "123456"}),
            session(404),
        ),
        ("enrolSms", none.clone(), session(422)),
        ("enrolEmail", none.clone(), session(422)),
        ("makeRecoveryCodes", none.clone(), session(409)),
        ("removeSecondFactor", none.clone(), session(404)),
        ("listApiKeys", none.clone(), session(200)),
        (
            "createApiKey",
            json!({"name": "k", "scopes": ["profile:read"]}),
            session(201),
        ),
        ("changeApiKey", json!({"name": "k"}), session(404)),
        ("revokeApiKey", none.clone(), session(404)),
        ("rotateApiKey", json!({}), session(404)),
        ("changeMe", json!({"name": "Ann"}), known(200)),
        (
            "changeEmail",
            json!({"email": "zoe@example.com"}),
            session(202),
        ),
        (
            "confirmEmail",
            json!({"flow_id": flow, "code": "123456"}),
            session(400),
        ),
        (
            "changePhone",
            json!({"phone": "+4915112345678"}),
            session(202),
        ),
        (
            "confirmPhone",
            json!({"flow_id": flow, "code": "123456"}),
            session(400),
        ),
        ("listPasskeys", none.clone(), session(200)),
        ("passkeyCreationOptions", none.clone(), session(200)),
        (
            "addPasskey",
            json!({"name": "k", "credential": attestation}),
            session(422),
        ),
        ("renamePasskey", json!({"name": "k"}), session(404)),
        ("removePasskey", none.clone(), session(404)),
        ("listIdentities", none.clone(), session(200)),
        ("addIdentity", json!({"code": "A".repeat(43)}), session(400)),
        (
            "linkIdentity",
            json!({"return_to": "https://app.example.com/", "code_challenge": "A".repeat(43)}),
            session(404),
        ),
        ("removeIdentity", none.clone(), session(404)),
        ("listOwnAudit", none.clone(), known(200)),
        // The record.
        ("listAudit", none.clone(), staff(200)),
        ("auditHead", none.clone(), staff(200)),
        ("verifyAudit", none.clone(), admin(200)),
        // Who may what.
        ("listPermissions", none.clone(), admin(200)),
        ("listRoles", none.clone(), admin(200)),
        ("readRole", none.clone(), admin(200)),
        (
            "createRole",
            json!({"name": "auditor", "description": "Reads", "permissions": []}),
            admin(201),
        ),
        (
            "changeRole",
            json!({"description": "Owns wallets"}),
            admin(200),
        ),
        ("deleteRole", none.clone(), admin(409)),
        ("readUserRoles", none.clone(), staff(200)),
        ("changeUserRoles", json!({"roles": ["support"]}), admin(200)),
        ("readAcl", none.clone(), admin(200)),
        ("changeAcl", json!({"rules": []}), admin(200)),
        (
            "checkRights",
            json!({"checks": [{"permission": "users.read"}]}),
            known(200),
        ),
        (
            "authzSnapshot",
            none.clone(),
            [401, 403, 403, 200, 403, 200],
        ),
        // Programs. What speaks OAuth is asked by forms, and these are none.
        ("oauthMetadata", none.clone(), open(200)),
        ("openidConfiguration", none.clone(), open(200)),
        ("oauthToken", none.clone(), open(415)),
        ("oauthIntrospect", none.clone(), open(415)),
        ("oauthRevoke", none.clone(), open(415)),
        ("userinfo", none.clone(), known(200)),
        ("listServiceAccounts", none.clone(), admin(200)),
        ("createServiceAccount", json!({"name": "x"}), admin(201)),
        ("deleteServiceAccount", none.clone(), admin(404)),
        ("createServiceKey", json!({}), admin(404)),
        ("deleteServiceKey", none.clone(), admin(404)),
        ("rotateSigningKeys", none.clone(), admin(204)),
        // People.
        ("listUsers", none.clone(), staff(200)),
        (
            "createUser",
            json!({"email": "new@example.com"}),
            admin(201),
        ),
        ("readUser", none.clone(), staff(200)),
        ("changeUser", json!({"name": "Ann"}), admin(200)),
        ("deleteUser", none.clone(), admin(204)),
        ("banUser", why(), admin(200)),
        ("unbanUser", why(), admin(409)),
        ("freezeUser", why(), staff(200)),
        ("unfreezeUser", why(), staff(409)),
        ("verifyUser", why(), admin(200)),
        ("resetUserMfa", why(), admin(200)),
        ("revokeUserSessions", why(), staff(200)),
    ]
}

struct Operation {
    id: String,
    method: String,
    path: String,
}

/// Every operation of the document.
fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(Users::openapi()).expect("a document");
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("an item").clone();
        let path = path.clone();
        item.into_iter().filter_map(move |(method, operation)| {
            Some(Operation {
                id: operation["operationId"].as_str()?.to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
            })
        })
    };
    paths.iter().flat_map(methods).collect()
}

/// An account without a password, written down as it is: there are hundreds in these tests.
async fn account(stage: &Stage, roles: &[&str]) -> Person {
    let id = Uuid::now_v7();
    let sql = "with begun as (
            insert into users.account (id, email, created_at)
            values ($1, $2, to_timestamp(1800000000)) returning id
        )
        insert into users.account_role (account_id, role, granted_at)
        select id, role, now() from begun, unnest($3) as given (role)";
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    sqlx::query(sql)
        .bind(id)
        .bind(format!("{}@example.com", id.simple()))
        .bind(&roles)
        .execute(stage.pool())
        .await
        .expect("an account");
    let who = Principal {
        roles,
        ..stage.user_in(id, Uuid::now_v7())
    };
    Person { id, who }
}

/// One of [`CALLERS`].
async fn caller(stage: &Stage, name: &str) -> Option<Principal> {
    let plain = |id: Uuid| Principal {
        sub: id.to_string(),
        ..Principal::default()
    };
    Some(match name {
        "nobody" => return None,
        "key" => Principal {
            scopes: vec!["profile:read".to_owned()],
            ..plain(account(stage, &["admin"]).await.id)
        },
        "service" => Principal {
            roles: vec!["service".to_owned()],
            ..plain(account(stage, &["user"]).await.id)
        },
        role => account(stage, &[role]).await.who,
    })
}

/// Asks for an operation; gives the status.
async fn ask(
    stage: &Stage,
    who: Option<&Principal>,
    operation: &Operation,
    path: &str,
    body: &Value,
) -> u16 {
    let seen = Some(("if-match", "*"));
    let key = Uuid::now_v7().to_string();
    stage
        .call_as_anybody(who, &operation.method, path, seen, &key, body)
        .await
        .status
}

async fn stage_with_rules() -> Stage {
    let stage = Stage::start().await;
    stage
        .execute("insert into users.role (name, description) values ('service', 'A program')")
        .await;
    stage
        .execute("insert into users.role_permission (role, permission) values ('service', 'authz.check')")
        .await;
    stage
        .execute("insert into users.acl (api, document, changed_at) values ('wallets', '{\"rules\": []}', now())")
        .await;
    stage.rights_changed().await;
    stage
}

#[tokio::test]
async fn every_operation_has_a_rule_and_keeps_it() {
    let stage = stage_with_rules().await;
    let mut table: BTreeMap<&str, (Value, Statuses)> = table()
        .into_iter()
        .map(|(operation, body, statuses)| (operation, (body, statuses)))
        .collect();
    let mut wrong = Vec::new();
    for operation in operations() {
        let Some((body, statuses)) = table.remove(&*operation.id) else {
            wrong.push(format!("{} has no row in the table", operation.id));
            continue;
        };
        let mut got = Statuses::default();
        for (name, status) in CALLERS.into_iter().zip(&mut got) {
            let who = caller(&stage, name).await;
            let other = account(&stage, &["user"]).await;
            let path = operation
                .path
                .replace("{id}", &other.id.to_string())
                .replace("{key_id}", &other.id.to_string())
                .replace("{name}", "user")
                .replace("{provider}", "google")
                .replace("{api}", "wallets");
            *status = ask(&stage, who.as_ref(), &operation, &path, &body).await;
        }
        if got != statuses {
            wrong.push(format!(
                "{}: {got:?} in place of {statuses:?}",
                operation.id
            ));
        }
    }
    wrong.extend(table.keys().map(|row| format!("{row} is no operation")));
    assert!(wrong.is_empty(), "{CALLERS:?}\n{}", wrong.join("\n"));
}

/// Every id that is somebody's: of the account, its sessions, keys, factors, and of whatever table is
/// added that has an id and an owner.
async fn belongings(stage: &Stage, of: Uuid) -> Vec<Uuid> {
    let tables = "select table_name::text from information_schema.columns
        where table_schema = 'users' and column_name in ('id', 'account_id') and data_type = 'uuid'
        group by table_name having count(*) = 2";
    let mut ids = vec![of];
    for table in stage.column::<String>(tables).await {
        let sql = format!("select id from users.{table} where account_id = $1");
        let rows = sqlx::query_scalar::<_, Uuid>(sqlx::AssertSqlSafe(sql)).bind(of);
        ids.extend(rows.fetch_all(stage.pool()).await.expect("ids"));
    }
    ids
}

#[tokio::test]
async fn nobody_gets_at_what_is_anothers() {
    let stage = stage_with_rules().await;
    let ann = stage.person("ann", &["user"]).await;
    let login = stage.login("ann@example.com", PASSWORD).await;
    assert_eq!(login.status, 200);
    let key = json!({"name": "k", "scopes": ["profile:read"]});
    let made = stage
        .call_as(&ann.who, "POST", "/v1/me/api-keys", Some("one"), key)
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let factor = stage
        .ask(&ann, "POST", "/v1/me/mfa/totp", json!({"name": "phone"}))
        .await;
    assert_eq!(factor.status, 201, "{factor:?}");
    for sql in [
        "insert into users.passkey (id, account_id, name, credential_id, public_key, sign_count,
            backup_eligible, backed_up, aaguid, transports, created_at)
        values (gen_random_uuid(), $1, 'p', 'p', 'p', 0, false, false, gen_random_uuid(), '{}', now())",
        "insert into users.identity (id, account_id, provider, issuer, subject, linked_at)
        values (gen_random_uuid(), $1, 'google', 'https://accounts.google.com', 's', now())",
        "insert into users.export (id, account_id, asked_at, expires_at, document)
        values (gen_random_uuid(), $1, now(), now() + interval '1 day', 'd')",
    ] {
        let made = sqlx::query(sql).bind(ann.id).execute(stage.pool()).await;
        made.expect(sql);
    }
    let ids = belongings(&stage, ann.id).await;
    assert!(
        ids.len() >= 7,
        "an account, a session, a key, a factor, a passkey, an identity, a copy at least: {ids:?}"
    );
    let before = stage.everything_but_the_outbox().await;

    let bodies: BTreeMap<&str, Value> = table()
        .into_iter()
        .map(|(operation, body, _)| (operation, body))
        .collect();
    let mut tried = 0;
    for operation in operations() {
        if !operation.path.contains("{id}") {
            continue;
        }
        let body = bodies.get(&*operation.id).cloned().unwrap_or_default();
        for id in &ids {
            let eve = account(&stage, &["user"]).await;
            let path = operation
                .path
                .replace("{id}", &id.to_string())
                .replace("{key_id}", &id.to_string());
            let status = ask(&stage, Some(&eve.who), &operation, &path, &body).await;
            assert!(
                matches!(status, 403 | 404),
                "{} {path}: {status}",
                operation.method
            );
            tried += 1;
        }
    }
    assert!(tried >= 4 * ids.len(), "there are paths to try");
    let after = stage.everything_but_the_outbox().await;
    let of_ann = |rows: &str| {
        let id = ann.id.to_string();
        let rows = rows.lines().filter(|row| row.contains(&id));
        let mut rows: Vec<String> = rows.map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(
        of_ann(&after),
        of_ann(&before),
        "and nothing of hers has changed"
    );
}
