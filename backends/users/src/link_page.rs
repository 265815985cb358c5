//! The pages that links in mails lead to: `/auth/...`. Programs that look at a mail before its reader
//! does open every link in it, so a link shows a page with a button, and only the button does anything.
//!
//! They need no script and no style, are the same for everybody, and hold nothing but what the link
//! brought. Apps with pages of their own have the codes.

use std::sync::Arc;

use axum::{
    extract::{Query, RawForm, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;
use web::Problem;

use crate::{
    App,
    challenge::LinkToken,
    client::Client,
    contact_change::{self, UndoToken},
    erasure,
    login::Entrance,
    otp,
    password::Password,
    password_reset::{self, Outcome},
    verify,
};

/// The longest token that is written into a page, in bytes.
const MAX_TOKEN: usize = 64;

/// What a link brings.
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    flow: Option<Uuid>,
    #[serde(default)]
    token: String,
}

/// What a page is about.
#[derive(Clone, Copy)]
struct Page {
    path: &'static str,
    title: &'static str,
    words: &'static str,
    button: &'static str,
    asks_password: bool,
}

const VERIFY: Page = Page {
    path: "/auth/verify",
    title: "Open your account",
    words: "This proves that the address is yours, and opens your account.",
    button: "Open my account",
    asks_password: false,
};
const SIGN_IN: Page = Page {
    path: "/auth/sign-in",
    title: "Sign in",
    words: "This signs you in in this browser. If you did not ask for it, close the page.",
    button: "Sign me in",
    asks_password: false,
};
const RESET: Page = Page {
    path: "/auth/reset-password",
    title: "Choose another password",
    words: "Everybody who is signed in to your account is signed out by this.",
    button: "Set my password",
    asks_password: true,
};
const CHANGE_EMAIL: Page = Page {
    path: "/auth/change-email",
    title: "Confirm your new address",
    words: "From now on your account has this address of mail.",
    button: "This is my address",
    asks_password: false,
};
const UNDO: Page = Page {
    path: "/auth/undo",
    title: "Undo the change",
    words: "Your account gets its old address or number back, and everybody is signed out of it. You are sent a code to choose another password.",
    button: "Undo it",
    asks_password: false,
};
const KEEP: Page = Page {
    path: "/auth/keep-account",
    title: "Keep your account",
    words: "Your account was given up, and waits for its erasure. This has it back as it was; keys for programs are made anew.",
    button: "Keep my account",
    asks_password: false,
};

/// Every page and its button.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .route(VERIFY.path, get(show_verify).post(verify))
        .route(SIGN_IN.path, get(show_sign_in).post(sign_in))
        .route(RESET.path, get(show_reset).post(reset))
        .route(CHANGE_EMAIL.path, get(show_change_email).post(change_email))
        .route(UNDO.path, get(show_undo).post(undo))
        .layer(middleware::from_fn(from_our_pages))
        .route(KEEP.path, get(show_keep).post(keep))
}

/// A button is pressed on a page of ours: another site's could sign somebody in to its own account.
/// Browsers say where a form comes from (`Sec-Fetch-Site`); what is no browser has no cookies to lose.
async fn from_our_pages(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    let is_ours = site.is_none_or(|site| site == "same-origin");
    if request.method() == Method::POST && !is_ours {
        return refused(Problem::forbidden());
    }
    next.run(request).await
}

async fn show_verify(Query(link): Query<Link>) -> Response {
    VERIFY.show(&link)
}

async fn show_sign_in(Query(link): Query<Link>) -> Response {
    SIGN_IN.show(&link)
}

async fn show_reset(Query(link): Query<Link>) -> Response {
    RESET.show(&link)
}

async fn show_change_email(Query(link): Query<Link>) -> Response {
    CHANGE_EMAIL.show(&link)
}

async fn show_undo(Query(link): Query<Link>) -> Response {
    UNDO.show(&link)
}

async fn show_keep(Query(link): Query<Link>) -> Response {
    KEEP.show(&link)
}

/// The button that opens an account.
async fn verify(State(app): State<Arc<App>>, RawForm(form): RawForm) -> Response {
    let form = Form::read(&form);
    let Some((flow, token)) = form.flow() else {
        return stale();
    };
    match verify::by_link(&app, flow, &token).await {
        Ok(_) => said("Your account is open", "You can sign in now."),
        Err(error) => refused(error.into()),
    }
}

/// The button that signs in. The refresh token goes into the browser's cookie.
async fn sign_in(State(app): State<Arc<App>>, client: Client, RawForm(form): RawForm) -> Response {
    let form = Form::read(&form);
    let Some((flow, token)) = form.flow() else {
        return stale();
    };
    let client = Client {
        cookie: true,
        ..client
    };
    match otp::by_link(&app, flow, &token, &client).await {
        Ok(Some(Entrance::In(issued))) => {
            let page = said("You are signed in", "You can go on in your app's page.");
            (issued.into_cookie(), page).into_response()
        }
        Ok(Some(entrance)) => entrance.into_response(),
        Ok(None) => said(
            "One more proof is due",
            "Your account has a second factor. Type the code of the mail in your app, which asks for the rest.",
        ),
        Err(error) => refused(error.into()),
    }
}

/// The button that sets a password.
async fn reset(State(app): State<Arc<App>>, client: Client, RawForm(form): RawForm) -> Response {
    let form = Form::read(&form);
    let Some((flow, token)) = form.flow() else {
        return stale();
    };
    let Ok(password) = Password::parse(form.value("password")) else {
        return refused(Problem::bad_request("the password is too long"));
    };
    match password_reset::by_link(&app, flow, &token, password, &client).await {
        Ok(Some(Outcome::Done)) => said("Your password is set", "You can sign in with it now."),
        Ok(_) => said(
            "One more proof is due",
            "Your account has a second factor. Type the code of the mail in your app, which asks for the rest.",
        ),
        Err(error) => refused(error.into()),
    }
}

/// The button that confirms an address.
async fn change_email(State(app): State<Arc<App>>, RawForm(form): RawForm) -> Response {
    let form = Form::read(&form);
    let Some((flow, token)) = form.flow() else {
        return stale();
    };
    match contact_change::by_link(&app, flow, &token).await {
        Ok(()) => said("The address is yours", "You sign in with it from now on."),
        Err(error) => refused(error.into()),
    }
}

/// The button that undoes a change of contact.
async fn undo(State(app): State<Arc<App>>, RawForm(form): RawForm) -> Response {
    let form = Form::read(&form);
    match contact_change::undo(&app, &UndoToken::sent(form.value("token"))).await {
        Ok(()) => said(
            "The change is undone",
            "Everybody was signed out. A code to choose another password is on its way to you.",
        ),
        Err(error) => refused(error.into()),
    }
}

/// The button that has an account back.
async fn keep(State(app): State<Arc<App>>, client: Client, RawForm(form): RawForm) -> Response {
    let form = Form::read(&form);
    match erasure::undo(&app, form.value("token"), &client).await {
        Ok(()) => said("Your account is yours", "You can sign in as before."),
        Err(error) => refused(error.into()),
    }
}

/// A form's fields.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body).into_owned();
        Self(pairs.take(8).collect())
    }

    fn value(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    fn flow(&self) -> Option<(Uuid, LinkToken)> {
        let flow = self.value("flow").parse().ok()?;
        Some((flow, LinkToken::sent(self.value("token"))))
    }
}

impl Page {
    /// The page with its button. What the link brought is written only where it has the form of ours.
    fn show(self, link: &Link) -> Response {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let token = &link.token;
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(is_plain) {
            return stale();
        }
        let Self {
            path,
            title,
            words,
            button,
            asks_password,
        } = self;
        let flow = link
            .flow
            .map(|flow| format!("<input type=\"hidden\" name=\"flow\" value=\"{flow}\">\n"));
        let flow = flow.unwrap_or_default();
        let password = if asks_password {
            "<p><label>New password <input type=\"password\" name=\"password\" \
             autocomplete=\"new-password\" minlength=\"8\" required></label></p>\n"
        } else {
            ""
        };
        let form = format!(
            "<p>{words}</p>\n<form method=\"post\" action=\"{path}\">\n{flow}\
             <input type=\"hidden\" name=\"token\" value=\"{token}\">\n{password}\
             <button>{button}</button>\n</form>"
        );
        page(StatusCode::OK, title, &form)
    }
}

fn said(title: &str, words: &str) -> Response {
    page(StatusCode::OK, title, &format!("<p>{words}</p>"))
}

fn stale() -> Response {
    let words = "<p>The link is not good, or no longer. Ask for another one in your app.</p>";
    page(StatusCode::BAD_REQUEST, "This did not work", words)
}

/// A problem in words for people.
fn refused(problem: Problem) -> Response {
    if matches!(problem.code(), "invalid_code" | "invalid_link") {
        return stale();
    }
    let words = problem.words();
    let escaped = words.replace('&', "&amp;").replace('<', "&lt;");
    page(
        problem.status(),
        "This did not work",
        &format!("<p>{escaped}</p>"),
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</html>\n"
    );
    let mut answer = (status, Html(html)).into_response();
    let headers = answer.headers_mut();
    // The address of the page is a secret until the button was pressed.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    answer
}
