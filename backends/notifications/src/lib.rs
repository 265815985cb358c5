//! Messages to people.
//!
//! The stories, in the order a message meets them: [`inform`] hears of an event and notes what is to
//! be said, [`outgoing`] says it, [`list`] shows how it went, [`sweep`] forgets. Beneath them:
//! [`letter`] is what is said in which words, [`post`] is the way to the mail server.

mod inform;
mod letter;
mod list;
mod outgoing;
mod post;
mod sweep;

use std::sync::Arc;

use anyhow::Context;
use host::{Host, Parts, Secret};
use serde::Deserialize;
use sqlx::{PgPool, migrate::Migrator};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::page::Cursors;

use letter::Words;
use outgoing::Sender;
use post::Post;

/// The app's schema in its database.
const SCHEMA: &str = "notifications";

static MIGRATIONS: &[&Migrator] = &[&sqlx::migrate!()];

/// The app `notifications`.
pub struct Notifications;

/// `apps.notifications.settings` of backend.yaml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The mail server: `smtps://host` speaks TLS from the first byte (port 465), `smtp://host` by
    /// STARTTLS (port 587), which is required: only to a loopback address mail goes in clear.
    pub smtp: String,
    /// The name to sign in to the mail server with; goes with `smtp_password`.
    #[serde(default)]
    pub smtp_user: Option<String>,
    /// The password that goes with `smtp_user`.
    #[serde(default)]
    pub smtp_password: Option<Secret>,
    /// Who the mail is from: `Name <address>`.
    pub from: String,
    /// Where links in mails lead, and the only place they lead to. HTTPS.
    pub base_url: String,
}

/// What the stories share.
struct App {
    pool: PgPool,
    cursors: Cursors,
}

impl host::App for Notifications {
    const NAME: &'static str = SCHEMA;

    type Config = Config;

    fn migrations() -> &'static [&'static Migrator] {
        MIGRATIONS
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        web::document(Self::NAME, routes())
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Parts> {
        let pool = host.pool().clone();
        let words = Words::new(&config.base_url).context("reading `base_url`")?;
        let post = Post::new(&config)?;
        let sender = Sender::new(pool.clone(), host.clock(), post, words, host.registry())?;
        let app = Arc::new(App {
            pool: pool.clone(),
            cursors: Cursors::new(host.cursor_key()),
        });
        Ok(Parts {
            routes: web::guarded(Self::NAME, routes().with_state(app), host),
            consumers: inform::consumers(&pool, &host.clock()),
            jobs: vec![outgoing::job(sender), sweep::job(pool, host.clock())],
            ..Parts::default()
        })
    }
}

/// Every path and who answers it.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list::list_notifications))
}
