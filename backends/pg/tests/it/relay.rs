//! Nothing is lost, nothing has its effect twice, and each key keeps its order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use events::{AddressKnown, Channel};
use pg::Bell;
use tokio_util::sync::CancellationToken;

use crate::stage::{Stage, consumer, eventually};

#[tokio::test]
async fn an_event_arrives_and_its_payload_is_gone() {
    let stage = Stage::new().await;
    let id = stage.publish("ann").await;
    assert_eq!(
        stage
            .relay(vec![stage.listener(|_| false)])
            .round()
            .await
            .unwrap(),
        1
    );
    assert_eq!(stage.heard(), ["ann"]);
    let row: (uuid::Uuid, serde_json::Value, i32, bool) =
        sqlx::query_as("select id, payload, attempts, delivered_at is not null from users.outbox")
            .fetch_one(stage.pool())
            .await
            .unwrap();
    assert_eq!(row, (id, serde_json::json!({}), 1, true));
}

#[tokio::test]
async fn a_rolled_back_change_tells_nothing() {
    let stage = Stage::new().await;
    let mut tx = stage.pool().begin().await.unwrap();
    let event = AddressKnown {
        to: "ann".into(),
        channel: Channel::Email,
    };
    pg::outbox::publish(&mut tx, "users", &event).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(
        stage
            .relay(vec![stage.listener(|_| false)])
            .round()
            .await
            .unwrap(),
        0
    );
    assert_eq!(stage.heard(), [""; 0]);
}

#[tokio::test]
async fn a_failing_event_blocks_its_own_key_alone_and_comes_again_in_order() {
    let stage = Stage::new().await;
    for to in ["ann", "bob", "ann", "ann", "bob"] {
        stage.publish(to).await;
    }
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let listener = stage.listener(move |to| to == "ann" && is_broken.load(Ordering::SeqCst));
    let relay = stage.relay(vec![listener]);

    // Heads: ann fails, bob is done. Then bob's second; ann's others wait behind the first.
    assert_eq!(relay.round().await.unwrap(), 1);
    assert_eq!(relay.round().await.unwrap(), 1);
    assert_eq!(relay.round().await.unwrap(), 0);
    assert_eq!(stage.heard(), ["ann", "bob", "bob"]);
    let (attempts, error, later): (i32, String, bool) = sqlx::query_as(
        "select attempts, last_error, next_try_at > now() from users.outbox
        where attempts > 0 and delivered_at is null",
    )
    .fetch_one(stage.pool())
    .await
    .unwrap();
    assert_eq!(
        (attempts, error.as_str(), later),
        (1, "hall.listen: not today", true)
    );

    stage.forget();
    broken.store(false, Ordering::SeqCst);
    stage.time_passes().await;
    while relay.round().await.unwrap() > 0 {}
    assert_eq!(stage.heard(), ["ann", "ann", "ann"]);
}

#[tokio::test]
async fn each_retry_waits_longer_up_to_five_minutes() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let relay = stage.relay(vec![stage.listener(|_| true)]);
    let mut waits = Vec::new();
    for _ in 0..14 {
        stage.time_passes().await;
        relay.round().await.unwrap();
        let wait: f64 = sqlx::query_scalar(
            "select extract(epoch from next_try_at - now())::float8 from users.outbox",
        )
        .fetch_one(stage.pool())
        .await
        .unwrap();
        waits.push(wait);
    }
    assert!(waits[0] <= 0.25, "{waits:?}");
    assert!((2.0..=4.0).contains(&(waits[4] + 0.1)), "{waits:?}");
    assert!(waits[13] <= 300.0 && waits[13] > 140.0, "{waits:?}");
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let relay = stage.relay(vec![consumer("hall.clumsy", |_| {
        Box::pin(async { panic!("dropped the tray") })
    })]);
    assert_eq!(relay.round().await.unwrap(), 0);
    let error: String = sqlx::query_scalar("select last_error from users.outbox")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(error, "hall.clumsy: the handler panicked");
}

#[tokio::test]
async fn a_redelivery_has_no_second_effect() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let relay = stage.relay(vec![stage.guest_book()]);
    assert_eq!(relay.round().await.unwrap(), 1);
    // As if the process had died between the effect and the note in the outbox.
    sqlx::query(r#"update users.outbox set delivered_at = null, payload = '{"to":"ann"}'"#)
        .execute(stage.pool())
        .await
        .unwrap();
    assert_eq!(relay.round().await.unwrap(), 1);
    assert_eq!(stage.guests().await, ["ann"]);
}

#[tokio::test]
async fn a_relay_cut_off_midway_leaves_the_event_to_the_next() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let begun = Arc::new(tokio::sync::Notify::new());
    let begins = begun.clone();
    let hangs = stage.relay(vec![consumer("hall.hangs", move |_| {
        begins.notify_one();
        Box::pin(std::future::pending())
    })]);
    let round = tokio::spawn(async move { hangs.round().await });
    begun.notified().await;
    let next = stage.relay(vec![stage.guest_book()]);
    assert_eq!(next.round().await.unwrap(), 0, "the first one has the lock");
    round.abort();
    eventually(async || next.round().await.unwrap() == 1).await;
    assert_eq!(stage.guests().await, ["ann"]);
}

#[tokio::test]
async fn one_of_two_consumers_failing_brings_the_event_to_both_and_the_effect_once() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let second = stage.listener(move |_| is_broken.load(Ordering::SeqCst));
    let relay = stage.relay(vec![stage.guest_book(), second]);
    assert_eq!(relay.round().await.unwrap(), 0);
    broken.store(false, Ordering::SeqCst);
    stage.time_passes().await;
    assert_eq!(relay.round().await.unwrap(), 1);
    assert_eq!(stage.guests().await, ["ann"]);
    assert_eq!(stage.heard(), ["ann", "ann"]);
}

#[tokio::test]
async fn two_relays_never_work_one_outbox_at_a_time() {
    let stage = Stage::new().await;
    for number in 0..20 {
        stage.publish(&format!("guest{number:02}")).await;
    }
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Each relay delivers at most one event at a time here, so two at once are two relays.
    let slow = |at_once: Arc<AtomicUsize>, most: Arc<AtomicUsize>, book: pg::Consumer| {
        consumer("hall.slow", move |envelope| {
            let (at_once, most, book) = (at_once.clone(), most.clone(), book.clone());
            Box::pin(async move {
                let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                (book.handle)(envelope).await
            })
        })
    };
    sqlx::query("update users.outbox set key = 'the same'")
        .execute(stage.pool())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let bell = Bell::hang(stage.pool(), "users", stop.clone());
    let running: Vec<_> = (0..3)
        .map(|_| {
            let relay = stage.relay(vec![slow(
                at_once.clone(),
                most.clone(),
                stage.guest_book(),
            )]);
            tokio::spawn(relay.run(bell.clone(), stop.clone()))
        })
        .collect();
    eventually(async || stage.guests().await.len() == 20).await;
    stop.cancel();
    for relay in running {
        relay.await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_commit_rings_the_bell() {
    let stage = Stage::new().await;
    let stop = CancellationToken::new();
    let bell = Bell::hang(stage.pool(), "users", stop.clone());
    let relay = tokio::spawn(
        stage
            .relay(vec![stage.listener(|_| false)])
            .run(bell, stop.clone()),
    );
    // Whatever connects and looks at the start is over with the first.
    stage.publish("first").await;
    eventually(async || stage.heard().len() == 1).await;
    let mut fastest = Duration::MAX;
    for number in 0..5 {
        let began = Instant::now();
        stage.publish(&format!("guest{number}")).await;
        eventually(async || stage.heard().len() == number + 2).await;
        fastest = fastest.min(began.elapsed());
    }
    // Polling alone would take 250 ms as a rule; five in a row under 150 are no luck.
    assert!(fastest < Duration::from_millis(150), "{fastest:?}");
    stop.cancel();
    relay.await.unwrap();
}

#[tokio::test]
async fn an_event_that_nobody_here_hears_waits() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let mut relay = stage.relay(vec![stage.listener(|_| false)]);
    relay.topic = "users.verified";
    assert_eq!(relay.round().await.unwrap(), 0);
    let (waiting, _) = pg::outbox::backlog(stage.pool(), "users").await.unwrap();
    assert_eq!(waiting, 1);
}

#[tokio::test]
async fn what_was_delivered_goes_after_a_week_and_what_waits_stays() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    stage
        .relay(vec![stage.listener(|_| false)])
        .round()
        .await
        .unwrap();
    assert_eq!(pg::outbox::prune(stage.pool(), "users").await.unwrap(), 0);
    sqlx::query("update users.outbox set delivered_at = now() - interval '8 days'")
        .execute(stage.pool())
        .await
        .unwrap();
    stage.publish("bob").await;
    sqlx::query("update users.outbox set created_at = now() - interval '8 days'")
        .execute(stage.pool())
        .await
        .unwrap();
    assert_eq!(pg::outbox::prune(stage.pool(), "users").await.unwrap(), 1);
    let left: Vec<String> = sqlx::query_scalar("select key from users.outbox")
        .fetch_all(stage.pool())
        .await
        .unwrap();
    assert_eq!(left, ["bob"]);
}

#[tokio::test]
async fn a_silent_server_holds_up_one_round_and_no_more() {
    let stage = Stage::new().await;
    stage.publish("ann").await;
    let mut silence = stage.pool().begin().await.unwrap();
    sqlx::query("lock table users.outbox")
        .execute(&mut *silence)
        .await
        .unwrap();
    let mut relay = stage.relay(vec![stage.listener(|_| false)]);
    relay.pool = stage.patient_pool(8);
    let round = relay.round();
    let waits = "select exists (select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')";
    let time_flies = async {
        while !sqlx::query_scalar::<_, bool>(waits)
            .fetch_one(stage.pool())
            .await
            .unwrap()
        {}
        // From here on nothing else happens.
        tokio::time::pause();
    };
    let began = tokio::time::Instant::now();
    let (error, ()) = tokio::join!(round, time_flies);
    assert!(began.elapsed() < Duration::from_secs(60));
    tokio::time::resume();
    assert!(pg::outage(&error.unwrap_err()));

    silence.rollback().await.unwrap();
    eventually(async || relay.round().await.unwrap() == 1).await;
    assert_eq!(stage.heard(), ["ann"]);
}

#[tokio::test]
async fn notes_of_what_was_handled_go_when_they_are_old() {
    let stage = Stage::new().await;
    sqlx::query(
        "insert into hall.inbox (event_id, consumer, handled_at)
        select gen_random_uuid(), 'hall.listen', now() - n * interval '1 day'
        from generate_series(1, 1500) n",
    )
    .execute(stage.pool())
    .await
    .unwrap();
    let before = time::OffsetDateTime::now_utc() - time::Duration::hours(30 * 24 + 12);
    let mut rounds = Vec::new();
    for _ in 0..3 {
        rounds.push(
            pg::inbox::prune(stage.pool(), "hall", before)
                .await
                .unwrap(),
        );
    }
    assert_eq!(rounds, [1000, 470, 0]);
}
