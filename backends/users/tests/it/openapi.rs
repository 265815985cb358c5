//! The document that the gateway checks requests by.

use expect_test::expect_file;
use host::App;
use users::Users;

#[test]
fn the_committed_document_is_what_the_code_says() {
    let document = Users::openapi().to_pretty_json().expect("a document");
    expect_file!["../../openapi.json"].assert_eq(&format!("{document}\n"));
}
