//! The issuer away, slow, broken or under siege.

use super::*;

/// Security case 33, for who is asked about tokens: 503 within the budget, whatever happens there.
#[tokio::test(start_paused = true)]
async fn gateway_33_an_issuer_that_fails_is_our_trouble() {
    let html = "<html>".to_owned();
    let long = format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(40_000));
    let twice = "{\"active\":false,\"active\":true}".to_owned();
    for (act, what) in [
        (Act::Away, "away"),
        (Act::Hangs, "hangs"),
        (
            Act::Slowly(Duration::from_secs(3), good(json!({})).to_string()),
            "slow",
        ),
        (Act::Says(500, String::new()), "500"),
        (Act::Says(302, String::new()), "302"),
        (
            Act::Says(401, "{\"active\":true}".into()),
            "401: it does not know us",
        ),
        (Act::Says(200, html), "HTML"),
        (Act::Says(200, long), "long"),
        (Act::Says(200, twice), "two ways to read it"),
        (Act::Says(200, "{}".into()), "no answer"),
        (Act::Says(200, "{\"active\":\"true\"}".into()), "no truth"),
        (Act::Says(200, "[true]".into()), "a list"),
        (Act::Says(200, String::new()), "nothing"),
    ] {
        let stage = Stage::new(json!({}));
        stage.issuer.play(act.clone());
        let before = tokio::time::Instant::now();
        assert_eq!(stage.ask("t1").await, AWAY, "{what}");
        assert!(before.elapsed() <= Duration::from_secs(2), "{what}");
        // That is not remembered: once it can be asked, it is.
        stage.issuer.says(&good(json!({})));
        stage.pass(1).await;
        assert_eq!(stage.ask("t1").await, OK, "{what}");

        // What was known before holds for as long as the table says.
        let stage = Stage::new(json!({ "stale": "5m" }));
        assert_eq!(stage.ask("t1").await, OK);
        stage.issuer.play(act);
        stage.pass(200).await;
        assert_eq!(stage.ask("t1").await, OK, "{what}");
        assert!(
            stage
                .lent
                .meter
                .of("auth.opaque.introspection", "introspection_stale")
                > 0
        );
        stage.pass(99).await;
        assert_eq!(stage.ask("t1").await, OK, "{what}");
        // Its own end comes first here.
        stage.pass(2).await;
        assert_eq!(stage.ask("t1").await, AWAY, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_one_token_is_one_question() {
    let stage = Arc::new(Stage::new(json!({})));
    stage.issuer.play(Act::Slowly(
        Duration::from_millis(500),
        good(json!({})).to_string(),
    ));
    let ask = |token: String| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { stage.ask(&token).await })
    };
    // The first one goes away; the others get their answer all the same.
    let gone = ask("t1".into());
    tokio::task::yield_now().await;
    let crowd: Vec<_> = (0..100).map(|_| ask("t1".into())).collect();
    tokio::task::yield_now().await;
    gone.abort();
    for one in crowd {
        assert_eq!(one.await.expect("an answer"), OK);
    }
    assert_eq!(stage.issuer.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tokens_asks_no_more_than_so_much_at_once() {
    let stage = Arc::new(Stage::new(json!({ "max_in_flight": 4, "stale": "5m" })));
    assert_eq!(stage.ask("known").await, OK);
    stage.pass(31).await;
    stage.issuer.play(Act::Hangs);
    let flood: Vec<_> = (0..2_000)
        .map(|number| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.ask(&format!("t{number}")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let before = tokio::time::Instant::now();
    assert_eq!(
        stage.ask("known").await,
        OK,
        "what is known holds in the crowd"
    );
    for one in flood {
        assert_eq!(one.await.expect("an answer"), AWAY);
    }
    assert!(
        before.elapsed() <= Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(stage.issuer.most_at_once(), 4);
    assert!(
        stage
            .lent
            .meter
            .of("auth.opaque.introspection", "introspection_crowded")
            > 0
    );
    // Nothing is left behind.
    stage.issuer.says(&good(json!({})));
    stage.pass(3).await;
    assert_eq!(stage.ask("t1").await, OK);
}
