//! Signs people in with a browser at an OpenID provider (authorization code flow with PKCE), and
//! knows them by a cookie then.
//!
//! ```yaml
//! oidc:
//!   issuer: https://sso.example.com
//!   client_id: edge
//!   client_secret: $file:client.secret
//!   redirect_uri: https://edge.example.com/auth/callback
//!   algs: [RS256]
//!   scopes: [openid, profile]
//!   claims: { roles: groups, sub_prefix: "staff:" }
//!   roles: { edge-admins: admin } # the provider's names, and ours
//!   cookie: { name: __Host-staff, key: $file:session.key, ttl: 8h, idle: 30m }
//!   logout: /auth/logout
//! ```
//!
//! Who opens a page without a session is sent to the provider and comes back to that page; a script
//! gets the 401 that it can read. The browser keeps all there is: the session and each sign-in under
//! way are sealed cookies, so any gateway takes up what another began, and none asks a store.
//!
//! No token of the provider's is kept, and none is refreshed: a session ends by its own times. While
//! the provider is away, whoever has signed in goes on; nobody else can.
//!
//! A cookie comes along with every request, whoever had it made. So a request that may change
//! something, or opens a WebSocket, must say that it comes from our own pages: [`csrf`].

use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};
use plugin_sdk::{
    Answering, BuildError, Env, Flow, Form, Head, Later, Reply, Request, ResponseHead, Seen, Stage,
    Takes,
};

mod callback;
mod config;
mod cookie;
mod csrf;
mod exchange;
mod id_token;
mod logout;
mod memory;
mod metadata;
mod page;
mod pending;
mod provider;
mod return_to;
mod seal;
mod session;
mod sign_in;

pub use config::{Config, Cookie};

use config::Settings;
use memory::Memory;
use provider::Provider;
use session::{Session, Standing};

/// The plugin.
pub struct Plugin {
    /// What the route table calls it under `auth`.
    way: Arc<str>,
    settings: Settings,
    provider: Provider,
    memory: Arc<Memory>,
    env: Env,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "oidc";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let settings = Settings::build(config, env)?;
        let way = env.name().split('.').nth(1).unwrap_or(env.name()).into();
        Ok(Self {
            way,
            provider: Provider::start(&settings, env),
            memory: Memory::of(env),
            settings,
            env: env.clone(),
        })
    }

    fn takes(&self) -> Option<Takes> {
        Some(Takes {
            form: Form::Session,
            of: Some(format!("sessions in `{}`", self.settings.cookie)),
            sub_prefix: Some(self.settings.paths.sub_prefix().to_owned()),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let now = self.env.clock.unix();
        let Some((session, standing)) = self.session(&request.head, now) else {
            // A cookie is nobody's claim: it comes along by itself. Another way may know the caller.
            return Flow::Continue;
        };
        if !self.settings.origins.allow(&request.head) {
            return Flow::Reply(self.forged());
        }
        if standing == Standing::Renew {
            self.renew(&session, now, request);
        }
        let who = Arc::new(session.principal());
        let proof = session.proof(&self.way, self.settings.life);
        request.facts.know(who, Arc::new(proof));
        Flow::Continue
    }

    fn challenge<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(self.send_to_sign_in(request))
    }

    fn answers(&self) -> Vec<(Method, String)> {
        let settings = &self.settings;
        let login = settings
            .login
            .iter()
            .map(|path| (Method::GET, path.clone()));
        let logout = settings
            .logout
            .iter()
            .map(|path| (Method::POST, path.clone()));
        let back = (Method::GET, settings.redirect.path().to_owned());
        std::iter::once(back).chain(login).chain(logout).collect()
    }

    fn answer<'a>(&'a self, request: &'a mut Request<'_>) -> Answering<'a> {
        Box::pin(async move {
            let path = Some(request.head.path);
            let (method, get) = (request.head.method, Method::GET);
            let allowed = if path == Some(self.settings.redirect.path()) {
                if *method == get {
                    return self.come_back(request).await;
                }
                "GET"
            } else if path == self.settings.login.as_deref() {
                if *method == get {
                    return self.sign_in_again(request).await;
                }
                "GET"
            } else if path == self.settings.logout.as_deref() {
                if *method == Method::POST {
                    return self.sign_out(request);
                }
                "POST"
            } else {
                return Box::new(Reply::problem(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "Not found",
                ));
            };
            let title = "Method not allowed";
            let reply = Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title);
            Box::new(reply.header(ALLOW, HeaderValue::from_static(allowed)))
        })
    }

    fn cookie(&self) -> Option<&str> {
        Some(&self.settings.cookie)
    }

    fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        let ours = seen
            .facts
            .proof
            .as_ref()
            .is_some_and(|proof| proof.way == self.way);
        if !ours {
            return;
        }
        // Shared caches know that an answer to `Authorization` is one person's. Of a cookie they
        // know nothing, and of one that the answer sets they would give everybody a copy.
        let renewed = seen
            .facts
            .answer_headers
            .iter()
            .any(|(name, _)| name == SET_COOKIE);
        let kept_back = head.headers.get_all(CACHE_CONTROL).iter().any(|value| {
            let words = value.to_str().unwrap_or_default().to_ascii_lowercase();
            words
                .split(',')
                .any(|word| matches!(word.trim(), "private" | "no-store"))
        });
        if renewed && !kept_back {
            head.headers
                .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        } else if !head.headers.contains_key(CACHE_CONTROL) {
            head.headers
                .insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
    }
}

impl Plugin {
    /// The session that the request carries, if it is one of ours and not over.
    fn session(&self, head: &Head<'_>, now: i64) -> Option<(Session, Standing)> {
        let settings = &self.settings;
        let value = cookie::single(head.headers, &settings.cookie)?;
        let session = Session::open(&settings.seal, &settings.cookie, value)?;
        match settings.life.judge(&session, now) {
            Standing::Over => None,
            _ if self.memory.has_ended(&session.sid) => None,
            standing => Some((session, standing)),
        }
    }

    /// Gives the browser the session anew, with the idle time from now on.
    fn renew(&self, session: &Session, now: i64, request: &mut Request<'_>) {
        let settings = &self.settings;
        let renewed = Session {
            seen: now,
            ..session.clone()
        };
        // As long as before to the byte, but for the digits of the time.
        if let Some(value) = renewed.close(&settings.seal, &settings.cookie) {
            let left = settings.life.left_s(&renewed, now);
            let cookie = cookie::set(&settings.cookie, &value, left);
            request.facts.answer_headers.push((SET_COOKIE, cookie));
        }
    }

    /// The answer to a request that somebody else had the browser make.
    fn forged(&self) -> Box<Reply> {
        self.env.count("csrf");
        Box::new(
            Reply::problem(StatusCode::FORBIDDEN, "csrf", "The request comes from another site")
                .detail("a request with a session must say in Sec-Fetch-Site or Origin that it comes from this one"),
        )
    }
}

#[cfg(test)]
mod tests;
