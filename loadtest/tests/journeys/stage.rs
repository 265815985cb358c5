//! A product of the journey's own, and what a journey needs of it again and again.

use std::{fs, future::Future, net::SocketAddr, time::Duration};

use local::product::{Options, Product};
use serde_json::{Value, json};

use crate::client::{Client, text};

const EVENTUALLY: Duration = Duration::from_secs(30);
/// Slow enough for the limit of what is open to all: five a second, sixty at once.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

pub(crate) struct Stage {
    pub(crate) product: Product,
    ca: Vec<u8>,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::start(Options::temporary().expect("a place and ports are found")).await
    }

    pub(crate) async fn start(options: Options) -> Self {
        let product = Product::start(options)
            .await
            .unwrap_or_else(|error| panic!("the product starts: {error:#}"));
        let ca = fs::read(product.place().ca()).expect("the authority's certificate is there");
        Self { product, ca }
    }

    /// A client at an address of its own: 127.0.0.`host`.
    pub(crate) fn client(&self, host: u8) -> Client {
        Client::new(&self.product.url(), self.edge(), &self.ca, host)
    }

    /// A client of another gateway, which listens on `port`.
    pub(crate) fn client_at(&self, port: u16, host: u8) -> Client {
        let edge = SocketAddr::from(([127, 0, 0, 1], port));
        Client::new(&format!("https://localhost:{port}"), edge, &self.ca, host)
    }

    pub(crate) fn edge(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.product.ports().edge))
    }

    pub(crate) fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// Logs a demo account in: the n-th with this role.
    pub(crate) async fn demo(&self, client: &Client, role: &str, nth: usize) -> Client {
        let person = self
            .product
            .people()
            .iter()
            .filter(|person| person.role == role)
            .nth(nth);
        let person = person.expect("the demo has such an account");
        let body = json!({ "email": person.email, "password": person.password });
        let session = client.post("/v1/auth/login", &body).await.expect(200);
        client.with(&session["access_token"])
    }

    /// The mails to an address, newest first, once there are `count`.
    pub(crate) async fn mails(&self, to: &str, count: usize) -> Vec<Value> {
        eventually("mail arrives", || async {
            let all = self
                .plain(self.product.ports().inbox, "/api/messages")
                .await;
            let all: Vec<Value> = serde_json::from_str(&all).expect("the inbox speaks JSON");
            let ours: Vec<Value> = all
                .into_iter()
                .filter(|mail| text(&mail["to"]).contains(to))
                .collect();
            (ours.len() >= count).then_some(ours)
        })
        .await
    }

    /// What a plain port of the product says.
    pub(crate) async fn plain(&self, port: u16, path: &str) -> String {
        let answer =
            local::probe::get(SocketAddr::from(([127, 0, 0, 1], port)), "localhost", path).await;
        answer.expect("the port answers").body
    }

    pub(crate) async fn metrics(&self) -> String {
        self.plain(self.product.ports().management, "/metrics")
            .await
    }
}

/// Asks again until there is an answer; the journey ends when it stays away.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let answer = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    };
    tokio::time::timeout(EVENTUALLY, answer)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {EVENTUALLY:?}"))
}

/// The six digits of a mail.
pub(crate) fn code(mail: &Value) -> String {
    let words = text(&mail["text"]).split(|c: char| !c.is_ascii_alphanumeric());
    let mut codes =
        words.filter(|word| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit()));
    codes
        .next()
        .unwrap_or_else(|| panic!("a code was due in {mail}"))
        .to_owned()
}
