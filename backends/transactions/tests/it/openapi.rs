use expect_test::expect_file;
use host::App;
use transactions::Transactions;

/// The gateway holds bodies to the file, so it must be what we answer by. `UPDATE_EXPECT=1` writes it.
#[test]
fn the_committed_document_is_current() {
    let document = Transactions::openapi()
        .to_pretty_json()
        .expect("a document is plain data");
    expect_file!["../../openapi.json"].assert_eq(&format!("{document}\n"));
}
