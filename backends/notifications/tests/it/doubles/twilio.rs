//! What passes for Twilio: <https://www.twilio.com/docs/messaging/api/message-resource>, with the
//! numbers that its test credentials know
//! (<https://www.twilio.com/docs/iam/test-credentials#test-sms-messages>).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Answer, Asked};

pub(crate) const ACCOUNT_SID: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const AUTH_TOKEN: &str = "hush-hush-twilio";
pub(crate) const FROM: &str = "+15005550006";
/// It is no number.
pub(crate) const TWILIO_REFUSED: &str = "+15005550001";

pub(super) fn answer(asked: &Asked) -> Answer {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
    let login = STANDARD.encode(format!("{ACCOUNT_SID}:{AUTH_TOKEN}"));
    let (to, body) = (asked.field("To"), asked.field("Body"));
    if asked.authorization != format!("Basic {login}") {
        return error(401, 20003, "Authenticate");
    }
    if (asked.method.as_str(), asked.path.as_str()) != ("POST", path.as_str()) {
        return error(404, 20404, "The requested resource was not found");
    }
    let refused = match to {
        "" => Some((21604, "A 'To' phone number is required.".to_owned())),
        TWILIO_REFUSED => Some((21211, format!("Invalid 'To' Phone Number: {to}"))),
        "+15005550003" => Some((21408, format!("Permission to send to {to} is missing"))),
        "+15005550004" => Some((21610, format!("{to} has opted out"))),
        "+15005550009" => Some((21614, format!("{to} is not a mobile number"))),
        _ if body.is_empty() => Some((21602, "Message body is required.".to_owned())),
        _ => None,
    };
    if let Some((code, message)) = refused {
        return error(400, code, &message);
    }
    let sid = format!("SM{}", "0a".repeat(16));
    let message = json!({
        "account_sid": ACCOUNT_SID,
        "api_version": "2010-04-01",
        "body": body,
        "date_created": "Fri, 02 Jan 2026 03:00:00 +0000",
        "date_sent": null,
        "date_updated": "Fri, 02 Jan 2026 03:00:00 +0000",
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": asked.field("From"),
        "messaging_service_sid": null,
        "num_media": "0",
        "num_segments": "1",
        "price": null,
        "price_unit": "USD",
        "sid": sid,
        "status": "queued",
        "subresource_uris": {},
        "to": to,
        "uri": format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}.json"),
    });
    Answer::json(201, &message)
}

fn error(status: u16, code: u32, message: &str) -> Answer {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    let body: Value =
        json!({ "code": code, "message": message, "more_info": more, "status": status });
    Answer::json(status, &body)
}
