//! The record that nobody rewrites.

use crate::stage::Stage;

#[tokio::test]
async fn the_record_takes_no_change() {
    let stage = Stage::start().await;
    stage.member("ann@example.com").await;
    for change in [
        "update users.audit set act = 'nothing'",
        "delete from users.audit",
        "truncate users.audit",
    ] {
        let refused = stage.try_execute(change).await.expect_err(change);
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(
        stage
            .column::<i64>("select count(*) from users.audit")
            .await,
        [1]
    );
    let requests = stage
        .column::<Option<String>>("select request_id from users.audit")
        .await;
    assert!(requests[0].is_some(), "an act is found by its request");
}
