use std::net::TcpStream;

use local::provider::Provider;
use serde_json::json;

#[test]
fn a_provider_starts_on_a_port_of_its_own_and_ends_when_dropped() {
    let provider = Provider::start(json!({})).expect("oidc-provider starts");
    let port = provider.port();
    assert_eq!(provider.issuer(), format!("http://127.0.0.1:{port}"));
    TcpStream::connect(("127.0.0.1", port)).expect("it listens");

    let taken = Provider::start_on(port, json!({})).expect_err("two servers share no port");
    assert!(format!("{taken:#}").contains("did not start"), "{taken:#}");

    drop(provider);
    TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens any more");
}
