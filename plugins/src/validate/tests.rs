use std::sync::Arc;

use plugin_sdk::Chain;
use plugin_sdk::testing::{self, NoTasks, TestEnv, TestRequest, at_once};
use serde_json::json;

use super::*;

const WALLET: &str = "/v1/wallets/0192f0c1-7d3e-7a10-9d7c-0242ac120002/entries";

fn build(operation: &str) -> Result<Chain, BuildError> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/validate");
    let lent = TestEnv::new(folder, Arc::new(NoTasks));
    let config = json!({ "document": "openapi.json", "operation": operation });
    testing::chain::<Plugin>(config, &lent.env)
}

/// What an answer says: status, code, and where the faults are.
fn ask(operation: &str, mut request: TestRequest) -> (u16, &'static str, Vec<(String, String)>) {
    let chain = build(operation).expect("builds");
    match at_once(request.run(&chain)) {
        None => (200, "", Vec::new()),
        Some(reply) => {
            let problem = reply.as_problem().expect("a problem").clone();
            (reply.status.as_u16(), problem.code, problem.errors)
        }
    }
}

fn entries(query: &str) -> TestRequest {
    TestRequest::new("GET", &format!("{WALLET}?{query}"))
}

fn transfer(body: impl Into<bytes::Bytes>) -> TestRequest {
    TestRequest::new("POST", "/v1/transfers")
        .header("idempotency-key", "k1")
        .header("content-type", "application/json")
        .body(body)
}

fn note(body: impl Into<bytes::Bytes>) -> TestRequest {
    TestRequest::new("POST", "/v1/notes")
        .header("content-type", "application/json")
        .body(body)
}

fn wish() -> serde_json::Value {
    json!({ "from": "0192f0c1-7d3e-7a10-9d7c-0242ac120002", "amount": 5 })
}

#[test]
fn a_query_is_what_the_document_names() {
    for good in [
        "",
        "limit=100",
        "kind=in&kind=out",
        "ids=1,2,3",
        "full=true",
        "since=2026-01-31",
        "q=a+b%20c",
        "q=%D0%B6",
    ] {
        assert_eq!(ask("listEntries", entries(good)).0, 200, "{good}");
    }
    for (bad, at) in [
        ("limit=0", "query/limit"),
        ("limit=101", "query/limit"),
        ("limit=+5", "query/limit"),
        ("limit=5.5", "query/limit"),
        ("limit=05", "query/limit"),
        ("limit=0x5", "query/limit"),
        ("limit=", "query/limit"),
        ("limit", "query/limit"),
        ("limit=1e999", "query/limit"),
        ("limit=5&limit=6", "query/limit"),
        ("limit=5&limi%74=6", "query/limit"),
        ("kind=up", "query/kind"),
        ("ids=1,b", "query/ids"),
        ("ids=1&ids=2", "query/ids"),
        ("full=yes", "query/full"),
        ("since=tomorrow", "query/since"),
        ("q=toolong", "query/q"),
        ("q=%zz", "query/q"),
        ("q=%f", "query/q"),
        ("q=%ff", "query/q"),
        ("other=1", "query/other"),
        ("Limit=5", "query/Limit"),
        ("limit[]=5", "query/limit[]"),
        ("limit=5&", "query/"),
    ] {
        let (status, code, errors) = ask("listEntries", entries(bad));
        assert_eq!((status, code), (400, "bad_request"), "{bad}");
        assert_eq!(errors[0].0, at, "{bad}");
    }
}

#[test]
fn a_path_is_the_operations() {
    for (path, status) in [
        (WALLET, 200),
        ("/v1/wallets/7/entries", 400),
        ("/v1/wallets/0192f0c1-7d3e-7a10-9d7c-0242ac120002", 400),
        (
            "/v1/wallets/0192f0c1-7d3e-7a10-9d7c-0242ac120002/other",
            400,
        ),
        (
            "/v1/wallets/%30192f0c1-7d3e-7a10-9d7c-0242ac120002/entries",
            200,
        ),
    ] {
        assert_eq!(
            ask("listEntries", TestRequest::new("GET", path)).0,
            status,
            "{path}"
        );
    }
}

/// Where a route has another path than its operation, what the upstream gets is the operation's.
#[test]
fn a_path_that_was_rewritten_is_judged_as_the_upstream_gets_it() {
    for (forwarded, status) in [(WALLET, 200), ("/v1/wallets/7/entries", 400)] {
        let request = TestRequest::new("GET", "/api/my/entries").forwarded(forwarded);
        assert_eq!(ask("listEntries", request).0, status, "{forwarded}");
    }
    let request = TestRequest::new("GET", WALLET).forwarded("/internal");
    assert_eq!(ask("listEntries", request).0, 400);
}

#[test]
fn a_header_is_there_once_and_fits() {
    let body = || wish().to_string();
    let bare = || {
        TestRequest::new("POST", "/v1/transfers")
            .header("content-type", "application/json")
            .body(body())
    };
    let (status, code, errors) = ask("createTransfer", bare());
    assert_eq!((status, code), (400, "idempotency_key_required"));
    assert_eq!(errors[0].0, "header/Idempotency-Key");
    for (request, status) in [
        (bare().header("idempotency-key", "k1"), 200),
        (bare().header("idempotency-key", "12345678901"), 400),
        (bare().header("idempotency-key", ""), 400),
        (
            bare()
                .header("idempotency-key", "k1")
                .header("Idempotency-Key", "k2"),
            400,
        ),
    ] {
        let (got, code, _) = ask("createTransfer", request);
        assert_eq!(got, status);
        assert!(code.is_empty() || code == "bad_request");
    }
}

#[test]
fn a_cookie_is_there_once_and_fits() {
    for (lines, status) in [
        (&[][..], 200),
        (&["layout=wide"], 200),
        (&["a=b; layout=narrow; c"], 200),
        (&["a=b", "layout=wide"], 200),
        (&["layout=round"], 400),
        (&["layout=wide; layout=narrow"], 400),
        (&["layout=wide", "layout=wide"], 400),
        (&["Layout=round"], 200),
    ] {
        let mut request = entries("limit=1");
        for line in lines {
            request = request.header("cookie", line);
        }
        let (got, _, errors) = ask("listEntries", request);
        assert_eq!(got, status, "{lines:?} {errors:?}");
    }
}

#[test]
fn a_body_fits_its_schema() {
    assert_eq!(ask("createTransfer", transfer(wish().to_string())).0, 200);
    for (change, at) in [
        (json!({ "amount": 0 }), "/amount"),
        (json!({ "amount": "5" }), "/amount"),
        (json!({ "amount": 5.5 }), "/amount"),
        (json!({ "amount": 9_007_199_254_740_992_u64 }), "/amount"),
        (json!({ "from": "somewhere" }), "/from"),
        (json!({ "to": 1 }), ""),
        (json!({ "amount": null }), "/amount"),
    ] {
        let mut body = wish();
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let (status, code, errors) = ask("createTransfer", transfer(body.to_string()));
        assert_eq!((status, code), (400, "bad_body"), "{change}");
        assert_eq!(errors[0].0, at, "{change}");
    }
    for body in ["{}", "[]", "null", "5", "\"x\""] {
        assert_eq!(
            ask("createTransfer", transfer(body)).1,
            "bad_body",
            "{body}"
        );
    }
}

#[test]
fn gateway_36_a_body_reads_in_one_way_only() {
    let good = wish().to_string();
    let twice = good.replacen('{', "{\"amount\":1,", 1);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [
        twice.into_bytes(),
        format!("\u{feff}{good}").into_bytes(),
        utf16,
        good[..good.len() - 1].into(),
        format!("{good}{good}").into_bytes(),
        good.replace('5', "1e999").into_bytes(),
        b"{\"from\":\"\xff\"}".to_vec(),
        Vec::new(),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (status, code, errors) = ask("createTransfer", transfer(body));
        assert_eq!((status, code), (400, "bad_body"), "{shown}");
        assert_eq!(errors[0].0, "");
    }
}

#[test]
fn gateway_36_a_body_is_of_a_type_that_is_taken() {
    let request = || TestRequest::new("POST", "/v1/notes").body("null");
    for (media, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/json;charset=\"utf-8\"", 200),
        ("application/note+json", 200),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset =utf-16", 415),
        ("application/json; charset*=utf-16''x", 415),
        ("application/other+json", 415),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("", 415),
    ] {
        assert_eq!(
            ask("note", request().header("content-type", media)).0,
            status,
            "{media}"
        );
    }
    assert_eq!(ask("note", request()).1, "unsupported_media_type");
    assert_eq!(
        ask(
            "note",
            note("null").header("content-type", "application/json")
        )
        .0,
        415
    );
    assert_eq!(
        ask("note", note("null").header("content-encoding", "gzip")).0,
        415
    );
}

#[test]
fn a_body_is_there_when_it_must_be_and_only_then() {
    let keyed = TestRequest::new("POST", "/v1/transfers").header("idempotency-key", "k1");
    assert_eq!(ask("createTransfer", keyed).1, "bad_body");
    assert_eq!(ask("note", TestRequest::new("POST", "/v1/notes")).0, 200);
    assert_eq!(ask("note", note("")).0, 200);
    assert_eq!(ask("listEntries", entries("").body("")).0, 200);
    assert_eq!(ask("listEntries", entries("").body("{}")).1, "bad_body");
}

#[test]
fn gateway_36_work_is_bounded() {
    let start = std::time::Instant::now();
    let long = format!("\"{}\"", "a".repeat(MAX_BODY_BYTES - 1));
    assert_eq!(ask("note", note(long)).0, 413);
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(ask("note", note(deep)).0, 400);
    // Each level doubles the work of a validator that tries both sides of `oneOf` to the bottom.
    let branching = format!("{}null{}", "{\"left\":".repeat(30), "}".repeat(30));
    assert_eq!(ask("note", note(branching)).0, 200);
    let pattern = json!({ "from": "x", "note": format!("{}b", "a".repeat(60_000)) }).to_string();
    assert_eq!(ask("createTransfer", transfer(pattern)).0, 400);
    let many = format!("[{}\"x\"]", "\"x\",".repeat(16_000));
    assert_eq!(ask("note", note(many)).0, 400);
    assert!(
        start.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_answer_names_five_faults_and_shows_no_value() {
    let secret = "hunter2".repeat(100);
    let body = json!({ "from": secret, "amount": secret, "note": secret, "x": 1, "y": 2, "z": 3 });
    let (_, _, errors) = ask("createTransfer", transfer(body.to_string()));
    assert!((3..=MAX_ERRORS).contains(&errors.len()), "{errors:?}");
    assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");

    let query: Vec<String> = (0..100)
        .map(|n| format!("{}{n}=1", "x".repeat(300)))
        .collect();
    let (_, _, errors) = ask("listEntries", entries(&query.join("&")));
    assert_eq!(errors.len(), MAX_ERRORS);
    assert!(errors.iter().all(|(at, _)| at.len() < 60));

    let body = json!({ "from": wish()["from"], "amount": 1, "k".repeat(3_000): 1 });
    let (_, _, errors) = ask("createTransfer", transfer(body.to_string()));
    assert!(errors[0].1.chars().count() <= 201, "{}", errors[0].1);
}

#[test]
fn what_can_not_be_judged_is_refused_at_load() {
    for (operation, says) in [
        ("createTransfe", "has no operation"),
        (
            "fileOutside",
            "operation `fileOutside`: the schema of its body",
        ),
        (
            "httpOutside",
            "operation `httpOutside`: the schema of its body",
        ),
        ("nowhere", "`#/components/parameters/None` does not lead"),
        ("circle", "does not lead to a place"),
        ("backtracks", "the query parameter `a`"),
        ("form", "only JSON bodies"),
        ("undescribed", "`id` is not described"),
    ] {
        let error = build(operation).err().expect(operation);
        assert_eq!(error.at, ["operation"]);
        assert!(error.message.contains(says), "{error}");
        assert!(
            error.message.contains("openapi.json"),
            "names the file: {error}"
        );
    }
    let error = build("createTransfe").err().expect("a refusal");
    assert_eq!(
        error.hint.as_deref(),
        Some("did you mean `createTransfer`?")
    );
    assert_eq!(build("zzz").err().expect("a refusal").hint, None);
}

#[test]
fn a_document_is_openapi_3_1() {
    let folder = std::env::temp_dir().join(format!("validate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let lent = TestEnv::new(&folder, Arc::new(NoTasks));
    for (text, says) in [
        (None, "No such file"),
        (Some("openapi: 3.1.0"), "expected value"),
        (Some(r#"{"openapi":"3.0.3"}"#), "not 3.1"),
        (Some(r#"{"openapi":"3.1.0","openapi":"3.1.0"}"#), "twice"),
        (Some("{}"), "not 3.1"),
    ] {
        if let Some(text) = text {
            std::fs::write(folder.join("api.json"), text).expect("a file");
        }
        let config = json!({ "document": "api.json", "operation": "x" });
        let error = testing::chain::<Plugin>(config, &lent.env)
            .err()
            .expect(says);
        assert_eq!(error.at, ["document"]);
        assert!(
            error.message.contains(says) && error.message.contains("api.json"),
            "{error}"
        );
    }
}
