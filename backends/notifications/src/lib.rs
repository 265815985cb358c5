//! Messages to people.
//!
//! The stories, in the order a message meets them: [`inform`] hears of an event and notes what is to
//! be said, [`budget`] holds texts to what they may cost, [`outgoing`] says it, [`list`] shows how it
//! went, [`sweep`] forgets in time, and [`forget`] at once. Beneath them: [`letter`] is what is said in which words, [`post`] is the
//! way to the mail server, [`sms`] the way to people's phones.

mod budget;
mod channel;
mod forget;
mod inform;
mod letter;
mod list;
mod number;
mod outgoing;
mod post;
mod refusal;
mod sms;
mod sweep;

use std::sync::Arc;

use anyhow::Context;
use host::{Host, Parts, Secret};
use serde::Deserialize;
use sqlx::{PgPool, migrate::Migrator};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::page::Cursors;

use budget::Till;
use letter::Words;
use outgoing::{Sender, Ways};
use post::Post;
use sms::Texts;

pub use budget::Budget;
pub use sms::{SmsConfig, SmsProvider, SmsRuConfig, TwilioConfig};

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
    /// Text messages: who takes them, and how many may leave.
    #[serde(default)]
    pub sms: SmsConfig,
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
        let (pool, clock, registry) = (host.pool().clone(), host.clock(), host.registry());
        let post = Post::new(&config)?;
        let words = Words::new(&config.base_url, post.name()).context("reading `base_url`")?;
        let SmsConfig { providers, budget } = config.sms;
        let texts = Texts::new(providers, &config.from, clock.clone(), registry)?;
        let till = Till::new(budget, registry)?;
        let ways = Ways { post, texts, words };
        let sender = Sender::new(pool.clone(), clock.clone(), ways, registry)?;
        let app = Arc::new(App {
            pool: pool.clone(),
            cursors: Cursors::new(host.cursor_key()),
        });
        let mut consumers = inform::consumers(&pool, &clock, &till);
        consumers.push(forget::consumer(&pool));
        Ok(Parts {
            routes: web::guarded(Self::NAME, routes().with_state(app), host),
            consumers,
            jobs: vec![outgoing::job(sender), sweep::job(pool, clock)],
            ..Parts::default()
        })
    }
}

/// Every path and who answers it.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list::list_notifications))
}
