use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use plugin_sdk::{Reply, Request};

use super::{Plugin, cookie, pending};

impl Plugin {
    /// Ends the session: here at once, in the browser, and at the provider, where it sends the
    /// browser (OpenID Connect RP-Initiated Logout). Only at our own page's wish: to be signed out
    /// by somebody else's page is an attack too.
    pub(super) fn sign_out(&self, request: &mut Request<'_>) -> Box<Reply> {
        let settings = &self.settings;
        if !settings.origins.allow(&request.head) {
            return self.forged();
        }
        let now = self.env.clock.unix();
        if let Some((session, _)) = self.session(&request.head, now) {
            self.memory.end(&session.sid);
            self.env.count("signed_out");
        }
        // A renewal of the session must not follow its end in one answer.
        let headers = &mut request.facts.answer_headers;
        headers.retain(|(name, _)| name != SET_COOKIE);
        headers.push((SET_COOKIE, cookie::clear(&settings.cookie)));
        let unfinished = cookie::all(request.head.headers)
            .map(|(name, _)| name)
            .filter(|name| pending::is_one(settings.cookie.as_bytes(), name.as_bytes()))
            .filter(|name| pending::is_token(name))
            .take(pending::MAX_CLEARED);
        headers.extend(unfinished.map(|name| (SET_COOKIE, cookie::clear(name))));
        Box::new(
            Reply::empty(StatusCode::SEE_OTHER)
                .header(LOCATION, self.after_logout())
                .header(CACHE_CONTROL, HeaderValue::from_static("no-store")),
        )
    }

    /// The provider's own sign-out, which brings the browser back to us; without one, our page.
    fn after_logout(&self) -> HeaderValue {
        let settings = &self.settings;
        let there = self.provider.metadata().ok().and_then(|metadata| {
            let mut url = metadata.end_session?;
            url.query_pairs_mut()
                .append_pair("client_id", &settings.client.id)
                .append_pair("post_logout_redirect_uri", &settings.after_logout);
            Some(url)
        });
        let there = there
            .as_ref()
            .map_or(settings.after_logout.as_str(), |url| url.as_str());
        HeaderValue::from_str(there).expect("URLs are visible ASCII")
    }
}
