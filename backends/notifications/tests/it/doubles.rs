//! Providers of texts to throw away: they listen where a test says, keep what they were asked, and
//! answer as their originals are documented to, or as the test has told them to.

mod smsru;
mod twilio;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

pub(crate) use smsru::{API_ID, SMSRU_REFUSED};
pub(crate) use twilio::{ACCOUNT_SID, AUTH_TOKEN, FROM, TWILIO_REFUSED};

/// What a double was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    /// In the order of their names.
    pub(crate) fields: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field == name)
            .map_or("", |(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    retry_after: Option<u32>,
    body: String,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.to_string(),
        }
    }

    pub(crate) fn page(status: u16) -> Self {
        Self {
            status,
            retry_after: None,
            body: "<html>an error</html>".to_owned(),
        }
    }

    pub(crate) fn retry_after(self, secs: u32) -> Self {
        Self {
            retry_after: Some(secs),
            ..self
        }
    }
}

#[derive(Clone)]
struct Desk {
    asked: Arc<Mutex<Vec<Asked>>>,
    scripted: Arc<Mutex<VecDeque<Answer>>>,
    usual: fn(&Asked) -> Answer,
}

/// A provider that runs until it is dropped.
pub(crate) struct Double {
    address: SocketAddr,
    desk: Desk,
    _serving: JoinSet<()>,
}

impl Double {
    pub(crate) async fn twilio() -> Self {
        Self::start(any(), twilio::answer).await
    }

    pub(crate) async fn smsru() -> Self {
        Self::start(any(), smsru::answer).await
    }

    /// One where another was.
    pub(crate) async fn twilio_at(address: SocketAddr) -> Self {
        Self::start(address, twilio::answer).await
    }

    async fn start(address: SocketAddr, usual: fn(&Asked) -> Answer) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let desk = Desk {
            asked: Arc::default(),
            scripted: Arc::default(),
            usual,
        };
        let routes = Router::new().fallback(take).with_state(desk.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, routes).await.expect("it serves");
        });
        Self {
            address,
            desk,
            _serving: serving,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next answers, before it goes on as usual.
    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.desk.scripted.lock().expect("no panic").extend(answers);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().expect("no panic").clone()
    }

    /// Whom it was asked to write to.
    pub(crate) fn recipients(&self) -> Vec<String> {
        let asked = self.asked();
        let to = asked.iter().map(|asked| match asked.field("To") {
            "" => asked.field("to").to_owned(),
            to => to.to_owned(),
        });
        to.collect()
    }
}

async fn take(
    State(desk): State<Desk>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let mut fields = Vec::new();
    if text(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
        fields.extend(form_urlencoded::parse(&body).into_owned());
    }
    fields.sort();
    let asked = Asked {
        method: method.to_string(),
        path: uri.to_string(),
        authorization: text(header::AUTHORIZATION).to_owned(),
        fields,
    };
    desk.asked.lock().expect("no panic").push(asked.clone());
    let scripted = desk.scripted.lock().expect("no panic").pop_front();
    let answer = scripted.unwrap_or_else(|| (desk.usual)(&asked));
    let status = StatusCode::from_u16(answer.status).expect("a status");
    let mut response = (status, answer.body).into_response();
    let head = response.headers_mut();
    head.insert(
        header::CONTENT_TYPE,
        "application/json".parse().expect("a type"),
    );
    if let Some(secs) = answer.retry_after {
        head.insert(header::RETRY_AFTER, secs.into());
    }
    response
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
