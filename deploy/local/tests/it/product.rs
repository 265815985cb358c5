//! What keeps a product from starting, told before anything is started. How it runs is told by the
//! journeys in `loadtest`.

use std::{fs, net::TcpListener, path::PathBuf};

use local::{
    ports::Ports,
    product::{Options, Product},
    room,
};

/// A directory that looks like a clone.
fn clone() -> (PathBuf, Options) {
    let root = room::private(&std::env::temp_dir()).expect("a directory");
    fs::write(root.join("routes.yaml"), "").expect("written");
    let ports = Ports::free().expect("free ports");
    let options = Options {
        ports,
        database_url: None,
        ..Options::kept(&root)
    };
    (root, options)
}

async fn complaint(options: Options) -> String {
    Product::start(options)
        .await
        .expect_err("it does not start")
        .to_string()
}

#[tokio::test]
async fn a_second_run_in_one_clone_names_the_first() {
    let (root, options) = clone();
    fs::create_dir(root.join("var")).expect("made");
    let path = root.join("var/run.lock");
    fs::write(&path, "4711").expect("written");
    let held = fs::File::open(&path).expect("open");
    held.try_lock().expect("nobody else has it");
    let told = complaint(options).await;
    assert!(
        told.starts_with("it runs already") && told.contains("process 4711"),
        "{told}"
    );
    fs::remove_dir_all(root).expect("removed");
}

#[tokio::test]
async fn every_taken_port_is_named_at_once() {
    let (root, options) = clone();
    let Ports { edge, smtp, .. } = options.ports;
    let _one = TcpListener::bind(("127.0.0.1", edge)).expect("free a moment ago");
    let _other = TcpListener::bind(("127.0.0.1", smtp)).expect("free a moment ago");
    let told = complaint(options).await;
    let me = format!("(process {})", std::process::id());
    for role in [
        format!("port {edge}, wanted for the edge"),
        format!("port {smtp}, wanted for the inbox's SMTP"),
    ] {
        assert!(told.contains(&role) && told.contains(&me), "{told}");
    }
    assert!(!root.join("var/secrets").exists(), "nothing was made yet");
    fs::remove_dir_all(root).expect("removed");
}

#[tokio::test]
async fn another_directory_than_a_clone_is_told_so() {
    let root = room::private(&std::env::temp_dir()).expect("a directory");
    let told = complaint(Options::kept(&root)).await;
    assert!(told.contains("routes.yaml is not there"), "{told}");
    fs::remove_dir_all(root).expect("removed");
}
