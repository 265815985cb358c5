//! Signing in with a browser, at npm's oidc-provider and through the real gateway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use local::provider::Provider;
use serde_json::{Value, json};

use crate::stage::{Answer, Origin, PATIENCE, Stage};

/// The host as the provider and browsers know it. The stage's port is put in its place on the wire.
const EDGE: &str = "https://localhost";

/// The provider with somebody in it.
fn wish() -> Value {
    json!({
        "clients": [{
            "client_id": "edge",
            "client_secret": "a secret of a test",
            "redirect_uris": [format!("{EDGE}/auth/callback")],
            "post_logout_redirect_uris": [format!("{EDGE}/bye")],
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
        }],
        "accounts": { "alice": { "groups": ["edge-staff"], "name": "Alice" } },
    })
}

/// A table with an app for who has signed in.
fn table(issuer: &str) -> String {
    format!(
        r#"
auth:
  staff:
    oidc:
      issuer: "{issuer}"
      client_id: edge
      client_secret: $file:client.secret
      redirect_uri: {EDGE}/auth/callback
      algs: [RS256]
      scopes: [openid, profile]
      claims: {{ roles: groups }}
      cookie: {{ name: __Host-staff, key: $file:identity.key }}
      login: /auth/login
      logout: /auth/logout
      after_logout: /bye
      refresh: 1s
routes:
  - {{ id: app, match: {{ method: [GET, POST], path: /app/** }}, to: origin, auth: staff, allow: {{ roles: [edge-staff] }} }}
  - {{ id: app.live, match: {{ method: GET, path: /live }}, to: origin, auth: staff, websocket: true }}
  - {{ id: public, match: {{ method: GET, path: /public }}, to: origin, auth: none, why_public: a test }}
  - {{ id: staff.callback, match: {{ method: GET, path: /auth/callback }}, answered_by: staff, auth: none, why_public: nobody is signed in yet }}
  - {{ id: staff.login, match: {{ method: GET, path: /auth/login }}, answered_by: staff, auth: none, why_public: signing in }}
  - {{ id: staff.logout, match: {{ method: POST, path: /auth/logout }}, answered_by: staff, auth: none, why_public: signing out }}
"#
    )
}

/// A provider and a gateway before an origin that sets a cookie that is not its to set.
async fn stage() -> (Provider, Stage) {
    let provider = Provider::start(wish()).unwrap();
    let origin =
        Origin::start(|_| Answer::ok("app").header("set-cookie", "__Host-staff=evil; Path=/"));
    let stage = Stage::before(origin.await, "", &table(provider.issuer())).await;
    (provider, stage)
}

/// A browser: it keeps cookies by host and goes where it is sent.
struct Browser<'a> {
    stage: &'a Stage,
    client: reqwest::Client,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a browser stopped.
struct Page {
    status: u16,
    url: String,
    headers: http::HeaderMap,
    body: String,
}

impl<'a> Browser<'a> {
    fn new(stage: &'a Stage) -> Self {
        let root = reqwest::Certificate::from_pem(stage.trusted.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .no_proxy()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .resolve("localhost", stage.https);
        Self {
            stage,
            client: client.build().unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    fn cookies(&self, host: &str) -> Vec<&str> {
        let jar = self.cookies.get(host);
        jar.into_iter()
            .flat_map(|jar| jar.keys().map(String::as_str))
            .collect()
    }

    /// Asks once.
    async fn ask(
        &mut self,
        method: &str,
        url: &str,
        form: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Page {
        let on_wire = match url.strip_prefix(EDGE) {
            Some(target) => self.stage.url(target),
            None => url.to_owned(),
        };
        let host = host(url);
        let mut request = self.client.request(method.parse().unwrap(), on_wire);
        if let Some(jar) = self.cookies.get(&host).filter(|jar| !jar.is_empty()) {
            let pairs: Vec<String> = jar
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", pairs.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(form) = form {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.to_owned());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let jar = self.cookies.entry(host).or_default();
        for cookie in headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let over =
                attributes.contains("Max-Age=0") || attributes.contains("expires=Thu, 01 Jan 1970");
            match over {
                true => jar.remove(name),
                false => jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        let body = answer.text().await.unwrap();
        Page {
            status,
            url: url.to_owned(),
            headers,
            body,
        }
    }

    /// Opens a page, or sends a form, and goes where it is sent.
    async fn go(&mut self, method: &str, url: &str, form: Option<&str>) -> Page {
        let mut page = self.ask(method, url, form, &navigation(url)).await;
        for _ in 0..10 {
            let Some(there) = page.headers.get("location") else {
                return page;
            };
            let there = there.to_str().unwrap();
            let there = match there.starts_with('/') {
                true => format!("{}{there}", origin(&page.url)),
                false => there.to_owned(),
            };
            page = self.ask("GET", &there, None, &navigation(&there)).await;
        }
        panic!("sent around for ever, at last to {}", page.url);
    }

    async fn open(&mut self, target: &str) -> Page {
        self.go("GET", &format!("{EDGE}{target}"), None).await
    }

    /// Opens a page, and signs in where it is sent.
    async fn sign_in(&mut self, target: &str) -> Page {
        let login = self.open(target).await;
        assert!(
            login.url.contains("/interaction/"),
            "{} {}",
            login.status,
            login.url
        );
        let consent = self
            .go(
                "POST",
                &login.url,
                Some("prompt=login&login=alice&password=x"),
            )
            .await;
        if !consent.url.contains("/interaction/") {
            return consent;
        }
        self.go("POST", &consent.url, Some("prompt=consent")).await
    }
}

fn navigation(url: &str) -> Vec<(&'static str, &'static str)> {
    let mut headers = vec![
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    if url.starts_with(EDGE) {
        headers.push(("origin", EDGE));
        headers.push(("sec-fetch-site", "same-origin"));
    }
    headers
}

fn origin(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}

fn host(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}

#[tokio::test]
async fn a_browser_signs_in_at_a_real_provider_and_out_again() {
    let (_provider, stage) = stage().await;
    let mut browser = Browser::new(&stage);
    let page = browser.sign_in("/app/a?b=c").await;
    assert_eq!((page.status, &*page.body), (200, "app"), "{}", page.url);
    assert_eq!(page.url, format!("{EDGE}/app/a?b=c"));
    assert_eq!(browser.cookies("localhost"), ["__Host-staff"]);

    // The backend is told who it is, and sees nothing of how.
    let asked = stage.origin.asked().await;
    assert_eq!(asked.headers["x-user-id"], "alice");
    assert_eq!(asked.headers["x-user-roles"], "edge-staff");
    assert!(!asked.headers.contains_key("cookie"), "{:?}", asked.headers);
    // What it says of our cookie does not get through, here and on a public route.
    for target in ["/app/a", "/public"] {
        let page = browser
            .ask(
                "GET",
                &format!("{EDGE}{target}"),
                None,
                &[("cookie", "other=1")],
            )
            .await;
        assert_eq!(page.status, 200);
        assert!(
            !page.headers.contains_key("set-cookie"),
            "{:?}",
            page.headers
        );
        let asked = stage.origin.asked().await;
        assert_eq!(
            asked.headers["cookie"], "other=1",
            "only ours are kept back"
        );
    }

    // A form of our own page, and one of another's.
    let url = format!("{EDGE}/app/pay");
    assert_eq!(
        browser
            .ask("POST", &url, Some("a=b"), &[("origin", EDGE)])
            .await
            .status,
        200
    );
    for headers in [
        &[("origin", "https://evil.test")][..],
        &[("sec-fetch-site", "cross-site")],
        &[],
    ] {
        let page = browser.ask("POST", &url, Some("a=b"), headers).await;
        assert_eq!(
            (page.status, problem(&page)),
            (403, "csrf".into()),
            "{headers:?}"
        );
    }

    let cookie = browser.cookies["localhost"]["__Host-staff"].clone();
    let out = browser
        .go("POST", &format!("{EDGE}/auth/logout"), Some(""))
        .await;
    assert!(out.url.contains("/session/end?"), "{}", out.url);
    assert_eq!(browser.cookies("localhost"), [""; 0]);
    // The provider asks whether it is meant, and sends the browser home.
    let xsrf = out
        .body
        .split("name=\"xsrf\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let form = format!("xsrf={xsrf}&logout=yes");
    let end = format!("{}/session/end/confirm", origin(&out.url));
    let bye = browser.ask("POST", &end, Some(&form), &[]).await;
    assert!(
        bye.headers["location"]
            .to_str()
            .unwrap()
            .starts_with(&format!("{EDGE}/bye"))
    );
    // The cookie of before is worth nothing, and the page asks to sign in anew.
    browser
        .cookies
        .entry("localhost".into())
        .or_default()
        .insert("__Host-staff".into(), cookie.clone());
    assert!(browser.open("/app/a").await.url.contains("/interaction/"));

    for record in stage.records().await {
        let line = record.to_string();
        for secret in [
            "__Host-staff",
            &cookie,
            "code_verifier",
            "a secret of a test",
        ] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

fn problem(page: &Page) -> String {
    let problem: Value = serde_json::from_str(&page.body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_program_gets_401_where_a_browser_is_sent_to_sign_in() {
    let (_provider, stage) = stage().await;
    let mut browser = Browser::new(&stage);
    let url = format!("{EDGE}/app/a");
    let page = browser
        .ask("GET", &url, None, &[("accept", "application/json")])
        .await;
    assert_eq!(
        (page.status, problem(&page)),
        (401, "unauthenticated".into())
    );
    let page = browser
        .ask("POST", &url, Some("a=b"), &navigation(&url))
        .await;
    assert_eq!(
        page.status, 401,
        "a form can't be sent anew on the way back"
    );
    let page = browser.ask("GET", &url, None, &navigation(&url)).await;
    assert_eq!(page.status, 302);
}

#[tokio::test]
async fn gateway_30_a_socket_of_another_site_is_not_opened_at_the_edge() {
    let (_provider, stage) = stage().await;
    let mut browser = Browser::new(&stage);
    assert_eq!(browser.sign_in("/app/a").await.status, 200);
    let cookie = format!(
        "__Host-staff={}",
        browser.cookies["localhost"]["__Host-staff"]
    );
    for (origin, status) in [("https://evil.test", 403), ("null", 403), (EDGE, 200)] {
        let mut wire = stage.connect().await;
        wire.send(format!(
            "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Origin: {origin}\r\nCookie: {cookie}\r\n\r\n"
        ))
        .await;
        // The origin of this stage opens none, but it was asked.
        assert_eq!(wire.response().await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn new_keys_of_a_real_provider_are_taken() {
    let (provider, stage) = stage().await;
    assert_eq!(Browser::new(&stage).sign_in("/app/a").await.status, 200);
    let rotate = format!("{}/test/rotate", provider.issuer());
    let rotated = stage.client(false).post(rotate).send().await.unwrap();
    assert_eq!(rotated.status(), 204);
    let until = Instant::now() + PATIENCE;
    loop {
        // They are fetched each second; between, a sign-in may fail.
        let page = Browser::new(&stage).sign_in("/app/a").await;
        if page.status == 200 {
            return;
        }
        assert_eq!(page.status, 502, "{}", page.body);
        assert!(Instant::now() < until, "the new keys were not taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn outage_a_provider_that_is_away_signs_nobody_in_and_nobody_out() {
    let (provider, stage) = stage().await;
    let mut known = Browser::new(&stage);
    assert_eq!(known.sign_in("/app/a").await.status, 200);
    let mut halfway = Browser::new(&stage);
    let login = halfway.open("/app/a").await;
    let consent = halfway
        .go(
            "POST",
            &login.url,
            Some("prompt=login&login=alice&password=x"),
        )
        .await;
    let back = halfway
        .ask("POST", &consent.url, Some("prompt=consent"), &[])
        .await;
    let back = format!(
        "{}{}",
        origin(&consent.url),
        back.headers["location"]
            .to_str()
            .unwrap()
            .trim_start_matches(&origin(&consent.url))
    );
    let back = halfway.ask("GET", &back, None, &[]).await;
    let back = back.headers["location"].to_str().unwrap().to_owned();
    assert!(
        back.starts_with(&format!("{EDGE}/auth/callback?")),
        "{back}"
    );

    let port = provider.port();
    drop(provider);
    let page = halfway.go("GET", &back, None).await;
    assert_eq!(
        (page.status, &page.headers["retry-after"]),
        (503, &"5".parse().unwrap())
    );
    assert!(page.body.contains("<h1>"), "{}", page.body);
    let until = Instant::now() + PATIENCE;
    loop {
        assert_eq!(
            known.open("/app/a").await.status,
            200,
            "who has signed in goes on"
        );
        let url = format!("{EDGE}/app/a");
        let page = Browser::new(&stage)
            .ask("GET", &url, None, &navigation(&url))
            .await;
        if page.status == 503 {
            assert_eq!(page.headers["retry-after"], "5");
            break;
        }
        assert_eq!(page.status, 302);
        assert!(Instant::now() < until, "browsers are still sent to nobody");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let _provider = Provider::start_on(port, wish()).unwrap();
    let until = Instant::now() + 2 * PATIENCE;
    while Browser::new(&stage).open("/app/a").await.status == 503 {
        assert!(Instant::now() < until, "its return is not seen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(Browser::new(&stage).sign_in("/app/a").await.status, 200);
}
