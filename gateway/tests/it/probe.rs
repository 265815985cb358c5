//! An edge asked from outside whether it is the one that its table describes.

use std::path::Path;

use gateway::probe::{Target, Token, Verdict, probe};

use crate::stage::Stage;

const ROUTES: &str = "
auth: { user: { test_who: {} } }
routes:
  - { id: open, match: { method: GET, path: /open }, to: origin, auth: none, why_public: a test }
  - { id: mine, match: { method: [GET, POST], path: '/mine/{id}' }, to: origin, auth: user }
  - { id: ours, match: { method: PUT, path: /ours/** }, to: origin, auth: user, allow: { roles: [admin] }, max_body: 1KiB }
  - { id: beta, match: { method: [GET, POST], path: /beta, headers: { x-beta: '1' }, query: { v: '2' } }, to: origin, auth: user }
";

#[tokio::test]
async fn an_edge_that_holds_is_good_and_nothing_gets_behind_it() {
    let stage = Stage::open(ROUTES).await;
    let plan = stage.described(ROUTES);
    let target = Target::new(&format!("http://{}", stage.plain), None).unwrap();
    let report = probe(&plan, &target, None).await;
    assert_eq!(report.count(Verdict::Bad), 0, "{report}");
    assert_eq!(report.count(Verdict::Unclear), 0, "{report}");
    assert!(report.count(Verdict::Good) > 30, "{report}");
    assert!(stage.origin.is_unasked().await, "something got through");
}

#[tokio::test]
async fn an_edge_that_is_open_where_it_should_not_be_is_found_out() {
    let stage = Stage::open(&ROUTES.replace(
        "to: origin, auth: user }\n  - { id: ours",
        "to: origin, auth: none, why_public: a mistake }\n  - { id: ours",
    ))
    .await;
    let plan = stage.described(ROUTES);
    let ca = stage.file("ca.pem", &stage.trusted);
    let target = Target::new(
        &format!("https://localhost:{}", stage.https.port()),
        Some(&ca),
    );
    let report = probe(&plan, &target.unwrap(), None).await;
    let bad: Vec<&str> = report
        .results
        .iter()
        .filter(|result| result.verdict == Verdict::Bad)
        .map(|result| result.name.as_str())
        .collect();
    assert_eq!(bad.len(), 6, "{report}");
    assert!(bad.iter().all(|name| name.contains("(mine)")), "{report}");
}

#[tokio::test]
async fn an_edge_that_is_not_there_is_unclear() {
    let stage = Stage::open(ROUTES).await;
    let plan = stage.described(ROUTES);
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let target = Target::new(&format!("http://{address}"), None).unwrap();
    let report = probe(&plan, &target, None).await;
    assert_eq!(report.count(Verdict::Unclear), report.results.len());
}

#[test]
fn a_target_is_an_edge_and_a_token_a_token() {
    for bad in [
        "api.example.com",
        "ftp://api",
        "https://api/v1",
        "https://",
        "",
    ] {
        assert!(Target::new(bad, None).is_err(), "{bad}");
    }
    assert!(Target::new("https://api", Some(Path::new("/nowhere.pem"))).is_err());
    for bad in ["", "abc", "a.b.c", "e30.e30.", "e30.bnVsbA."] {
        assert!(Token::read(bad).is_none(), "{bad}");
    }
}
