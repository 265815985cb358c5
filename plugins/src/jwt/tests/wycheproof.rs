//! Security case 23: other people's collection of what libraries for JOSE got wrong.
//!
//! Their payloads are no claims and their headers name no access token, so that both would be
//! refused for that alone. Here any `typ` will do and any payload: what is judged is which key and
//! algorithm are taken, and whether the signature holds.
//!
//! `cargo test -p plugins wycheproof -- --nocapture` prints the tally.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::*;
use crate::jwt::config::Typ;

#[derive(Deserialize)]
struct Group {
    suite: String,
    about: String,
    keys: Vec<Value>,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: u32,
    about: String,
    good: bool,
    token: Value,
}

/// What a table can name.
const PAIRS: [Alg; 9] = [
    Alg::EdDSA,
    Alg::ES256,
    Alg::ES384,
    Alg::RS256,
    Alg::RS384,
    Alg::RS512,
    Alg::PS256,
    Alg::PS384,
    Alg::PS512,
];

/// Valid ones that are refused all the same, and why.
const NOT_OURS: [(&str, u32, &str); 10] = [
    (
        "json_web_signature",
        346,
        "a PS384 token, and the key is said to be for PS256",
    ),
    (
        "json_web_signature",
        350,
        "a PS384 token, and the key is said to be for PS256",
    ),
    ("json_web_signature", 347, "ES512 can't be named in a table"),
    ("json_web_signature", 351, "ES512 can't be named in a table"),
    (
        "json_web_signature",
        372,
        "a character that base64url has not, in the header",
    ),
    (
        "json_web_signature",
        373,
        "a character that base64url has not, in the payload",
    ),
    ("json_web_crypto", 48, "two secrets: a table names one"),
    ("json_web_crypto", 50, "encrypted"),
    ("json_web_crypto", 67, "encrypted"),
    ("json_web_key", 2, "two secrets: a table names one"),
];

/// Said to be invalid for a padding that got lost on the way: byte for byte they are number 357,
/// which is valid.
const MISTAKEN: [(&str, u32); 2] = [("json_web_signature", 367), ("json_web_signature", 370)];

/// The keys as a table would name them, with what they are for. `None`: none that it would take.
fn keys(group: &Group) -> Option<(KeySet, Vec<Alg>)> {
    if let [key] = &group.keys[..]
        && key["kty"] == "oct"
    {
        let alg = key["alg"].as_str().and_then(Alg::named)?;
        let secret = URL_SAFE_NO_PAD.decode(key["k"].as_str()?).ok()?;
        let long_enough = alg
            .secret_bytes()
            .is_some_and(|least| secret.len() >= least);
        return long_enough.then(|| (KeySet::shared(&secret, &[alg]), vec![alg]));
    }
    let document = json!({ "keys": group.keys }).to_string();
    let set = KeySet::parse(document.into(), &PAIRS).ok()?;
    Some((set, PAIRS.to_vec()))
}

fn holds(token: &str, keys: &KeySet, algs: &[Alg]) -> bool {
    let Some(token) = Token::of_anything(token) else {
        return false;
    };
    let types = [Typ::AccessToken, Typ::Jwt, Typ::Absent];
    let Ok((alg, kid)) = token.signed_with(algs, &types) else {
        return false;
    };
    let (alg, fitting) = (alg, keys.find(kid, alg));
    token.verify(alg, &fitting).is_ok()
}

#[test]
#[expect(clippy::print_stdout, reason = "the tally is for people")]
fn gateway_23_wycheproof() {
    let file = include_str!("../../../testdata/wycheproof/jose.json");
    let groups: Vec<Group> = serde_json::from_str(file).expect("vectors");
    let (mut refused, mut accepted, mut not_ours, mut wrong) = (0, 0, 0, Vec::new());
    for group in &groups {
        let keys = keys(group);
        for vector in &group.tests {
            let token = match &vector.token {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let held = keys
                .as_ref()
                .is_some_and(|(set, algs)| holds(&token, set, algs));
            let exempt = NOT_OURS
                .iter()
                .any(|(suite, id, _)| (*suite, *id) == (&*group.suite, vector.id));
            let mistaken = MISTAKEN.contains(&(&*group.suite, vector.id));
            match (vector.good ^ mistaken, held) {
                (false, false) => refused += 1,
                (true, true) if !exempt => accepted += 1,
                (true, false) if exempt => not_ours += 1,
                _ => wrong.push(format!(
                    "{} {} {}, {}: held {held}",
                    group.suite, vector.id, group.about, vector.about
                )),
            }
        }
    }
    println!(
        "wycheproof: {refused} invalid refused, {accepted} valid accepted, {not_ours} valid not taken"
    );
    for (suite, id, why) in NOT_OURS {
        println!("  {suite} {id}: {why}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(refused + accepted + not_ours, 510);
}
