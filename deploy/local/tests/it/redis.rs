use std::net::TcpStream;

use local::redis::Server;

#[test]
fn redis_starts_on_a_port_of_its_own_and_ends_when_dropped() {
    let server = Server::start().expect("redis-server starts");
    let port = server.port();
    assert!(server.url().ends_with(&port.to_string()));
    TcpStream::connect(("127.0.0.1", port)).expect("it listens");

    let taken = Server::start_on(port).expect_err("two servers share no port");
    assert!(format!("{taken:#}").contains("did not start"), "{taken:#}");

    drop(server);
    TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens any more");
}
