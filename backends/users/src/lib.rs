//! Registration, sign-in, tokens.
//!
//! The stories, in the order a person meets them: [`register`] → [`verify`] → [`login`], [`otp`]
//! or [`social`] → [`mfa`] → [`session`] → [`me`] → [`step_up`] → [`second_factor`], [`passkey`],
//! [`password_change`], [`contact_change`], [`api_key`]; [`password_reset`] when something is
//! forgotten, and [`revocation`] when what they hold is taken back. [`well_known`] tells browsers where
//! the pages are. Programs are [`service_account`]s, and speak [`oauth`].
//!
//! Beneath them: [`contact`], [`email`], [`password`], [`code`] and [`key`] are what comes in and what
//! it is worth; [`challenge`] proves a contact, [`link_page`] is where the link of a mail leads,
//! [`factor`] says how much is proven, [`client`] and [`device`] from where; [`budget`], [`throttle`]
//! and [`pace`] bound all of it. [`token`], [`signing_key`] and [`jwks`] are what others believe;
//! [`account`] who there is; [`rights`], [`role`] and [`acl`] who may what, and [`people`] what is done
//! by those who run the place; [`audit`] what happened, and [`notice`] whom it is told. [`push`] tells
//! gateways at once. [`demo`] and [`sweep`] keep house.

mod account;
mod acl;
mod api_key;
mod audit;
mod budget;
mod challenge;
mod client;
mod code;
mod contact;
mod contact_change;
mod demo;
mod device;
mod email;
mod erasure;
mod export;
mod factor;
mod jwks;
mod key;
mod link_page;
mod login;
mod me;
mod mfa;
mod notice;
mod oauth;
mod otp;
mod pace;
mod passkey;
mod password;
mod password_change;
mod password_reset;
mod people;
mod push;
mod refusal;
mod register;
mod revocation;
mod rights;
mod role;
mod second_factor;
mod service_account;
mod session;
mod signing_key;
mod social;
mod step_up;
mod sweep;
mod throttle;
mod token;
mod verify;
mod well_known;

use std::{num::NonZero, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing,
};
use host::{Clock, DemoPerson, Host, Job, Parts};
use serde::Deserialize;
use sqlx::{PgPool, migrate::Migrator};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use signing_key::RotateEvery;
pub use social::settings::{Apple, Google, Social, Vk};

/// The app's schema in its database.
const SCHEMA: &str = "users";

static MIGRATIONS: &[&Migrator] = &[&sqlx::migrate!()];

/// The app `users`.
pub struct Users;

/// `apps.users.settings` of backend.yaml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who issues the tokens: the `iss` claim, as the gateway expects it.
    pub issuer: String,
    /// Whom they are for: the `aud` claim, as the gateway expects it.
    pub audience: String,
    /// How often the key that signs tokens changes, from the next change on: `2d` to `400d`.
    /// Default: `30d`. Keys are made and changed by the system itself; for one that may be in other
    /// hands there is `POST /v1/signing-keys/rotate`.
    #[serde(default)]
    pub rotate_keys_every: RotateEvery,
    /// The one secret. Makes the successors of refresh tokens, seals codes and the keys that sign
    /// tokens: with another one those keys can't be opened, and nobody signs in. A new one voids the
    /// codes that are on their way, and signs nobody out but those whose refresh was lost in that
    /// moment; API keys stay good, but an answer that was lost is not given again.
    pub refresh_key: host::Key,
    /// What authenticator apps and passkeys call this place.
    #[serde(default = "default_product")]
    pub product: String,
    /// Where people find the product: `https://` and a host, with a port if it is another than 443.
    /// Other providers send browsers back there. Passkeys are bound to the host for ever: they are lost
    /// where it changes.
    pub base_url: String,
    /// Others that may ask for passkeys beside the pages of `base_url`: origins of subdomains, and
    /// Android apps as `android:apk-key-hash:…`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The page where a password is changed, to be shown by browsers: a path below `base_url`, or an
    /// address.
    #[serde(default)]
    pub password_page: Option<String>,
    /// The page where passkeys are made and looked after, likewise.
    #[serde(default)]
    pub passkey_page: Option<String>,
    /// Passwords hashed at a time, each in 19 MiB. Unless said, one less than there are processors, and
    /// at least one: while sign-ins flood in, the other processor is for everybody else.
    #[serde(default)]
    pub hash_slots: Option<NonZero<u16>>,
    /// Passwords that may wait to be hashed. Who comes later is asked to try again (503). A hash
    /// takes some 20 ms, so 64 waiting on two slots wait for two thirds of a second.
    #[serde(default = "default_hash_queue")]
    pub hash_queue: u16,
    /// The operator's own list of breached passwords, beside the one that the program carries: a
    /// file of SHA-1 hashes in the form of Have I Been Pwned (`HASH:COUNT`, ordered by the hash), of
    /// any size, since it is searched where it lies. It may be replaced at any time with `mv`. When
    /// it can't be read, the bundled list goes on alone; that is logged once and counted in
    /// `users_breached_file_failures_total`.
    #[serde(default)]
    pub breached_passwords: Option<PathBuf>,
    /// Other providers that people may sign in with.
    #[serde(default)]
    pub social: Social,
}

fn default_product() -> String {
    "Vorota".to_owned()
}

fn default_hash_queue() -> u16 {
    64
}

/// What the stories share.
struct App {
    pool: PgPool,
    clock: Clock,
    passwords: password::Hasher,
    judge: password::Judge,
    codes: code::CodeSeal,
    tokens: token::TokenSigner,
    refresh_key: key::Key,
    /// Seals what second factors are checked with.
    factor_key: key::Key,
    purses: budget::Purses,
    refusals: refusal::Refusals,
    /// What authenticator apps call this place: the host that people know.
    product: String,
    api_keys: key::Key,
    rights: rights::Rights,
    cursors: web::page::Cursors,
    party: passkey::RelyingParty,
    pages: well_known::Pages,
    audit_cursors: key::Key,
    social: social::Desk,
    /// Seals copies of what is known of people.
    exports: key::Key,
}

impl host::App for Users {
    const NAME: &'static str = SCHEMA;

    type Config = Config;

    fn migrations() -> &'static [&'static Migrator] {
        MIGRATIONS
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        web::document(Self::NAME, routes())
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Parts> {
        let app = Arc::new(App::new(config, host)?);
        let keys = app.tokens.keys();
        let mut jobs = vec![
            sweeping(app.clone()),
            rights::job(app.clone()),
            audit::head::job(app.clone()),
            people::lift::job(app.clone()),
            export::job(app.clone()),
            erasure::job(app.clone()),
            signing_key::job(keys),
        ];
        if let Some(redis) = host.redis() {
            let revocations = revocation::push::job(host.pool(), redis.clone(), host.clock());
            jobs.push(revocations);
            jobs.push(rights::feed::job(app.clone(), redis.clone()));
        }
        if app.social.gives_back() {
            jobs.push(social::farewell::job(app.clone()));
        }
        let needs = vec![signing_key::need(keys)];
        let loaded = middleware::from_fn_with_state(app.clone(), rights::loaded);
        let fresh = middleware::from_fn_with_state(app.clone(), signing_key::kept_fresh);
        let routes = routes().with_state(app.clone());
        let routes = routes.layer(loaded).layer(fresh.clone());
        Ok(Parts {
            routes: web::guarded(Self::NAME, routes, host),
            private: axum::Router::new()
                .route("/.well-known/jwks.json", routing::get(jwks::jwks))
                .layer(fresh)
                .with_state(app),
            consumers: vec![audit::head::consumer()],
            outbox: Some(SCHEMA),
            jobs,
            needs,
        })
    }

    async fn demo(pool: &PgPool, people: &mut Vec<DemoPerson>) -> anyhow::Result<()> {
        demo::arrange(pool, people).await
    }
}

impl App {
    fn new(config: Config, host: &Host) -> anyhow::Result<Self> {
        let key = key::Key::from_bytes(config.refresh_key.reveal());
        let party = passkey::RelyingParty::new(&config.base_url, &config.origins)
            .context("reading `base_url` and `origins`")?;
        let pages = well_known::Pages::new(
            &config.base_url,
            config.password_page.as_deref(),
            config.passkey_page.as_deref(),
        )
        .context("reading `password_page` and `passkey_page`")?;
        let (pool, clock) = (host.pool().clone(), host.clock());
        let every = config.rotate_keys_every;
        let signing_keys = Arc::new(signing_key::Keys::new(
            pool.clone(),
            clock.clone(),
            &key,
            every,
        ));
        let all_but_one = || {
            let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
            processors.saturating_sub(1).max(1)
        };
        let slots = config
            .hash_slots
            .map_or_else(all_but_one, |slots| slots.get().into());
        let queue = password::Queue::new(slots, config.hash_queue.into());
        let queue = Arc::new(queue.context("starting threads for passwords")?);
        queue.register(host.registry())?;
        let breached = config.breached_passwords.map(password::BreachedFile::open);
        let breached = breached
            .transpose()
            .context("opening `breached_passwords`")?;
        if let Some(file) = &breached {
            host.registry().register(Box::new(file.failures()))?;
        }
        Ok(Self {
            pool,
            clock,
            passwords: password::Hasher::new(queue.clone())?,
            judge: password::Judge::new(queue, breached),
            codes: code::CodeSeal::new(key.derive("verification code")),
            tokens: token::TokenSigner::new(signing_keys, config.issuer, config.audience),
            refresh_key: key.derive("refresh token"),
            factor_key: key.derive("second factor"),
            purses: budget::Purses::new(key.derive("budget")),
            refusals: refusal::Refusals::new(host.registry())?,
            product: config.product,
            api_keys: key.derive("API key"),
            rights: rights::Rights::new(),
            audit_cursors: key.derive("cursor of the record"),
            cursors: web::page::Cursors::new(host.cursor_key()),
            social: social::Desk::new(config.social, &config.base_url, &key)?,
            exports: key.derive("export"),
            party,
            pages,
        })
    }
}

/// Every path and who answers it.
fn routes() -> OpenApiRouter<Arc<App>> {
    let personal = OpenApiRouter::new()
        .routes(routes!(register::register))
        .routes(routes!(verify::resend))
        .routes(routes!(otp::ask))
        .routes(routes!(password_reset::forgot))
        .routes(routes!(verify::verify))
        .routes(routes!(login::login))
        .routes(routes!(otp::verify))
        .routes(routes!(mfa::challenge))
        .routes(routes!(mfa::verify))
        .routes(routes!(step_up::step_up))
        .routes(routes!(step_up::verify))
        .routes(routes!(password_reset::reset))
        .routes(routes!(password_change::change))
        .routes(routes!(password::check::check))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(session::logout_all))
        .routes(routes!(me::me))
        .routes(routes!(me::change))
        .routes(routes!(contact_change::change_email))
        .routes(routes!(contact_change::confirm_email))
        .routes(routes!(contact_change::change_phone))
        .routes(routes!(contact_change::confirm_phone))
        .routes(routes!(social::providers))
        .routes(routes!(social::ceremony::start))
        .routes(routes!(
            social::ceremony::callback,
            social::ceremony::callback_form
        ))
        .routes(routes!(social::enter::exchange))
        .routes(routes!(social::native::nonce))
        .routes(routes!(social::native::token))
        .routes(routes!(social::identities::list, social::identities::add))
        .routes(routes!(social::identities::link))
        .routes(routes!(social::identities::remove))
        .routes(routes!(session::list::list))
        .routes(routes!(session::list::end))
        .routes(routes!(second_factor::list))
        .routes(routes!(second_factor::remove))
        .routes(routes!(second_factor::totp::enrol))
        .routes(routes!(second_factor::totp::confirm))
        .routes(routes!(second_factor::message::enrol_sms))
        .routes(routes!(second_factor::message::enrol_email))
        .routes(routes!(second_factor::recovery::make))
        .routes(routes!(passkey::sign_in::options))
        .routes(routes!(passkey::sign_in::verify))
        .routes(routes!(passkey::enrol::options))
        .routes(routes!(passkey::keep::list, passkey::enrol::add))
        .routes(routes!(passkey::keep::rename, passkey::keep::remove))
        .routes(routes!(api_key::list, api_key::create))
        .routes(routes!(api_key::change, api_key::revoke))
        .routes(routes!(api_key::rotate))
        .routes(routes!(oauth::token::oauth_token))
        .routes(routes!(oauth::introspect::oauth_introspect))
        .routes(routes!(oauth::revoke::oauth_revoke))
        .routes(routes!(oauth::userinfo::userinfo))
        .routes(routes!(
            service_account::list_accounts,
            service_account::create_account
        ))
        .routes(routes!(service_account::delete_account))
        .routes(routes!(service_account::keys::create_key))
        .routes(routes!(service_account::keys::delete_key))
        .routes(routes!(signing_key::rotate::rotate_keys))
        // Pages for people are in no document that programs read.
        .merge(link_page::routes())
        .routes(routes!(export::ask))
        .routes(routes!(export::fetch))
        .routes(routes!(erasure::erase_me))
        .routes(routes!(erasure::restore))
        .routes(routes!(audit::list::own))
        .routes(routes!(audit::list::all))
        .routes(routes!(audit::head::head))
        .routes(routes!(audit::proof::verify))
        .routes(routes!(role::permissions))
        .routes(routes!(role::list, role::create))
        .routes(routes!(role::read, role::change, role::delete))
        .routes(routes!(role::assign::read, role::assign::change))
        .routes(routes!(acl::read, acl::change))
        .routes(routes!(rights::check::check))
        .routes(routes!(rights::check::snapshot))
        .routes(routes!(people::list::list, people::create::create))
        .routes(routes!(
            people::one::read,
            people::one::change,
            people::one::delete
        ))
        .routes(routes!(people::moderate::ban))
        .routes(routes!(people::moderate::unban))
        .routes(routes!(people::moderate::freeze))
        .routes(routes!(people::moderate::unfreeze))
        .routes(routes!(people::moderate::verify))
        .routes(routes!(people::moderate::reset_mfa))
        .routes(routes!(people::moderate::revoke_sessions))
        .layer(middleware::map_response(never_stored));
    OpenApiRouter::new()
        .routes(routes!(jwks::jwks))
        .routes(routes!(well_known::change_password))
        .routes(routes!(well_known::passkey_endpoints))
        .routes(routes!(oauth::metadata::oauth_metadata))
        .routes(routes!(oauth::metadata::openid_configuration))
        .merge(personal)
        // Gateways alone ask for it, so it is in no document that clients read.
        .route("/internal/v1/revocations", routing::get(revocation::feed))
        .route("/internal/v1/authz", routing::get(rights::feed::feed))
        .route(
            "/internal/v1/api-keys/resolve",
            routing::post(api_key::resolve::resolve),
        )
}

/// Answers with tokens, flows and personal data in them are nobody's to keep, refusals included.
async fn never_stored(mut answer: Response) -> Response {
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn sweeping(app: Arc<App>) -> Job {
    Job {
        name: "sweep",
        every: Duration::from_secs(10 * 60),
        limit: Duration::from_secs(10 * 60),
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move { Ok(sweep::sweep(&app.pool, app.clock.now()).await?) })
        }),
    }
}
