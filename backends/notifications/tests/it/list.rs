use host::testing::{Answer, Running};
use notifications::Notifications;
use serde_json::Value;
use uuid::Uuid;

use crate::stage::{Stage, code_for};

async fn read(stage: &Stage, who: Uuid, roles: &[&str], query: &str) -> Answer {
    let seal = stage
        .app
        .seal(Some(Running::<Notifications>::user(who, roles)));
    stage
        .app
        .get(&format!("/v1/notifications{query}"))
        .header(identity::HEADER, &seal)
        .send()
        .await
}

#[tokio::test]
async fn admins_read_how_messages_fared_page_by_page() {
    let stage = Stage::start().await;
    for (count, name) in ["ann", "bob", "cem"].iter().enumerate() {
        stage
            .app
            .deliver(&code_for(&format!("{name}@example.com")))
            .await
            .1
            .expect("noted");
        stage.mail_of(count + 1).await;
    }
    let admin = Uuid::now_v7();
    let first: Value = read(&stage, admin, &["admin"], "?limit=2").await.json();
    let to: Vec<_> = first["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| &item["to"])
        .collect();
    assert_eq!(to, ["c***@example.com", "b***@example.com"]);
    assert_eq!(first["items"][1]["kind"], "verify_email");
    assert_eq!(first["items"][1]["attempts"], 1);
    let cursor = first["next_cursor"].as_str().expect("the list goes on");
    let last: Value = read(
        &stage,
        admin,
        &["admin"],
        &format!("?limit=2&cursor={cursor}"),
    )
    .await
    .json();
    assert_eq!(last["items"][0]["to"], "a***@example.com");
    assert_eq!(last["next_cursor"], Value::Null);

    let carried = read(
        &stage,
        Uuid::now_v7(),
        &["admin"],
        &format!("?cursor={cursor}"),
    )
    .await;
    assert_eq!(
        (carried.status.as_u16(), carried.code().as_str()),
        (400, "bad_cursor")
    );
    stage.app.stop().await;
}

#[tokio::test]
async fn nobody_else_reads_them() {
    let stage = Stage::start().await;
    let user = read(&stage, Uuid::now_v7(), &["user"], "").await;
    assert_eq!(
        (user.status.as_u16(), user.code().as_str()),
        (403, "forbidden")
    );
    let nobody = stage.app.get("/v1/notifications").send().await;
    assert_eq!(
        (nobody.status.as_u16(), nobody.code().as_str()),
        (401, "unauthenticated")
    );
    stage.app.stop().await;
}
