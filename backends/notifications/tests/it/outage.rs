use crate::stage::{Stage, await_that, code_for};

#[tokio::test]
async fn a_mail_waits_for_the_mail_server() {
    let mut stage = Stage::start().await;
    stage.stop_mail_server();
    stage
        .app
        .deliver(&code_for("ann@example.com"))
        .await
        .1
        .expect("noted");
    stage
        .awaits_error("no conversation with the mail server")
        .await;
    stage.start_mail_server().await;
    stage.advance(2);
    assert_eq!(stage.mail_of(1).await[0].to, "ann@example.com");
    assert_eq!(stage.message_that_is("sent").await, (2, false));
    stage.app.stop().await;
}

#[tokio::test]
async fn a_code_that_has_expired_is_not_sent_any_more() {
    let mut stage = Stage::start().await;
    stage.stop_mail_server();
    stage
        .app
        .deliver(&code_for("ann@example.com"))
        .await
        .1
        .expect("noted");
    stage
        .awaits_error("no conversation with the mail server")
        .await;
    stage.advance(600);
    stage.start_mail_server().await;
    assert_eq!(stage.message_that_is("dead").await, (1, false));
    assert!(stage.mail().is_empty());
    stage.app.stop().await;
}

#[tokio::test]
async fn what_a_killed_process_had_claimed_is_sent_by_the_next() {
    let stage = Stage::start().await;
    // As it stands when a process was killed between its claim and its word of success.
    let sql = r#"insert into notifications.message
        (id, kind, recipient, content, attempts, next_try_at, created_at)
        values (gen_random_uuid(), 'address_known', 'ann@example.com', '{"kind": "address_known"}', 1,
            $1 + interval '90 seconds', $1)"#;
    sqlx::query(sql)
        .bind(crate::stage::BEGUN)
        .execute(stage.app.pool())
        .await
        .expect("a row");
    stage
        .app
        .deliver(&code_for("bob@example.com"))
        .await
        .1
        .expect("noted");
    assert_eq!(
        stage.mail_of(1).await[0].to,
        "bob@example.com",
        "the claim still holds"
    );
    stage.advance(90);
    assert_eq!(stage.mail_of(2).await[0].to, "ann@example.com");
    stage.app.stop().await;
}

#[tokio::test]
async fn a_message_that_was_tried_too_often_is_given_up() {
    let stage = Stage::start().await;
    let sql = r#"insert into notifications.message
        (id, kind, recipient, content, attempts, next_try_at, created_at)
        values (gen_random_uuid(), 'address_known', 'ann@example.com', '{"kind": "address_known"}', 20, $1, $1)"#;
    sqlx::query(sql)
        .bind(crate::stage::BEGUN)
        .execute(stage.app.pool())
        .await
        .expect("a row");
    assert_eq!(stage.message_that_is("dead").await, (20, false));
    assert!(stage.mail().is_empty());
    stage.app.stop().await;
}

#[tokio::test]
async fn what_a_newer_version_noted_does_not_hold_the_others_up() {
    let stage = Stage::start().await;
    // Claimed in one batch, the unreadable one first.
    let sql = r#"insert into notifications.message
        (id, kind, recipient, content, next_try_at, created_at)
        values
            (gen_random_uuid(), 'later', 'ann@example.com', '{"kind": "of a later version"}',
                $1 - interval '1 second', $1),
            (gen_random_uuid(), 'address_known', 'bob@example.com', '{"kind": "address_known"}', $1, $1)"#;
    sqlx::query(sql)
        .bind(crate::stage::BEGUN)
        .execute(stage.app.pool())
        .await
        .expect("rows");
    assert_eq!(stage.mail_of(1).await[0].to, "bob@example.com");
    await_that("its failure", || async {
        let sql = "select last_error from notifications.message
            where kind = 'later' and state = 'waiting' and content is not null";
        let error: Option<String> = sqlx::query_scalar(sql)
            .fetch_one(stage.app.pool())
            .await
            .expect("it waits for a version that can read it");
        error.as_deref() == Some("this version cannot read it")
    })
    .await;
    stage.app.stop().await;
}
