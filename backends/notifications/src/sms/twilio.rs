//! Twilio: its Messages resource, as <https://www.twilio.com/docs/messaging/api/message-resource>
//! describes it.

use anyhow::{bail, ensure};
use futures::{FutureExt, future::BoxFuture};
use host::Secret;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::{
    Provider,
    ask::{self, Answer},
};
use crate::{number::Number, refusal::Refusal};

const API: &str = "https://api.twilio.com";

/// What Twilio says of a number that will not do next time either: no number (21211, 21217), one that
/// has asked for no more texts (21610), one that takes none (21614), a short one (21265), one at home
/// (21635). Every other refusal speaks of the account or the way, and can be mended.
const NUMBER_REFUSED: [i64; 6] = [21211, 21217, 21265, 21610, 21614, 21635];

/// How Twilio is asked (`apps.notifications.settings.sms.providers[].twilio`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwilioConfig {
    /// The account: `AC` and 32 hex digits.
    pub account_sid: String,
    /// The API key that `auth_token` is the secret of; without it `auth_token` is the account's own.
    #[serde(default)]
    pub key_sid: Option<String>,
    /// The account's token, or the API key's secret.
    pub auth_token: Secret,
    /// The number or name that texts are from; or else `messaging_service_sid`.
    #[serde(default)]
    pub from: Option<String>,
    /// The service that chooses who texts are from; or else `from`.
    #[serde(default)]
    pub messaging_service_sid: Option<String>,
    /// Where Twilio listens, if not at `https://api.twilio.com`. HTTPS, but for this very machine.
    #[serde(default)]
    pub api: Option<String>,
}

pub(super) struct Twilio {
    client: reqwest::Client,
    messages: Url,
    user: String,
    password: Secret,
    /// The field that says who texts are from, and what it says.
    sender: (&'static str, String),
}

impl Twilio {
    pub(super) fn new(config: TwilioConfig) -> anyhow::Result<Self> {
        let sid = config.account_sid;
        ensure!(
            sid.len() == 34
                && sid.starts_with("AC")
                && sid.bytes().all(|b| b.is_ascii_alphanumeric()),
            "`account_sid` is none: write `AC` and 32 hex digits"
        );
        let sender = match (config.from, config.messaging_service_sid) {
            (Some(from), None) => ("From", from),
            (None, Some(service)) => ("MessagingServiceSid", service),
            _ => bail!("write one of `from` and `messaging_service_sid`"),
        };
        let mut messages = ask::base(config.api.as_deref(), API)?;
        messages.set_path(&format!("/2010-04-01/Accounts/{sid}/Messages.json"));
        Ok(Self {
            client: ask::client()?,
            messages,
            user: config.key_sid.unwrap_or(sid),
            password: config.auth_token,
            sender,
        })
    }
}

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn send<'a>(
        &'a self,
        _id: Uuid,
        to: &'a Number,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let (field, sender) = &self.sender;
        let request = self
            .client
            .post(self.messages.clone())
            .basic_auth(&self.user, Some(self.password.reveal()));
        async move {
            let fields = [
                ("To", to.as_str()),
                (*field, sender.as_str()),
                ("Body", text),
            ];
            judge(&ask::post(request, &fields).await?)
        }
        .boxed()
    }
}

fn judge(answer: &Answer) -> Result<(), Refusal> {
    let code = answer.body["code"].as_i64();
    match answer.status {
        // The text has a name there, so it was taken; anything else that is well is not Twilio.
        200..=299
            if answer.body["sid"]
                .as_str()
                .is_some_and(|sid| !sid.is_empty()) =>
        {
            match answer.body["error_code"].as_i64() {
                None => Ok(()),
                Some(code) => Err(refused(answer, Some(code))),
            }
        }
        200..=299 => Err(answer.later("its answer is not understood".to_owned())),
        _ => Err(refused(answer, code)),
    }
}

fn refused(answer: &Answer, code: Option<i64>) -> Refusal {
    let status = answer.status;
    match code {
        Some(code) if status < 429 && NUMBER_REFUSED.contains(&code) => {
            Refusal::Final(format!("it refuses the number ({code})"))
        }
        Some(code) => answer.later(format!("it answers {status} ({code})")),
        None => answer.later(format!("it answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_answer_is_judged_by_what_it_says() {
        let wait = Some(Duration::from_secs(7));
        let later = |why: &str, after| Refusal::Later {
            why: why.to_owned(),
            after,
        };
        for (status, retry_after, body, expected) in [
            (201, None, json!({"sid": "SM1", "error_code": null}), Ok(())),
            (
                201,
                None,
                json!({"sid": "SM1", "status": "failed", "error_code": 21614}),
                Err(Refusal::Final("it refuses the number (21614)".to_owned())),
            ),
            (
                200,
                None,
                Value::Null,
                Err(later("its answer is not understood", None)),
            ),
            (
                201,
                None,
                json!({"sid": ""}),
                Err(later("its answer is not understood", None)),
            ),
            (
                400,
                None,
                json!({"code": 21211, "message": "The 'To' number +1 is no number", "status": 400}),
                Err(Refusal::Final("it refuses the number (21211)".to_owned())),
            ),
            (
                400,
                None,
                json!({"code": 21606, "message": "From is not yours", "status": 400}),
                Err(later("it answers 400 (21606)", None)),
            ),
            (
                401,
                None,
                json!({"code": 20003}),
                Err(later("it answers 401 (20003)", None)),
            ),
            (
                429,
                wait,
                json!({"code": 20429}),
                Err(later("it answers 429 (20429)", wait)),
            ),
            (503, wait, Value::Null, Err(later("it answers 503", wait))),
            (302, None, Value::Null, Err(later("it answers 302", None))),
        ] {
            let answer = Answer {
                status,
                retry_after,
                body,
            };
            assert_eq!(judge(&answer), expected, "{status}");
        }
    }
}
