//! People who work here, and what they do.

use identity::Principal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Answer, Stage};

/// Somebody, as the gateway knows them when they come in.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) who: Principal,
}

impl Stage {
    /// A member who holds these roles, in a session that they have begun a moment ago.
    pub(crate) async fn person(&self, name: &str, roles: &[&str]) -> Person {
        let id = self.member(&format!("{name}@example.com")).await;
        let sql = "with gone as (delete from users.account_role where account_id = $1 and role <> all($2))
            insert into users.account_role (account_id, role, granted_at)
            select $1, role, now() from unnest($2) as given (role)
            on conflict do nothing";
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        sqlx::query(sql)
            .bind(id)
            .bind(&roles)
            .execute(self.pool())
            .await
            .expect("roles");
        let who = Principal {
            roles,
            ..self.user_in(id, Uuid::now_v7())
        };
        Person { id, who }
    }

    pub(crate) async fn an_admin(&self) -> Person {
        self.person("admin", &["admin"]).await
    }

    /// Somebody who may everything, and is no admin all the same.
    pub(crate) async fn chief(&self) -> Person {
        self.execute(
            "insert into users.role (name, description) values ('chief', 'May everything')",
        )
        .await;
        self.execute(
            "insert into users.role_permission (role, permission)
            select 'chief', name from users.permission",
        )
        .await;
        self.rights_changed().await;
        self.person("chief", &["chief", "user"]).await
    }

    /// Tells the app of a change that was made behind its back, and waits until it knows.
    pub(crate) async fn rights_changed(&self) {
        let versions = self
            .column::<i64>("update users.authz_head set version = version + 1 returning version")
            .await;
        let before = versions[0] - 1;
        for _ in 0..5 {
            let path = format!("/internal/v1/authz?after={before}&wait=4");
            if self.get_by_gateway(&path).await.status == 200 {
                return;
            }
        }
        panic!("the app did not hear of a change");
    }

    /// A request about a thing, by somebody who has seen this version of it.
    pub(crate) async fn change(
        &self,
        by: &Person,
        (method, path): (&str, &str),
        etag: &str,
        body: Value,
    ) -> Answer {
        self.call_seen(&by.who, method, path, Some(("if-match", etag)), body)
            .await
    }

    /// A request with JSON.
    pub(crate) async fn ask(&self, by: &Person, method: &str, path: &str, body: Value) -> Answer {
        self.call_as(&by.who, method, path, None, body).await
    }

    /// `GET`, and the ETag of what came.
    pub(crate) async fn seen(&self, by: &Person, path: &str) -> (Answer, String) {
        let answer = self.get_as(&by.who, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let etag = answer.header("etag").to_owned();
        (answer, etag)
    }

    /// Gives somebody these roles, by what is there now.
    pub(crate) async fn give(&self, by: &Person, to: Uuid, roles: &[&str]) -> Answer {
        let path = format!("/v1/users/{to}/roles");
        let (_, etag) = self.seen(by, &path).await;
        self.change(by, ("PUT", &path), &etag, json!({"roles": roles}))
            .await
    }

    /// Makes a role.
    pub(crate) async fn role(&self, by: &Person, name: &str, permissions: &[&str]) -> Answer {
        let wish = json!({"name": name, "description": "For a test", "permissions": permissions});
        self.ask(by, "POST", "/v1/roles", wish).await
    }

    /// Does something to an account, for a reason.
    pub(crate) async fn moderate(&self, by: &Person, to: Uuid, verb: &str) -> Answer {
        let path = format!("/v1/users/{to}/{verb}");
        self.ask(by, "POST", &path, json!({"reason": "a test"}))
            .await
    }
}
