use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use plugin_sdk::{Flow, Head, Reply, Request};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::callback::{CallbackFault, Refusal, Returned, Verdict};
use super::exchange::{ExchangeFault, Tokens};
use super::id_token::{Expected, IdFault};
use super::pending::{self, Pending};
use super::provider::Away;
use super::return_to::ReturnTo;
use super::session::Session;
use super::{Plugin, cookie, csrf, page};
use crate::jwt::Fault;

/// A longer answer of the token endpoint is none, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why nobody was signed in. Who came back is told what to do about it, the log why.
#[derive(Debug, thiserror::Error)]
enum SignInFault {
    #[error(transparent)]
    Callback(#[from] CallbackFault),
    #[error("no sign-in of that state was begun in this browser, or it was too long ago")]
    Unknown,
    #[error("the state has been used before")]
    Spent,
    #[error("the provider let nobody in: {0:?}")]
    Refused(Refusal),
    #[error(transparent)]
    Away(#[from] Away),
    #[error("the token endpoint can't be reached: {0}")]
    Unreachable(plugin_sdk::FetchError),
    #[error(transparent)]
    Exchange(#[from] ExchangeFault),
    #[error("the ID token: {0}")]
    Token(#[from] Fault),
    #[error(transparent)]
    Claims(#[from] IdFault),
    #[error("the session of {0} bytes and more does not fit into a cookie")]
    TooGreat(usize),
}

impl Plugin {
    /// What somebody gets whom no way knows: a browser that opens a page is sent to sign in.
    pub(super) async fn send_to_sign_in(&self, request: &mut Request<'_>) -> Flow {
        // The cookies of a sign-in that began under another name would not come back to us.
        let here = self.settings.redirect.host_str() == Some(request.head.host);
        if !here || !csrf::is_navigation(&request.head) {
            return Flow::Continue;
        }
        let target = match request.head.query {
            Some(query) => format!("{}?{query}", request.head.path),
            None => request.head.path.to_owned(),
        };
        let to = ReturnTo::parse(&target, &self.settings.redirect).unwrap_or_else(ReturnTo::root);
        Flow::Reply(self.begin(request, &to, false, StatusCode::FOUND).await)
    }

    /// A sign-in that was asked for: `?return_to=/path`, and `fresh=1` to be asked again there.
    pub(super) async fn sign_in_again(&self, request: &mut Request<'_>) -> Box<Reply> {
        let query = request.head.query.unwrap_or_default();
        let (mut to, mut anew) = (None, false);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "return_to" => to = Some(value.into_owned()),
                "fresh" => anew = value == "1",
                _ => {}
            }
        }
        let to = match to.as_deref() {
            None => ReturnTo::root(),
            Some(text) => match ReturnTo::parse(text, &self.settings.redirect) {
                Some(to) => to,
                None => {
                    let title = "The way back is refused";
                    let reply = Reply::problem(StatusCode::BAD_REQUEST, "bad_return_to", title);
                    return Box::new(reply.detail("`return_to` must be a path of this site"));
                }
            },
        };
        self.begin(request, &to, anew, StatusCode::FOUND).await
    }

    async fn begin(
        &self,
        request: &mut Request<'_>,
        to: &ReturnTo,
        anew: bool,
        status: StatusCode,
    ) -> Box<Reply> {
        let settings = &self.settings;
        let metadata = match self.provider.described().await {
            Ok(metadata) => metadata,
            Err(away) => return self.failed(request, &SignInFault::Away(away), None),
        };
        let now = self.env.clock.unix();
        for name in pending::surplus(&settings.seal, request.head.headers, &settings.cookie, now) {
            let cookie = cookie::clear(&name);
            request.facts.answer_headers.push((SET_COOKIE, cookie));
        }
        let pending = Pending::begin(&settings.seal, to, anew, now);
        let (name, value) = pending.close(&settings.seal, &settings.cookie);
        let cookie = cookie::set(&name, &value, pending::LASTS_S);
        request.facts.answer_headers.push((SET_COOKIE, cookie));
        self.env.count("sent_to_sign_in");
        let there = self.authorization(metadata.authorization, &pending);
        let there = HeaderValue::from_str(there.as_str()).expect("URLs are visible ASCII");
        Box::new(
            Reply::empty(status)
                .header(LOCATION, there)
                .header(CACHE_CONTROL, HeaderValue::from_static("no-store")),
        )
    }

    fn authorization(&self, mut url: Url, pending: &Pending) -> Url {
        let settings = &self.settings;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client.id)
            .append_pair("redirect_uri", &settings.client.redirect_uri)
            .append_pair("scope", &settings.scope)
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &pending.challenge())
            .append_pair("code_challenge_method", "S256");
        if pending.anew {
            url.query_pairs_mut()
                .append_pair("prompt", "login")
                .append_pair("max_age", "0");
        }
        url
    }

    /// A browser comes back from the provider.
    pub(super) async fn come_back(&self, request: &mut Request<'_>) -> Box<Reply> {
        let mut found = None;
        match self.sign_in(&request.head, &mut found).await {
            Err(fault) => self.failed(request, &fault, found.as_ref()),
            Ok((session, value)) => {
                let settings = &self.settings;
                let now = self.env.clock.unix();
                // Whoever was signed in before in this browser is no longer.
                if let Some((before, _)) = self.session(&request.head, now) {
                    self.memory.end(&before.sid);
                }
                let left = settings.life.left_s(&session, now);
                let cookie = cookie::set(&settings.cookie, &value, left);
                request.facts.answer_headers.push((SET_COOKIE, cookie));
                self.env.count("signed_in");
                let to = found
                    .as_ref()
                    .and_then(|pending| ReturnTo::parse(&pending.to, &settings.redirect));
                let there = to.unwrap_or_else(ReturnTo::root).on(&settings.redirect);
                let there = HeaderValue::from_str(&there).expect("its bytes are visible ASCII");
                let reply = Reply::empty(StatusCode::SEE_OTHER).header(LOCATION, there);
                self.discard(request, found.as_ref());
                Box::new(private(reply))
            }
        }
    }

    /// Judges what a browser brings back, and has it changed for a session. `found` is the sign-in
    /// that it belongs to: spent, whatever comes of it.
    async fn sign_in(
        &self,
        head: &Head<'_>,
        found: &mut Option<Pending>,
    ) -> Result<(Session, String), SignInFault> {
        let settings = &self.settings;
        let returned = Returned::read(head.query.unwrap_or_default())?;
        let now = self.env.clock.unix();
        let pending = Pending::find(
            &settings.seal,
            head.headers,
            &settings.cookie,
            &returned.state,
            now,
        )
        .ok_or(SignInFault::Unknown)?;
        let pending = found.insert(pending);
        if !self.memory.spend(&pending.state) {
            return Err(SignInFault::Spent);
        }
        let metadata = self.provider.described().await?;
        returned.judge_issuer(&settings.issuer, metadata.says_issuer)?;
        let code = match returned.verdict {
            Verdict::Code(code) => code,
            Verdict::Error(refusal) => return Err(SignInFault::Refused(refusal)),
        };
        let ask = settings.client.exchange(
            &metadata.token,
            metadata.client_auth,
            &code,
            &pending.verifier,
        );
        let answer = self.env.fetch.send(ask, MAX_ANSWER_BYTES).await;
        let answer = answer.map_err(|error| {
            self.provider.look_again();
            SignInFault::Unreachable(error)
        })?;
        let tokens = Tokens::read(&answer)?;
        let (alg, claims) = self.provider.verify(&tokens.id_token).await?;
        let now = self.env.clock.unix();
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client.id,
            nonce: &pending.nonce,
            code: &code,
            access_token: tokens.access_token.as_deref(),
            alg,
            not_before: pending.anew.then_some(pending.begun),
            leeway_s: settings.leeway_s,
            now,
        };
        expected.judge(&claims)?;
        let session = self.session_of(&claims, now)?;
        let value = session.close(&settings.seal, &settings.cookie);
        let value = value.ok_or(SignInFault::TooGreat(super::session::MAX_BYTES))?;
        Ok((session, value))
    }

    /// A new session of somebody whom the provider vouches for. Its id is ours and new: what a
    /// browser had before, or was given by somebody, is worth nothing now.
    fn session_of(&self, claims: &Map<String, Value>, now: i64) -> Result<Session, SignInFault> {
        let settings = &self.settings;
        let who = settings.paths.principal(claims)?;
        let roles = match &settings.roles {
            None => who.roles,
            Some(names) => {
                let mut ours: Vec<String> = who
                    .roles
                    .iter()
                    .filter_map(|role| names.get(role))
                    .cloned()
                    .collect();
                ours.sort_unstable();
                ours.dedup();
                ours
            }
        };
        let kept = settings
            .keep
            .iter()
            .filter_map(|name| Some((name.clone(), claims.get(name)?.clone())));
        Ok(Session {
            sid: settings.seal.random(),
            sub: who.sub,
            roles,
            acr: who.acr,
            auth_time: who.auth_time,
            begun: now,
            seen: now,
            claims: kept.collect(),
        })
    }

    /// Lets the browser forget a sign-in.
    fn discard(&self, request: &mut Request<'_>, pending: Option<&Pending>) {
        if let Some(pending) = pending {
            let name = pending::name(&self.settings.cookie, &pending.state);
            let cookie = cookie::clear(&name);
            request.facts.answer_headers.push((SET_COOKIE, cookie));
        }
    }

    fn failed(
        &self,
        request: &mut Request<'_>,
        fault: &SignInFault,
        pending: Option<&Pending>,
    ) -> Box<Reply> {
        self.discard(request, pending);
        let (event, failure) = fault.told();
        self.env.count(event);
        match event {
            // What anybody can cause by opening an address is no line in a log.
            "sign_in_refused" => tracing::debug!(way = &*self.way, %fault, "a sign-in was refused"),
            _ => tracing::warn!(way = &*self.way, %fault, "a sign-in failed"),
        }
        // Where a sign-in was going, or the page that could not be opened: to try again there.
        let again = pending.map_or(request.head.path, |pending| &pending.to);
        let again = match again == self.settings.redirect.path() {
            true => "/",
            false => again,
        };
        let reply = page::of(&failure, again, csrf::is_navigation(&request.head));
        let reply = match failure.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                reply.header(RETRY_AFTER, HeaderValue::from_static("5"))
            }
            _ => reply,
        };
        Box::new(private(reply))
    }
}

impl SignInFault {
    /// The event that is counted, and what the person is told.
    fn told(&self) -> (&'static str, page::Failure) {
        let failure = |status, code, title, detail| page::Failure {
            status,
            code,
            title,
            detail,
        };
        match self {
            Self::Callback(_)
            | Self::Unknown
            | Self::Spent
            | Self::Exchange(ExchangeFault::Code) => (
                "sign_in_refused",
                failure(
                    StatusCode::BAD_REQUEST,
                    "sign_in_unknown",
                    "This sign-in is over",
                    "It was not begun in this browser, took too long, or has been used already.",
                ),
            ),
            Self::Refused(Refusal::Denied) => (
                "sign_in_denied",
                failure(
                    StatusCode::FORBIDDEN,
                    "sign_in_denied",
                    "You were not signed in",
                    "The sign-in was cancelled, or you have no access.",
                ),
            ),
            Self::Away(_)
            | Self::Unreachable(_)
            | Self::Exchange(ExchangeFault::Later(_))
            | Self::Refused(Refusal::Later) => (
                "provider_away",
                failure(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "sign_in_unavailable",
                    "Signing in is not possible at the moment",
                    "The service that signs people in can't be reached. Try again in a few seconds.",
                ),
            ),
            Self::Refused(Refusal::Ours)
            | Self::Exchange(_)
            | Self::Token(_)
            | Self::Claims(_)
            | Self::TooGreat(_) => (
                "sign_in_failed",
                failure(
                    StatusCode::BAD_GATEWAY,
                    "sign_in_failed",
                    "Signing in failed",
                    "The answer of the service that signs people in can't be used. Its operator can say why.",
                ),
            ),
        }
    }
}

/// Kept by nobody, and told to nobody: the address has a code in it.
fn private(reply: Reply) -> Reply {
    reply
        .header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}
