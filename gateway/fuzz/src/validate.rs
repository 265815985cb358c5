//! Requests against an OpenAPI document.

use std::sync::{Arc, LazyLock};

use plugin_sdk::Chain;
use plugin_sdk::testing::{NoTasks, TestEnv, TestRequest, at_once, chain};
use serde_json::{Value, json};

static CHAIN: LazyLock<Chain> = LazyLock::new(build);

fn build() -> Chain {
    let folder = super::folder();
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "fuzz", "version": "1" },
        "paths": { "/v1/things/{id}": { "post": {
            "operationId": "make",
            "parameters": [
                { "name": "id", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 1 } },
                { "name": "sort", "in": "query", "schema": { "enum": ["up", "down"] } },
                { "name": "tag", "in": "query", "schema": { "type": "array", "maxItems": 3, "items": { "type": "string", "maxLength": 5 } } },
            ],
            "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": { "type": "string", "maxLength": 8, "pattern": "^[a-z]+$" },
                    "amount": { "type": "integer", "minimum": 0, "maximum": 1000 },
                    "when": { "type": "string", "format": "date-time" },
                    "inner": { "$ref": "#/components/schemas/Inner" },
                },
            } } } },
            "responses": { "200": { "description": "made" } },
        } } },
        "components": { "schemas": { "Inner": {
            "oneOf": [ { "type": "null" }, { "type": "array", "items": { "$ref": "#/components/schemas/Inner" } } ],
        } } },
    });
    std::fs::write(folder.join("openapi.json"), document.to_string()).expect("a file");
    let config = json!({ "document": "openapi.json", "operation": "make" });
    let env = TestEnv::new(folder, Arc::new(NoTasks)).env;
    chain::<plugins::validate::Plugin>(config, &env).expect("a plugin")
}

/// What passes is what the document says, however it is read.
///
/// The first line is the query, the rest the body.
pub fn run(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let Ok(query) = std::str::from_utf8(&bytes[..end]) else {
        return;
    };
    if query.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return;
    }
    let body = bytes.get(end + 1..).unwrap_or_default();
    let target = format!("/v1/things/7?{query}");
    let mut request = TestRequest::new("POST", &target)
        .header("content-type", "application/json")
        .body(body.to_vec());
    request.facts.params = vec![("id".into(), "7".into())];
    if at_once(request.run(&CHAIN)).is_some() {
        return;
    }
    let read: Value = serde_json::from_slice(body).expect("JSON that passed");
    let object = read.as_object().expect("an object that passed");
    let name = object["name"].as_str().expect("a name");
    assert!(name.len() <= 8 && name.bytes().all(|byte| byte.is_ascii_lowercase()));
    assert!(object.get("amount").is_none_or(|amount| {
        // JSON Schema takes 1.0 for an integer.
        amount
            .as_f64()
            .is_some_and(|amount| amount.fract() == 0.0 && (0.0..=1000.0).contains(&amount))
    }));
    assert!(
        object
            .keys()
            .all(|key| ["name", "amount", "when", "inner"].contains(&key.as_str()))
    );
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        assert!(pair.len() < 200, "{query}");
    }
}
