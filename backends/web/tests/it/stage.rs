//! A small app with one handler for each thing to look at.

use axum::Json;
use axum::extract::{Path, State};
use host::testing::Running;
use host::{App, Host, Parts};
use http::Method;
use http::request::Parts as Head;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::page::{Cursors, Page, Wish};
use web::{Caller, Gateway, IdempotencyKey, Input, Problem};

pub(crate) struct Hall;

pub(crate) async fn hall() -> Running<Hall> {
    Running::start(Settings {}).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {}

impl App for Hall {
    const NAME: &'static str = "hall";
    type Config = Settings;

    fn migrations() -> &'static [&'static Migrator] {
        &[]
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        web::document(Self::NAME, api())
    }

    async fn build(_: Settings, host: &Host) -> anyhow::Result<Parts> {
        let doors = Doors {
            pool: host.pool().clone(),
            cursors: Cursors::new(host.cursor_key()),
        };
        Ok(Parts {
            routes: web::guarded(Self::NAME, api().with_state(doors), host),
            ..Parts::default()
        })
    }
}

#[derive(Clone)]
struct Doors {
    pool: PgPool,
    cursors: Cursors,
}

fn api() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(public))
        .routes(routes!(me))
        .routes(routes!(place))
        .routes(routes!(machine))
        .routes(routes!(greet))
        .routes(routes!(pay))
        .routes(routes!(numbers))
        .routes(routes!(double))
        .routes(routes!(panic))
        .routes(routes!(query))
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Greeting {
    to: Person,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    age: u8,
}

#[utoipa::path(get, path = "/public", responses((status = 200)))]
async fn public() -> String {
    web::request_id().unwrap_or_default()
}

#[utoipa::path(get, path = "/me", responses((status = 200)))]
async fn me(caller: Caller) -> String {
    format!("{} {}", caller.user_id, caller.has_role("user"))
}

#[utoipa::path(get, path = "/place", responses((status = 200)))]
async fn place(head: Head) -> String {
    let client = web::client_address(&head);
    client.map_or("nowhere".to_owned(), |client| client.to_string())
}

#[utoipa::path(get, path = "/machine", responses((status = 200)))]
async fn machine(gateway: Gateway) -> String {
    gateway.part
}

#[utoipa::path(post, path = "/greet", responses((status = 200)))]
async fn greet(Input(greeting): Input<Greeting>) -> String {
    format!("{} {}", greeting.to.name, greeting.to.age)
}

#[utoipa::path(post, path = "/pay", responses((status = 200)))]
async fn pay(key: IdempotencyKey, Input(greeting): Input<Greeting>) -> Vec<u8> {
    key.fingerprint(&Method::POST, "/pay", &greeting).to_vec()
}

#[utoipa::path(get, path = "/numbers", params(Wish), responses((status = 200, body = Page<u32>)))]
async fn numbers(State(doors): State<Doors>, wish: Wish) -> Result<Json<Page<u32>>, Problem> {
    let after = wish
        .cursor
        .map_or(Ok(0), |cursor| doors.cursors.open(&cursor, "numbers"))?;
    let rows = (after + 1..=5).take(wish.limit as usize + 1).collect();
    Ok(Json(Page::cut(rows, wish.limit, |last| {
        doors.cursors.seal(last, "numbers")
    })))
}

#[utoipa::path(get, path = "/double/{number}", params(("number" = u32, Path)), responses((status = 200)))]
async fn double(Path(number): Path<u32>) -> String {
    (number * 2).to_string()
}

#[utoipa::path(get, path = "/panic", responses((status = 200)))]
async fn panic() -> String {
    panic!("the password is hush")
}

#[utoipa::path(post, path = "/query", responses((status = 200)))]
async fn query(State(doors): State<Doors>, sql: String) -> Result<String, Problem> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&doors.pool)
        .await?;
    Ok("done".to_owned())
}
