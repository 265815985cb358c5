//! SMS.RU: its method `sms/send`, as <https://sms.ru/api/send> describes it. It answers 200 whatever
//! happened: what happened stands in the answer, once for the request and once for each number.

use futures::{FutureExt, future::BoxFuture};
use host::Secret;
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{
    Provider,
    ask::{self, Answer},
};
use crate::{number::Number, refusal::Refusal};

const API: &str = "https://sms.ru";

const TAKEN: i64 = 100;
/// What SMS.RU says of a number that will not do next time either: no number, or none that it has a way
/// to (202, 207), one on our stop list (209) or on theirs, since its owner has complained (215). Every
/// other refusal speaks of the account, its money or its limits, and can be mended.
const NUMBER_REFUSED: [i64; 4] = [202, 207, 209, 215];

/// How SMS.RU is asked (`apps.notifications.settings.sms.providers[].smsru`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsRuConfig {
    /// The account's key.
    pub api_id: Secret,
    /// The name that texts are from, as agreed with SMS.RU; the account's usual one without it.
    #[serde(default)]
    pub from: Option<String>,
    /// Where SMS.RU listens, if not at `https://sms.ru`. HTTPS, but for this very machine.
    #[serde(default)]
    pub api: Option<String>,
}

pub(super) struct SmsRu {
    client: reqwest::Client,
    send: Url,
    api_id: Secret,
    from: Option<String>,
}

impl SmsRu {
    pub(super) fn new(config: SmsRuConfig) -> anyhow::Result<Self> {
        let mut send = ask::base(config.api.as_deref(), API)?;
        send.set_path("/sms/send");
        Ok(Self {
            client: ask::client()?,
            send,
            api_id: config.api_id,
            from: config.from,
        })
    }
}

impl Provider for SmsRu {
    fn name(&self) -> &'static str {
        "smsru"
    }

    fn send<'a>(
        &'a self,
        _id: Uuid,
        to: &'a Number,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let request = self.client.post(self.send.clone());
        async move {
            let mut fields = vec![
                ("api_id", self.api_id.reveal()),
                ("to", to.digits()),
                ("msg", text),
                ("json", "1"),
            ];
            fields.extend(self.from.as_deref().map(|from| ("from", from)));
            judge(&ask::post(request, &fields).await?, to)
        }
        .boxed()
    }
}

fn judge(answer: &Answer, to: &Number) -> Result<(), Refusal> {
    if answer.status != 200 {
        return Err(answer.later(format!("it answers {}", answer.status)));
    }
    let of_request = code(&answer.body);
    let of_number = code(&answer.body["sms"][to.digits()]);
    match (of_request, of_number) {
        (Some(TAKEN), Some(TAKEN)) => Ok(()),
        (Some(TAKEN), Some(code)) | (Some(code), _) if NUMBER_REFUSED.contains(&code) => {
            Err(Refusal::Final(format!("it refuses the number ({code})")))
        }
        (Some(TAKEN), Some(code)) => Err(answer.later(format!("it refuses the text ({code})"))),
        (Some(TAKEN), None) | (None, _) => {
            Err(answer.later("its answer is not understood".to_owned()))
        }
        (Some(code), _) => Err(answer.later(format!("it refuses the request ({code})"))),
    }
}

/// A `status_code`: a number, or the same in quotes.
fn code(about: &Value) -> Option<i64> {
    let code = &about["status_code"];
    code.as_i64().or_else(|| code.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_of_200_may_mean_failure() {
        let to = Number::parse("+79255070602").expect("a number");
        let later = |why: &str| Err(Refusal::later(why));
        let refused = |why: &str| Err(Refusal::Final(why.to_owned()));
        let of_number = |code: Value| {
            let of_number = json!({"79255070602": {"status": "ERROR", "status_code": code}});
            json!({"status": "OK", "status_code": 100, "sms": of_number})
        };
        let of_request = |code: Value| json!({"status": "ERROR", "status_code": code});
        for (status, body, expected) in [
            (200, of_number(json!(100)), Ok(())),
            (200, of_number(json!("100")), Ok(())),
            (
                200,
                of_number(json!(207)),
                refused("it refuses the number (207)"),
            ),
            (
                200,
                of_number(json!(215)),
                refused("it refuses the number (215)"),
            ),
            (
                200,
                of_number(json!(230)),
                later("it refuses the text (230)"),
            ),
            (
                200,
                of_request(json!(202)),
                refused("it refuses the number (202)"),
            ),
            (
                200,
                of_request(json!(200)),
                later("it refuses the request (200)"),
            ),
            (
                200,
                of_request(json!(201)),
                later("it refuses the request (201)"),
            ),
            (
                200,
                of_request(json!(220)),
                later("it refuses the request (220)"),
            ),
            (
                200,
                json!({"status": "OK", "status_code": 100}),
                later("its answer is not understood"),
            ),
            (
                200,
                json!({"status": "OK", "status_code": 100, "sms": {"79255070603": {"status_code": 100}}}),
                later("its answer is not understood"),
            ),
            (
                200,
                json!({"status": "OK", "status_code": 100, "sms": []}),
                later("its answer is not understood"),
            ),
            (200, Value::Null, later("its answer is not understood")),
            (502, Value::Null, later("it answers 502")),
        ] {
            let answer = Answer {
                status,
                retry_after: None,
                body,
            };
            assert_eq!(judge(&answer, &to), expected, "{}", answer.body);
        }
    }
}
