//! People to try the product with.

use host::{App, DemoPerson};
use users::Users;

use crate::stage::Stage;

fn person(email: &str, password: &str, role: &str) -> DemoPerson {
    DemoPerson {
        email: email.into(),
        password: password.into(),
        role: role.into(),
        user_id: None,
    }
}

#[tokio::test]
async fn demo_people_can_sign_in_and_are_arranged_once() {
    let stage = Stage::start().await;
    let mut people = vec![
        person("ann@demo.example", "moss-lantern-41", "user"),
        person("root@demo.example", "gravel-orchid-77", "admin"),
    ];
    Users::demo(stage.pool(), &mut people)
        .await
        .expect("arranged");
    let ids: Vec<_> = people
        .iter()
        .map(|person| person.user_id.expect("an id"))
        .collect();

    let ann = stage.login("ann@demo.example", "moss-lantern-41").await;
    assert_eq!(ann.claims()["sub"], ids[0].to_string());
    let root = stage.login("root@demo.example", "gravel-orchid-77").await;
    assert_eq!(root.claims()["roles"], serde_json::json!(["admin"]));
    assert_eq!(stage.events().await.len(), 2, "one users.verified each");

    let accounts = "select email || password_hash || perm_ver from users.account order by email";
    let before = stage.column::<String>(accounts).await;
    Users::demo(stage.pool(), &mut people)
        .await
        .expect("arranged");
    assert_eq!(
        people
            .iter()
            .map(|person| person.user_id.expect("an id"))
            .collect::<Vec<_>>(),
        ids
    );
    assert_eq!(stage.column::<String>(accounts).await, before);
    assert_eq!(stage.events().await.len(), 2);
}

#[tokio::test]
async fn a_person_who_changed_is_changed() {
    let stage = Stage::start().await;
    let ann = stage.member("ann@example.com").await;
    stage.forget_events().await;
    let mut people = vec![person("Ann@example.com", "another-password-9", "support")];
    Users::demo(stage.pool(), &mut people)
        .await
        .expect("arranged");

    assert_eq!(people[0].user_id, Some(ann));
    let answer = stage.login("ann@example.com", "another-password-9").await;
    assert_eq!(answer.claims()["roles"], serde_json::json!(["support"]));
    assert!(
        stage.events().await.is_empty(),
        "the address was proven long ago"
    );
    let mut strange = vec![person("bob@example.com", "another-password-9", "emperor")];
    Users::demo(stage.pool(), &mut strange)
        .await
        .expect_err("no such role");
}
