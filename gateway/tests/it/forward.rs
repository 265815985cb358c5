use identity::KeyRing;

use crate::stage::{Answer, KEY, OPEN, Origin, Stage};

const IDENTIFIED: &str = "
auth:
  who: { test_who: {} }
routes:
  - { id: me, match: { method: [GET, POST], path: /** }, to: origin, auth: who }
";

fn open(sealed: &http::HeaderValue) -> identity::Statement {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let keys = KeyRing::parse(KEY).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    identity::open(&keys, sealed.to_str().unwrap(), "origin", now).unwrap()
}

#[tokio::test]
async fn gateway_19_a_clients_word_on_identity_never_arrives_and_ours_always_does() {
    let stage = Stage::open(IDENTIFIED).await;
    let forged = "x-test-user: u1\r\nX-Identity: forged\r\nX_User_Id: admin\r\nx.user.id: admin\r\n\
                  X-USER-ROLES: admin\r\nx_identity: forged\r\nAuthorization: Bearer secret\r\n";
    assert_eq!(stage.get("/", forged).await.status, 200);
    let asked = stage.origin.asked().await;
    let statement = open(&asked.headers["x-identity"]);
    assert_eq!(statement.who.unwrap().sub, "u1");
    assert_eq!(statement.route, "me");
    assert_eq!(asked.headers["x-user-id"], "u1");
    assert_eq!(asked.headers["x-user-roles"], "user");
    for gone in ["x_user_id", "x.user.id", "x_identity", "authorization"] {
        assert!(!asked.headers.contains_key(gone), "{gone}");
    }
    assert!(!format!("{asked:?}").contains("forged"));
}

#[tokio::test]
async fn gateway_21_a_public_route_states_that_nobody_is_known() {
    let stage = Stage::open(OPEN).await;
    let client = stage.client(true);
    let answer = client
        .get(stage.url("/"))
        .header("x-user-id", "admin")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let asked = stage.origin.asked().await;
    assert_eq!(open(&asked.headers["x-identity"]).who, None);
    assert!(!asked.headers.contains_key("x-user-id"));
}

#[tokio::test]
async fn an_upstream_with_clients_of_its_own_gets_what_they_show() {
    let open = "auth: none, why_public: a test";
    let table = OPEN.replace(open, &format!("{open}, pass_authorization: true"));
    assert_ne!(table, OPEN);
    let stage = Stage::open(&table).await;
    let shown = "Authorization: Basic aWQ6c2VjcmV0\r\n";
    assert_eq!(stage.get("/", shown).await.status, 200);
    let asked = stage.origin.asked().await;
    assert_eq!(asked.headers["authorization"], "Basic aWQ6c2VjcmV0");
    let stage = Stage::open(OPEN).await;
    assert_eq!(stage.get("/", shown).await.status, 200);
    let asked = stage.origin.asked().await;
    assert!(!asked.headers.contains_key("authorization"));
    // What is judged here is nobody else's to judge.
    let judged = IDENTIFIED.replace("auth: who", "auth: who, pass_authorization: true");
    let refused = stage.refused(&stage.table("", &judged));
    assert!(refused.contains("which is judged here"), "{refused}");
}

#[tokio::test]
async fn gateway_20_a_connection_header_can_not_take_ours_away() {
    let stage = Stage::open(IDENTIFIED).await;
    let mut wire = stage.connect().await;
    wire.send(
        "GET / HTTP/1.1\r\nHost: a\r\nx-test-user: u1\r\n\
         Connection: close, x-identity, x-user-id, x-other\r\nx-other: hop\r\n\r\n",
    )
    .await;
    assert_eq!(wire.response().await.status, 200);
    let asked = stage.origin.asked().await;
    assert_eq!(open(&asked.headers["x-identity"]).who.unwrap().sub, "u1");
    assert_eq!(asked.headers["x-user-id"], "u1");
    assert!(
        !asked.headers.contains_key("x-other"),
        "nominated fields end here"
    );
}

#[tokio::test]
async fn who_is_not_known_is_not_let_in() {
    let stage = Stage::open(IDENTIFIED).await;
    let answer = stage.get("/", "").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "unauthenticated")
    );
    assert!(answer.headers.contains_key("www-authenticate"));
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn gateway_08_trailers_carry_no_identity() {
    let stage = Stage::open(OPEN).await;
    let answer = stage
        .raw(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
             Trailer: x-user-id\r\n\r\n2\r\nhi\r\n0\r\nx-user-id: admin\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let asked = stage.origin.asked().await;
    assert_eq!(asked.body, "hi");
    assert!(!asked.headers.contains_key("x-user-id"));
}

#[tokio::test]
async fn trap_18_nobody_is_believed_about_where_they_come_from() {
    let stage = Stage::open(OPEN).await;
    let lies = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    stage.get("/", lies).await;
    let asked = stage.origin.asked().await;
    assert_eq!(asked.headers["x-forwarded-for"], "127.0.0.1");
    let sealed = open(&asked.headers["x-identity"]).client;
    assert_eq!(sealed, Some([127, 0, 0, 1].into()));
    assert_eq!(asked.headers["x-forwarded-proto"], "http");
    assert_eq!(asked.headers["x-forwarded-host"], "edge.test");
    assert_eq!(asked.headers["host"], "edge.test");
    assert!(!format!("{asked:?}").contains("6.6.6.6"));
    stage.client(true).get(stage.url("/")).send().await.unwrap();
    assert_eq!(
        stage.origin.asked().await.headers["x-forwarded-proto"],
        "https"
    );
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "trusted_proxies: [127.0.0.0/8]", OPEN).await;
    stage
        .get("/", "X-Forwarded-For: 1.1.1.1, 6.6.6.6\r\n")
        .await;
    let asked = stage.origin.asked().await;
    assert_eq!(asked.headers["x-forwarded-for"], "6.6.6.6, 127.0.0.1");
    let sealed = open(&asked.headers["x-identity"]).client;
    assert_eq!(sealed, Some([6, 6, 6, 6].into()));
    assert_eq!(stage.records().await[0]["client"], "6.6.6.6");
}

#[tokio::test]
async fn trap_17_cookie_crumbs_become_one() {
    let stage = Stage::open(OPEN).await;
    let client = stage.client(true);
    let request = client
        .get(stage.url("/"))
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let asked = stage.origin.asked().await;
    let cookies: Vec<_> = asked.headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

#[tokio::test]
async fn a_trace_goes_on_with_a_span_of_our_own() {
    let stage = Stage::open(OPEN).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    stage.get("/", &format!("traceparent: {parent}\r\n")).await;
    let sent = stage.origin.asked().await.headers["traceparent"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{sent}"
    );
    assert_ne!(sent, parent);
    assert_eq!(
        stage.records().await[0]["trace_id"],
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
}

/// What a browser app's refresh needs: a cookie that no script can read, both ways.
#[tokio::test]
async fn an_upstreams_own_cookie_and_headers_pass_both_ways() {
    let set = "__Host-refresh=next; Path=/; Secure; HttpOnly; SameSite=Strict";
    let origin = Origin::start(move |_| {
        Answer::ok("x")
            .header("set-cookie", set)
            .header("set-cookie", "other=1")
    });
    let stage = Stage::before(origin.await, "", OPEN).await;
    for h2 in [true, false] {
        let request = stage.client(h2).post(stage.url("/v1/auth/refresh"));
        let request = request
            .header("cookie", "__Host-refresh=before; a=1")
            .header("x-device-token", "d1")
            .header("x-refresh-transport", "cookie");
        let answer = request.send().await.unwrap();
        let set_cookies = answer.headers().get_all("set-cookie").iter();
        assert_eq!(set_cookies.collect::<Vec<_>>(), [set, "other=1"]);
        let asked = stage.origin.asked().await;
        assert_eq!(asked.headers["cookie"], "__Host-refresh=before; a=1");
        assert_eq!(asked.headers["x-device-token"], "d1");
        assert_eq!(asked.headers["x-refresh-transport"], "cookie");
    }
}

#[tokio::test]
async fn what_concerned_the_upstreams_connection_stays_there() {
    let origin = Origin::start(|asked| {
        Answer::ok("x")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("upgrade", "h2c")
            .header("x-identity", asked.headers["x-identity"].to_str().unwrap())
    })
    .await;
    let stage = Stage::before(origin, "", OPEN).await;
    for h2 in [true, false] {
        let answer = stage.client(h2).get(stage.url("/")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        for gone in ["keep-alive", "proxy-connection", "upgrade", "x-identity"] {
            assert!(!answer.headers().contains_key(gone), "{gone}");
        }
    }
}
