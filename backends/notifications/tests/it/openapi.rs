//! The document that tells what the app answers.

use expect_test::expect_file;
use host::App;
use notifications::Notifications;

#[test]
fn the_committed_document_is_what_the_code_says() {
    let document = Notifications::openapi()
        .to_pretty_json()
        .expect("a document");
    expect_file!["../../openapi.json"].assert_eq(&format!("{document}\n"));
}
