//! What the clock tells an outsider: nothing. Welch's t-test over 2,000 tries, of which half are about
//! people who have an account; beyond 4.5 chance is no excuse (dudect, Reparaz et al. 2017).

#![expect(
    clippy::print_stdout,
    reason = "how far apart the two are is to be seen"
)]

use std::time::Instant;

use serde_json::{Value, json};

use crate::stage::{PASSWORD, Stage};

const EACH: usize = 1_000;
/// The slowest are the machine's doing, not the question's.
const CROPPED: usize = EACH / 20;

/// Ann 0 to Ann 999, who share a password.
async fn known(stage: &Stage) {
    stage.member("ann@example.com").await;
    stage
        .execute(
            "insert into users.account (id, email, password_hash, created_at)
            select gen_random_uuid(), 'known' || n || '@example.com', a.password_hash, a.created_at
            from users.account a, generate_series(0, 999) n where a.email = 'ann@example.com'",
        )
        .await;
}

/// How far apart two samples are, in units of chance.
fn welch(one: &mut [f64], other: &mut [f64]) -> f64 {
    let moments = |sample: &mut [f64]| {
        sample.sort_unstable_by(f64::total_cmp);
        let kept = &sample[..sample.len() - CROPPED];
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let spread = kept.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, spread / count)
    };
    let ((mean, spread), (other_mean, other_spread)) = (moments(one), moments(other));
    (mean - other_mean) / (spread + other_spread).sqrt()
}

async fn t(path: &str, status: u16, body: impl Fn(String) -> Value) -> f64 {
    let stage = Stage::start().await;
    known(&stage).await;
    let (mut theirs, mut nobodys) = (Vec::new(), Vec::new());
    let mut coin = 88_172_645_463_325_252_u64;
    while theirs.len() < EACH || nobodys.len() < EACH {
        // In random order, so that whatever else the machine does meets both alike.
        coin ^= coin << 13;
        coin ^= coin >> 7;
        coin ^= coin << 17;
        let is_known = coin.is_multiple_of(2) && theirs.len() < EACH || nobodys.len() == EACH;
        let (sample, who) = if is_known {
            (&mut theirs, "known")
        } else {
            // As long as the other name: the strength of a password is judged by it too.
            (&mut nobodys, "other")
        };
        let body = body(format!("{who}{}@example.com", sample.len()));
        let began = Instant::now();
        let answer = stage.post(path, body).await;
        sample.push(began.elapsed().as_secs_f64());
        assert_eq!(answer.status, status, "{answer:?}");
    }
    welch(&mut theirs, &mut nobodys)
}

fn judge(what: &str, t: f64) {
    println!("{what}: t = {t:.2}");
    assert!(t.abs() < 4.5, "{what} tells who has an account: t = {t:.2}");
}

#[tokio::test]
async fn users_2_the_clock_tells_nothing_of_a_sign_in() {
    let wrong = |email| json!({"email": email, "password": "a wrong one"});
    judge("login", t("/v1/auth/login", 401, wrong).await);
}

#[tokio::test]
async fn users_2_the_clock_tells_nothing_of_a_registration() {
    let wish = |email| json!({"email": email, "password": PASSWORD});
    judge("register", t("/v1/auth/register", 202, wish).await);
}

#[tokio::test]
async fn users_2_the_clock_tells_nothing_of_a_code_to_sign_in_with() {
    let wish = |email| json!({ "email": email });
    judge("otp", t("/v1/auth/otp", 202, wish).await);
}

#[tokio::test]
async fn users_2_the_clock_tells_nothing_of_a_forgotten_password() {
    let wish = |email| json!({ "email": email });
    judge("forgot", t("/v1/auth/password/forgot", 202, wish).await);
}

#[test]
fn a_difference_is_found() {
    let sample = |more: f64| -> Vec<f64> {
        (0..EACH)
            .map(|n| more + (n * 7_919 % 1_000) as f64 / 1_000.0)
            .collect()
    };
    assert!(welch(&mut sample(0.0), &mut sample(0.0)).abs() < 0.1);
    assert!(welch(&mut sample(0.1), &mut sample(0.0)) > 4.5);
}
