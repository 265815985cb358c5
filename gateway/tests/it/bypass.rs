//! Ways round a limit, and that they lead nowhere. Case 32 of the security cases; what is about
//! keys alone is tested beside `plugins/src/rate_limit.rs`.

use futures::future::join_all;

use crate::stage::{Answer, Origin, Stage};

const FIVE: &str = "
limits:
  few: { per: ip, rate: 5/1h }
routes:
  - { id: small, match: { method: [GET, POST], path: /v1/small }, to: origin, auth: none, why_public: a test, limits: [few] }
  - { id: other, match: { method: GET, path: /v1/other }, to: origin, auth: none, why_public: a test }
";

/// Statuses of `GET`s over connections of their own.
async fn gets(stage: &Stage, requests: &[(&str, &str)]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (target, headers) in requests {
        statuses.push(stage.get(target, headers).await.status);
    }
    statuses
}

fn passed(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 200).count()
}

#[tokio::test]
async fn gateway_32_a_forged_address_is_not_another_caller() {
    let stage = Stage::open(FIVE).await;
    let forged: Vec<String> = (0..12)
        .map(|n| format!("X-Forwarded-For: 198.51.100.{n}\r\nX-Real-IP: 198.51.100.{n}\r\nForwarded: for=198.51.100.{n}\r\n"))
        .collect();
    let requests: Vec<_> = forged.iter().map(|head| ("/v1/small", &**head)).collect();
    assert_eq!(passed(&gets(&stage, &requests).await), 5);
    assert_eq!(stage.get("/v1/other", "").await.status, 200);
}

#[tokio::test]
async fn gateway_32_behind_a_trusted_proxy_the_forged_part_does_not_count() {
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "trusted_proxies: [127.0.0.1/32]", FIVE).await;
    // The proxy appends the address that it sees; what stands before it is the client's own.
    let forged: Vec<String> = (0..12)
        .map(|n| format!("X-Forwarded-For: 203.0.113.{n}, 198.51.100.7\r\n"))
        .collect();
    let requests: Vec<_> = forged.iter().map(|head| ("/v1/small", &**head)).collect();
    assert_eq!(passed(&gets(&stage, &requests).await), 5);
    // A /64 is one customer, whatever address of it they come from.
    let rotated: Vec<String> = (0..12)
        .map(|n| format!("X-Forwarded-For: 2001:db8:0:1:{n:x}::1\r\n"))
        .collect();
    let requests: Vec<_> = rotated.iter().map(|head| ("/v1/small", &**head)).collect();
    assert_eq!(passed(&gets(&stage, &requests).await), 5);
}

#[tokio::test]
async fn gateway_32_another_spelling_of_the_path_is_no_other_path() {
    let stage = Stage::open(FIVE).await;
    let spellings = [
        "/v1/small",
        "/v1/%73mall",
        "/v1/smal%6c",
        "/v1/small?a=1",
        "/v1/small?",
        "/v1/small",
        "/v1/%73%6d%61%6c%6c",
        "/v1/small?b",
    ];
    let requests: Vec<_> = spellings.iter().map(|target| (*target, "")).collect();
    let statuses = gets(&stage, &requests).await;
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    // What is not spelled into the same path does not reach the service either.
    let others = [
        "/v1/small/",
        "/v1/SMALL",
        "/v1//small",
        "/v1/./small",
        "/v1/small;x",
        "/v1/%2fsmall",
    ];
    let requests: Vec<_> = others.iter().map(|target| (*target, "")).collect();
    let statuses = gets(&stage, &requests).await;
    assert_eq!(statuses, [400, 404, 400, 400, 400, 400]);
}

#[tokio::test]
async fn gateway_32_many_streams_of_one_connection_are_one_caller() {
    let stage = Stage::open(FIVE).await;
    let client = stage.client(true);
    let calls = (0..60).map(|_| client.get(stage.url("/v1/small")).send());
    let answers = join_all(calls).await;
    let statuses: Vec<u16> = answers
        .into_iter()
        .map(|answer| answer.unwrap().status().as_u16())
        .collect();
    assert_eq!(passed(&statuses), 5, "{statuses:?}");
}

#[tokio::test]
async fn gateway_32_other_methods_and_preflights_count_too() {
    let stage = Stage::open(FIVE).await;
    let mut answers = Vec::new();
    for (method, more) in [
        (
            "OPTIONS",
            "Origin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n",
        ),
        ("HEAD", ""),
        ("POST", "Content-Length: 0\r\n"),
        ("GET", ""),
        (
            "OPTIONS",
            "Origin: https://a.test\r\nAccess-Control-Request-Method: POST\r\n",
        ),
        (
            "OPTIONS",
            "Origin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n",
        ),
        ("HEAD", ""),
        ("GET", ""),
    ] {
        let head =
            format!("{method} /v1/small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}\r\n");
        let answer = stage.raw(head).await;
        answers.push(answer[9..12].to_owned());
    }
    // A preflight that no plugin answers is a 405, and is counted all the same.
    assert_eq!(
        answers,
        ["405", "200", "200", "200", "405", "429", "429", "429"]
    );
}

const FLOOD: &str = "
defaults: { limits: [flood] }
limits:
  flood: { per: ip, rate: 6/1h }
routes:
  - { id: mine, match: { method: GET, path: /v1/me }, to: origin, auth: none, why_public: a test }
";

/// What has no route, or is refused for its path, is counted before it is looked at.
#[tokio::test]
async fn gateway_32_a_flood_without_a_route_meets_the_wide_limit() {
    let stage = Stage::open(FLOOD).await;
    let requests = [
        ("/nothing", ""),
        ("/v1/me", ""),
        ("/v1/%2fme", ""),
        ("/nothing", ""),
        ("/v1/me", "Authorization: Bearer x\r\n"),
        ("/elsewhere", ""),
        ("/nothing", ""),
        ("/v1/me", ""),
        ("/v1/%2fme", ""),
    ];
    let statuses = gets(&stage, &requests).await;
    assert_eq!(statuses, [404, 200, 400, 404, 200, 404, 429, 429, 429]);
    let refused = stage.get("/nothing", "").await;
    assert_eq!(refused.code(), "rate_limited");
    assert_eq!(refused.all("ratelimit-policy"), ["\"flood\";q=6;w=3600"]);
    let wait: u64 = refused.all("retry-after")[0].parse().unwrap();
    assert!(wait > 3_000, "{wait}");
    assert_eq!(
        stage.metric(
            "gateway_refused_total{by=\"rate_limit\",code=\"rate_limited\",route=\"none\"}"
        ),
        4.0
    );
}

const WHO: &str = "
defaults: { limits: [flood] }
limits:
  flood: { per: ip, rate: 4/1h }
auth: { user: { test_who: {} } }
routes:
  - { id: mine, match: { method: GET, path: /v1/me }, to: origin, auth: user }
";

/// A guess at a token is counted whether it is right or not, and after that is not even checked.
#[tokio::test]
async fn gateway_32_bad_tokens_meet_the_wide_limit_before_they_are_checked() {
    let stage = Stage::open(WHO).await;
    let bad = ("/v1/me", "");
    let good = ("/v1/me", "X-Test-User: ann\r\n");
    let statuses = gets(&stage, &[bad, bad, good, bad, bad, good]).await;
    assert_eq!(statuses, [401, 401, 200, 401, 429, 429]);
}

/// One of several limits stands first: the one with the least left.
#[tokio::test]
async fn answers_say_how_all_limits_stand() {
    let stage = Stage::open(
        "
defaults: { limits: [wide] }
limits:
  wide: { per: ip, rate: 100/1h }
  daily: { per: ip, quota: 3/1d }
  burst: { per: [ip, route], rate: 10/1s, burst: 20 }
  few: { per: ip, concurrent: 4 }
routes:
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test, limits: [burst, daily, few] }
",
    )
    .await;
    let answer = stage.get("/", "").await;
    let said = answer.all("ratelimit");
    let names: Vec<&str> = said
        .iter()
        .filter_map(|one| one.split(';').next())
        .collect();
    assert_eq!(
        names,
        ["\"daily\"", "\"few\"", "\"burst\"", "\"wide\""],
        "{said:?}"
    );
    assert_eq!(
        answer.all("ratelimit-policy"),
        [
            "\"daily\";q=3;w=86400",
            "\"few\";q=4;qu=\"concurrent-requests\"",
            "\"burst\";q=20;w=2",
            "\"wide\";q=100;w=3600",
        ]
    );
    for _ in 0..2 {
        assert_eq!(stage.get("/", "").await.status, 200);
    }
    let over = stage.get("/", "").await;
    assert_eq!((over.status, over.code().as_str()), (429, "quota_exceeded"));
}
