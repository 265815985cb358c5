//! The app at work, with words for what people do to it.

use std::time::Duration;

use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use host::{
    Clock, Key,
    testing::{Call, Running},
};
use identity::Principal;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Postgres, postgres::PgRow};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use users::{Config, RotateEvery, Users};
use uuid::Uuid;

/// A password that nothing is wrong with.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct Stage(Running<Users>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Null when there was none.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}"));
        value.to_str().expect("a text")
    }

    /// The `code` of a problem.
    pub(crate) fn code(&self) -> &str {
        self.text("code")
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        let text = self.body[field].as_str();
        text.unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }

    /// What the access token says, unchecked.
    pub(crate) fn claims(&self) -> Value {
        let claims = self.text("access_token").split('.').nth(1).expect("a JWT");
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        serde_json::from_slice(&claims).expect("JSON")
    }
}

impl Stage {
    /// With a clock that stands until it is moved.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With a Redis, and a clock that stands.
    pub(crate) async fn start_with_redis(url: &str) -> Self {
        let begun = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        Self(Running::start_with(config(), Clock::stopped(begun), Some(url)).await)
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let begun = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        Self(Running::start_at(config, Clock::stopped(begun)).await)
    }

    /// Another replica, on the same database and by the same clock.
    pub(crate) async fn beside(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self(self.0.start_beside(config).await)
    }

    /// With the time of day.
    pub(crate) async fn start_by_the_clock() -> Self {
        Self::start_by_the_clock_with(|_| {}).await
    }

    pub(crate) async fn start_by_the_clock_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self(Running::start(config).await)
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.0.pool()
    }

    pub(crate) fn advance_secs(&self, seconds: u64) {
        self.0.clock().advance(Duration::from_secs(seconds));
    }

    pub(crate) fn advance_days(&self, days: u64) {
        self.advance_secs(days * 24 * 60 * 60);
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.0.clock().now()
    }

    pub(crate) fn now_text(&self) -> String {
        self.now().format(&Rfc3339).expect("a time of day")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.0.get(path)).await
    }

    pub(crate) async fn get_if_none_match(&self, path: &str, etag: &str) -> Answer {
        send(self.0.get(path).header("if-none-match", etag)).await
    }

    pub(crate) async fn get_as(&self, who: &Principal, path: &str) -> Answer {
        send(
            self.0
                .get(path)
                .header(identity::HEADER, &self.0.seal(Some(who.clone()))),
        )
        .await
    }

    /// Asks for revocations as a gateway does.
    pub(crate) async fn ask_as_gateway(&self, query: &str) -> Answer {
        let path = format!("/internal/v1/revocations{query}");
        self.get_by_gateway(&path).await
    }

    /// Asks for something as a gateway does.
    pub(crate) async fn get_by_gateway(&self, path: &str) -> Answer {
        send(self.0.call_by_gateway("revocation", "GET", path)).await
    }

    /// A page of revocations.
    pub(crate) async fn feed(&self, query: &str) -> Value {
        let answer = self.ask_as_gateway(query).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(crate) async fn get_private(&self, path: &str) -> Answer {
        send(self.0.private(path)).await
    }

    pub(crate) async fn metrics(&self) -> String {
        let answer = self.0.private("/metrics").send().await;
        String::from_utf8(answer.body.to_vec()).expect("a text")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.0.post(path).json(&body)).await
    }

    /// A form, as OAuth has them, and an `Authorization` where there is one.
    pub(crate) async fn form(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut call = self
            .0
            .post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish());
        if let Some(authorization) = authorization {
            call = call.header("authorization", authorization);
        }
        send(call).await
    }

    /// Somebody who has a role, in a session, and has proven it this very moment.
    pub(crate) async fn officer(&self, email: &str, role: &str) -> Principal {
        let id = self.member(email).await;
        let sql =
            "insert into users.account_role (account_id, role, granted_at) values ($1, $2, $3)";
        let granted = sqlx::query(sql).bind(id).bind(role).bind(self.now());
        granted.execute(self.pool()).await.expect(sql);
        Principal {
            roles: vec![role.to_owned(), "user".to_owned()],
            ..self.user_in(id, Uuid::now_v7())
        }
    }

    pub(crate) async fn post_as(&self, who: &Principal, path: &str) -> Answer {
        send(
            self.0
                .post(path)
                .header(identity::HEADER, &self.0.seal(Some(who.clone()))),
        )
        .await
    }

    /// A request with JSON, and an `Idempotency-Key` where there is one.
    pub(crate) async fn call_as(
        &self,
        who: &Principal,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Value,
    ) -> Answer {
        let call = self.0.call(method, path);
        let mut call = call.header(identity::HEADER, &self.0.seal(Some(who.clone())));
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        if !body.is_null() {
            call = call.json(&body);
        }
        send(call).await
    }

    /// Where it answers.
    pub(crate) fn base_url(&self) -> String {
        self.0.base_url()
    }

    /// What the gateway would say of a caller.
    pub(crate) fn seal(&self, caller: Option<Principal>) -> String {
        self.0.seal(caller)
    }

    /// A post with headers, by somebody or by nobody.
    pub(crate) async fn post_from(
        &self,
        who: Option<&Principal>,
        headers: &[(&'static str, &str)],
        path: &str,
        body: Value,
    ) -> Answer {
        let seal = self.0.seal(who.cloned());
        let mut call = self.0.call("POST", path).header(identity::HEADER, &seal);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        send(call.json(&body)).await
    }

    /// A form, as the pages behind links send it, and the text that comes back.
    pub(crate) async fn post_form(&self, path: &str, form: &str) -> (u16, HeaderMap, String) {
        let call = self.0.call("POST", path);
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let answer = call.body(form.as_bytes().to_vec()).send().await;
        let text = String::from_utf8(answer.body.to_vec()).expect("a text");
        (answer.status.as_u16(), answer.headers, text)
    }

    /// A page, as text.
    pub(crate) async fn page(&self, path: &str) -> (u16, HeaderMap, String) {
        let answer = self.0.get(path).send().await;
        let text = String::from_utf8(answer.body.to_vec()).expect("a text");
        (answer.status.as_u16(), answer.headers, text)
    }

    /// Somebody by what their access token says, as the gateway would.
    pub(crate) fn principal(&self, signed_in: &Answer) -> Principal {
        let claims = signed_in.claims();
        let text = |claim: &str| claims[claim].as_str().map(str::to_owned);
        let roles = claims["roles"].as_array().expect("roles").iter();
        Principal {
            sub: text("sub").expect("a subject"),
            roles: roles
                .filter_map(|role| role.as_str().map(str::to_owned))
                .collect(),
            sid: text("sid"),
            acr: text("acr"),
            auth_time: claims["auth_time"].as_i64(),
            ..Principal::default()
        }
    }

    /// The links that were to be mailed to an address, oldest first.
    pub(crate) async fn links(&self, email: &str) -> Vec<String> {
        let issued = self.0.published::<events::CodeIssued>().await;
        let theirs = issued.into_iter().filter(|code| code.to == email);
        theirs.filter_map(|code| code.link).collect()
    }

    /// The notices that were to reach a contact, oldest first.
    pub(crate) async fn notices(&self, to: &str) -> Vec<events::SecurityNotice> {
        let told = self.0.published::<events::SecurityNotice>().await;
        told.into_iter().filter(|notice| notice.to == to).collect()
    }

    /// Registers by phone, and gives the account.
    pub(crate) async fn member_by_phone(&self, phone: &str) -> Uuid {
        let answer = self
            .post("/v1/auth/register", json!({"phone": phone}))
            .await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let flow_id = answer.text("flow_id").parse().expect("an id");
        let answer = self.verify(flow_id, &self.code(phone).await).await;
        answer.text("user_id").parse().expect("an id")
    }

    /// Enrols an authenticator app; gives its secret in Base32.
    pub(crate) async fn enrol_totp(&self, who: &Principal) -> String {
        let wish = json!({"name": "my phone"});
        let begun = self
            .call_as(who, "POST", "/v1/me/mfa/totp", None, wish)
            .await;
        assert_eq!(begun.status, 201, "{begun:?}");
        let secret = begun.text("secret").to_owned();
        let first = json!({"id": begun.body["id"], "code": self.totp(&secret)});
        let confirmed = self
            .call_as(who, "POST", "/v1/me/mfa/totp/confirm", None, first)
            .await;
        assert_eq!(confirmed.status, 204, "{confirmed:?}");
        secret
    }

    /// What an authenticator app shows at this moment: that of `oathtool`.
    pub(crate) fn totp(&self, secret: &str) -> String {
        let at = format!("@{}", self.0.clock().now().unix_timestamp());
        let shown = std::process::Command::new("oathtool")
            .args(["--totp", "-b", secret, "--now", &at])
            .output()
            .expect("oathtool runs (Debian's package of that name)");
        assert!(shown.status.success(), "{shown:?}");
        String::from_utf8(shown.stdout)
            .expect("digits")
            .trim()
            .to_owned()
    }

    /// A request with JSON, and a header that says what its author has seen.
    pub(crate) async fn call_seen(
        &self,
        who: &Principal,
        method: &str,
        path: &str,
        seen: Option<(&'static str, &str)>,
        body: Value,
    ) -> Answer {
        let call = self.0.call(method, path);
        let mut call = call.header(identity::HEADER, &self.0.seal(Some(who.clone())));
        if let Some((name, value)) = seen {
            call = call.header(name, value);
        }
        if !body.is_null() {
            call = call.json(&body);
        }
        send(call).await
    }

    /// A request by somebody or nobody, with every header that an operation may ask for.
    pub(crate) async fn call_as_anybody(
        &self,
        who: Option<&Principal>,
        method: &str,
        path: &str,
        seen: Option<(&'static str, &str)>,
        key: &str,
        body: &Value,
    ) -> Answer {
        let call = self.0.call(method, path).header("idempotency-key", key);
        let mut call = call.header(identity::HEADER, &self.0.seal(who.cloned()));
        if let Some((name, value)) = seen {
            call = call.header(name, value);
        }
        if !body.is_null() {
            call = call.json(body);
        }
        send(call).await
    }

    /// A request with headers of the test's choice, and a body where there is one.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        let mut call = self.0.call(method, path);
        for (name, value) in headers {
            call = call.also(name, value);
        }
        send(call.body(body.to_owned())).await
    }

    /// A question of the gateway's own.
    pub(crate) async fn ask_by_gateway(&self, path: &str, body: Value) -> Answer {
        send(self.0.call_by_gateway("key", "POST", path).json(&body)).await
    }

    /// Somebody with an access token that names no session.
    pub(crate) fn user(&self, id: Uuid) -> Principal {
        Running::<Users>::user(id, &["user"])
    }

    pub(crate) fn admin(&self, id: Uuid) -> Principal {
        Running::<Users>::user(id, &["admin"])
    }

    /// Somebody in a session, who has given one proof this very moment.
    pub(crate) fn user_in(&self, id: Uuid, session: Uuid) -> Principal {
        Principal {
            sid: Some(session.to_string()),
            acr: Some("sfa".to_owned()),
            auth_time: Some(self.0.clock().now().unix_timestamp()),
            ..self.user(id)
        }
    }

    /// The same person, who has proven themselves again this very moment.
    pub(crate) fn fresh(&self, who: &Principal) -> Principal {
        Principal {
            auth_time: Some(self.0.clock().now().unix_timestamp()),
            ..who.clone()
        }
    }

    /// Registers, and gives the flow.
    pub(crate) async fn register(&self, email: &str, password: &str) -> Uuid {
        let wish = json!({"email": email, "password": password});
        let answer = self.post("/v1/auth/register", wish).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.text("flow_id").parse().expect("an id")
    }

    pub(crate) async fn verify(&self, flow_id: Uuid, code: &str) -> Answer {
        self.post("/v1/auth/verify", json!({"flow_id": flow_id, "code": code}))
            .await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        self.post(
            "/v1/auth/login",
            json!({"email": email, "password": password}),
        )
        .await
    }

    /// An account that has proven its address.
    pub(crate) async fn member(&self, email: &str) -> Uuid {
        self.member_with(email, PASSWORD).await
    }

    pub(crate) async fn member_with(&self, email: &str, password: &str) -> Uuid {
        let flow_id = self.register(email, password).await;
        let answer = self.verify(flow_id, &self.code(email).await).await;
        answer.text("user_id").parse().expect("an id")
    }

    /// The codes that were to be mailed to an address, oldest first.
    pub(crate) async fn codes(&self, email: &str) -> Vec<String> {
        let issued = self.0.published::<events::CodeIssued>().await;
        issued
            .into_iter()
            .filter(|code| code.to == email)
            .map(|code| code.code)
            .collect()
    }

    /// The last of them.
    pub(crate) async fn code(&self, email: &str) -> String {
        self.codes(email).await.pop().expect("a code")
    }

    /// Topics and payloads of what was published, oldest first.
    pub(crate) async fn events(&self) -> Vec<(String, Value)> {
        let sql = "select topic, payload from users.outbox order by seq";
        sqlx::query_as(sql)
            .fetch_all(self.pool())
            .await
            .expect("events")
    }

    /// Begins [`Stage::events`] anew.
    pub(crate) async fn forget_events(&self) {
        self.execute("delete from users.outbox").await;
    }

    /// What the record says of an account, oldest first.
    pub(crate) async fn acts_of(&self, account: Uuid) -> Vec<String> {
        let sql = "select act from users.audit where account_id = $1 order by seq";
        sqlx::query_scalar(sql)
            .bind(account)
            .fetch_all(self.pool())
            .await
            .expect("acts")
    }

    /// The first column of a query.
    pub(crate) async fn column<T>(&self, sql: &'static str) -> Vec<T>
    where
        (T,): for<'r> sqlx::FromRow<'r, PgRow>,
        T: Send + Unpin + sqlx::Type<Postgres> + for<'r> sqlx::Decode<'r, Postgres>,
    {
        sqlx::query_scalar(sql)
            .fetch_all(self.pool())
            .await
            .expect(sql)
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        self.try_execute(sql).await.expect(sql);
    }

    /// Executes, or gives the database's words.
    pub(crate) async fn try_execute(&self, sql: &'static str) -> Result<(), String> {
        let done = sqlx::query(sql).execute(self.pool()).await;
        done.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Every row of the schema as text, but for the outbox: a code waits there for its mail.
    pub(crate) async fn everything_but_the_outbox(&self) -> String {
        let tables = self
            .column::<String>(
                "select tablename::text from pg_tables
                where schemaname = 'users' and tablename <> 'outbox'",
            )
            .await;
        let mut rows = Vec::new();
        for table in tables {
            let sql = format!("select row::text from users.{table} row");
            let sql = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql));
            rows.extend(sql.fetch_all(self.pool()).await.expect("rows"));
        }
        rows.join("\n")
    }
}

async fn send(call: Call) -> Answer {
    let answer = call.send().await;
    let body = if answer.body.is_empty() {
        Value::Null
    } else {
        answer.json()
    };
    Answer {
        status: answer.status.as_u16(),
        headers: answer.headers,
        body,
    }
}

fn config() -> Config {
    Config {
        issuer: "https://localhost:8443".to_owned(),
        audience: "api".to_owned(),
        rotate_keys_every: RotateEvery::default(),
        refresh_key: Key::new([3; 32]),
        product: "Vorota".to_owned(),
        base_url: "https://localhost:8443".to_owned(),
        origins: Vec::new(),
        password_page: None,
        passkey_page: None,
        hash_slots: None,
        hash_queue: 64,
        breached_passwords: None,
        social: users::Social::default(),
    }
}
