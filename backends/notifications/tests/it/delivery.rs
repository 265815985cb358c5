use events::{AddressKnown, Channel, UserErased};

use notifications::Config;

use crate::stage::{Stage, await_that, code_for, config};

#[tokio::test]
async fn a_code_reaches_its_address_and_is_forgotten() {
    let stage = Stage::start().await;
    stage
        .app
        .deliver(&code_for("ann@example.com"))
        .await
        .1
        .expect("noted");
    let mail = stage.mail_of(1).await;
    assert_eq!(mail[0].to, "ann@example.com");
    assert_eq!(mail[0].subject, "Your verification code");
    assert!(mail[0].text.contains("314159") && mail[0].text.contains("https://vorota.example"));
    assert_eq!(stage.message_that_is("sent").await, (1, false));
    stage.app.stop().await;
}

#[tokio::test]
async fn what_was_sent_to_somebody_is_forgotten_when_they_are() {
    let stage = Stage::start().await;
    for to in ["ann@example.com", "bob@example.com"] {
        stage.app.deliver(&code_for(to)).await.1.expect("noted");
    }
    stage.mail_of(2).await;
    let erased = UserErased {
        user_id: uuid::Uuid::from_u128(0xa),
        addresses: vec![
            "0000000000000000000000000000000000000000000000000000000000000000".to_owned(),
            // sha256sum of the id and ann@example.com
            "d7f99d5a013991d254013e60c3aab7bf7ad546b44c37ada85ce8cdf9797a675d".to_owned(),
        ],
    };
    stage.app.deliver(&erased).await.1.expect("forgotten");
    let left = "select recipient from notifications.message";
    let left: Vec<String> = sqlx::query_scalar(left)
        .fetch_all(stage.app.pool())
        .await
        .expect("messages");
    assert_eq!(left, ["bob@example.com"]);
    stage.app.stop().await;
}

#[tokio::test]
async fn a_redelivered_event_is_one_mail() {
    let stage = Stage::start().await;
    let (envelope, first) = stage
        .app
        .deliver(&AddressKnown {
            to: "ann@example.com".to_owned(),
            channel: Channel::Email,
        })
        .await;
    first.expect("noted");
    stage.mail_of(1).await;
    let (one, other) = tokio::join!(
        stage.app.redeliver(envelope.clone()),
        stage.app.redeliver(envelope)
    );
    one.and(other).expect("known already");
    // Whatever a second row would have made has left before this one's mail.
    stage
        .app
        .deliver(&code_for("bob@example.com"))
        .await
        .1
        .expect("noted");
    let mail = stage.mail_of(2).await;
    let to: Vec<&str> = mail.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["bob@example.com", "ann@example.com"]);
    assert_eq!(mail[1].subject, "You already have an account");
    stage.app.stop().await;
}

#[tokio::test]
async fn an_address_cannot_add_headers_or_recipients() {
    for hostile in [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com>\r\nRCPT TO:<eve@example.com",
        "ann@example.com, eve@example.com",
        "",
    ] {
        let stage = Stage::start().await;
        stage
            .app
            .deliver(&code_for(hostile))
            .await
            .1
            .expect("noted");
        assert_eq!(
            stage.message_that_is("dead").await,
            (1, false),
            "{hostile:?}"
        );
        assert!(stage.mail().is_empty(), "{hostile:?}");
        stage.app.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_hides_starttls_gets_no_mail() {
    // The inbox announces none. The address leads here too, but is none of loopback's.
    let stage = Stage::start_with(|smtp| Config {
        smtp: format!("smtp://0.0.0.0:{}", smtp.port()),
        ..config(smtp)
    })
    .await;
    stage
        .app
        .deliver(&code_for("ann@example.com"))
        .await
        .1
        .expect("noted");
    await_that("a failure", || async {
        let sql = "select last_error is not null from notifications.message";
        sqlx::query_scalar(sql)
            .fetch_one(stage.app.pool())
            .await
            .expect("one message")
    })
    .await;
    assert_eq!(stage.message().await, ("waiting".to_owned(), 1, true));
    assert!(stage.mail().is_empty());
    stage.app.stop().await;
}
