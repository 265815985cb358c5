//! What passes for SMS.RU: <https://sms.ru/api/send>. It answers 200 to everything.

use serde_json::{Value, json};

use super::{Answer, Asked};

pub(crate) const API_ID: &str = "hush-hush-smsru";
/// The documentation's example of a number that no text can go to.
pub(crate) const SMSRU_REFUSED: &str = "+74993221627";

pub(super) fn answer(asked: &Asked) -> Answer {
    let error = |code: u32| json!({ "status": "ERROR", "status_code": code, "status_text": "what went wrong" });
    let body = match asked {
        _ if asked.path != "/sms/send" => error(211),
        _ if asked.field("api_id") != API_ID => error(200),
        _ if asked.field("msg").is_empty() => error(203),
        _ if asked.field("json") != "1" => return Answer::page(200),
        _ => of_numbers(asked.field("to")),
    };
    Answer::json(200, &body)
}

fn of_numbers(to: &str) -> Value {
    let mut of_numbers = serde_json::Map::new();
    for number in to.split(',') {
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && number.len() == 11;
        let of_number = match number {
            _ if !is_number => error_of_number(202),
            _ if SMSRU_REFUSED.ends_with(number) => error_of_number(207),
            _ => json!({ "status": "OK", "status_code": 100, "sms_id": "000000-10000000" }),
        };
        of_numbers.insert(number.to_owned(), of_number);
    }
    json!({ "status": "OK", "status_code": 100, "sms": of_numbers, "balance": 4122.56 })
}

fn error_of_number(code: u32) -> Value {
    json!({ "status": "ERROR", "status_code": code, "status_text": "what went wrong" })
}
