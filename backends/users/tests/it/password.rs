//! Which passwords may be chosen, and what becomes of those that other systems hashed.

use serde_json::{Value, json};

use crate::stage::{PASSWORD, Stage};

async fn checked(stage: &Stage, password: &str) -> Value {
    let wish = json!({"password": password, "words": ["ann.leeward@example.com", "+79161234567"]});
    let answer = stage.post("/v1/auth/password/check", wish).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.body
}

#[tokio::test]
async fn who_thinks_of_a_password_hears_what_it_would_be_worth() {
    let stage = Stage::start().await;
    let good = checked(&stage, PASSWORD).await;
    assert_eq!(
        good,
        json!({"score": 4, "breached": false, "acceptable": true, "advice": []})
    );
    for (password, breached) in [
        ("Blueshawk", true),
        ("Leeward9161234567", false),
        ("x7#Kq", false),
    ] {
        let poor = checked(&stage, password).await;
        assert_eq!(
            (&poor["acceptable"], &poor["breached"]),
            (&json!(false), &json!(breached)),
            "{password}"
        );
        assert_ne!(poor["advice"], json!([]), "{password}");
    }
    let wish = json!({"password": "a".repeat(1025)});
    let answer = stage.post("/v1/auth/password/check", wish).await;
    assert_eq!((answer.status, answer.code()), (400, "bad_body"));
}

#[tokio::test]
async fn a_refusal_says_what_to_do_about_it() {
    let stage = Stage::start().await;
    let wish = json!({"email": "ann.leeward@example.com", "password": "leeward99"});
    let answer = stage.post("/v1/auth/register", wish).await;
    assert_eq!((answer.status, answer.code()), (422, "weak_password"));
    let detail = answer.text("detail");
    assert!(detail.contains("Add another word or two."), "{detail}");
}

/// The file holds `tangerine walrus quartz meadow`, between two others.
#[tokio::test]
async fn a_password_on_the_operators_list_is_refused_until_the_list_is_lost() {
    let path = std::env::temp_dir().join(format!("operators-list-{}", std::process::id()));
    let list = "0000000000000000000000000000000000000000:1\r\n\
                2094C0586BC675B0C3D0B3339FA61C2C3B7315E3:27\r\n\
                FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF:3\r\n";
    std::fs::write(&path, list).expect("written");
    let stage =
        Stage::start_with(|settings| settings.breached_passwords = Some(path.clone())).await;

    let listed = "tangerine walrus quartz meadow";
    assert_eq!(checked(&stage, listed).await["breached"], true);
    let wish = json!({"email": "ann@example.com", "password": listed});
    let answer = stage.post("/v1/auth/register", wish).await;
    assert_eq!((answer.status, answer.code()), (422, "weak_password"));
    assert_eq!(checked(&stage, PASSWORD).await["breached"], false);

    std::fs::remove_file(&path).expect("removed");
    assert_eq!(checked(&stage, listed).await["breached"], false);
    assert_eq!(checked(&stage, "blueshawk").await["breached"], true);
    let metrics = stage.metrics().await;
    let lost = "users_breached_file_failures_total 2";
    assert!(metrics.contains(lost), "{metrics}");
}

#[tokio::test]
async fn a_hash_of_another_system_is_replaced_when_its_owner_signs_in() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    // `PASSWORD` by Python's bcrypt 4.0.1.
    stage
        .execute(
            "update users.account
            set password_hash = '$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K'",
        )
        .await;
    let kept = || stage.column::<String>("select password_hash from users.account");

    let answer = stage
        .login("ann@example.com", "correct horse battery stable")
        .await;
    assert_eq!(answer.status, 401);
    assert!(
        kept().await[0].starts_with("$2b$06$"),
        "a wrong one replaces nothing"
    );

    assert_eq!(stage.login("ann@example.com", PASSWORD).await.status, 200);
    let anew = kept().await;
    assert!(
        anew[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{anew:?}"
    );
    assert_eq!(stage.login("ann@example.com", PASSWORD).await.status, 200);
    assert_eq!(kept().await, anew, "what is of today stays");

    let metrics = stage.metrics().await;
    for name in ["wait", "work"] {
        let line = format!("users_passwords_{name}_seconds_count{{work=\"verify\"}} 3");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn a_password_that_is_changed_during_a_sign_in_stays_changed() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    stage
        .execute(
            "update users.account
            set password_hash = '$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K'",
        )
        .await;

    let mut change = stage.pool().begin().await.expect("a transaction");
    sqlx::query("update users.account set password_hash = 'changed meanwhile'")
        .execute(&mut *change)
        .await
        .expect("changed");
    let commit = async {
        // The sign-in has held the password against the old hash, and waits for the account.
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        while stage.column::<i64>(waiting).await == [0] {}
        change.commit().await.expect("committed");
    };
    tokio::join!(stage.login("ann@example.com", PASSWORD), commit);

    let kept = stage
        .column::<String>("select password_hash from users.account")
        .await;
    assert_eq!(kept, ["changed meanwhile"]);
}
