//! What a crash may not take: transfers of which somebody was told that they are done.

use std::process::Command;

use ledger::{AccountId, Answer, Outcome, Teller};
use local::postgres::Cluster;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;

use crate::books::{Books, order, usd};

const WRITERS: usize = 8;
const CRASHES: usize = 3;
/// Answers between two crashes.
const CALM: usize = 60;

/// Kills a server process as the kernel would when memory runs out: PostgreSQL throws all its sessions
/// out and its memory away, and starts anew from what is in the write-ahead log.
async fn crash(pool: &PgPool) {
    let busiest = "select pid from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid()
        order by state = 'active' desc, xact_start nulls last limit 1";
    let pid: i32 = sqlx::query_scalar(busiest)
        .fetch_one(pool)
        .await
        .expect("a session");
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.expect("kill is there").success());
}

/// Transfers one after the other, each asked for under its key until there is an answer, as clients do.
async fn write(
    teller: Teller,
    name: usize,
    pair: (AccountId, AccountId),
    told: &watch::Sender<usize>,
) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for n in 0.. {
        if *told.borrow() >= (CRASHES + 1) * CALM {
            break;
        }
        let key = format!("{name}/{n}");
        let outcome = loop {
            if let Ok(outcome) = teller.post(order(&key, pair.0, pair.1, usd(1))).await {
                break outcome;
            }
        };
        let (Outcome::Fresh(answer) | Outcome::Replayed(answer)) = outcome else {
            panic!("{key}: {outcome:?}")
        };
        assert_eq!(answer.status, 201);
        answers.push((key, answer));
        told.send_modify(|told| *told += 1);
    }
    answers
}

#[tokio::test]
async fn what_was_told_to_be_done_outlives_crashes_and_is_done_once() {
    let cluster = Cluster::temporary().expect("a private PostgreSQL starts");
    let options: PgConnectOptions = cluster.url().parse().expect("a database URL");
    // What a real server does and temporary ones leave out: an answer waits for the log.
    let options = options.options([("synchronous_commit", "on")]);
    let books = Books::begin_in(PgPool::connect_lazy_with(options)).await;
    let (ann, bob) = (books.wallet(1_000_000).await, books.wallet(1_000_000).await);

    // Two tellers are two replicas.
    let tellers = [0, 1].map(|_| Teller::open(books.pool().clone()));
    let (told, mut heard) = watch::channel(0);
    let pair = |n| if n % 4 < 2 { (ann, bob) } else { (bob, ann) };
    let writers = (0..WRITERS).map(|n| write(tellers[n % 2].clone(), n, pair(n), &told));
    let crashes = async {
        for n in 1..=CRASHES {
            heard
                .wait_for(|told| *told >= n * CALM)
                .await
                .expect("writers");
            crash(books.pool()).await;
        }
    };
    let (answers, ()) = futures::join!(futures::future::join_all(writers), crashes);

    let mut from_ann = 0;
    for (n, answers) in answers.into_iter().enumerate() {
        let (from, to) = pair(n);
        from_ann += answers.len() as i64 * if from == ann { 1 } else { -1 };
        for (key, answer) in answers {
            let again = books.post(&[order(&key, from, to, usd(1))]).await;
            assert_eq!(again, [Outcome::Replayed(answer)], "{key}");
        }
    }
    assert_eq!(books.posted(ann).await, 1_000_000 - from_ann);
    assert_eq!(books.posted(bob).await, 1_000_000 + from_ann);
    books.assert_proven().await;
}
