//! The header that a balancer puts before a connection.

use gateway::listener::read_proxy_header;
use plugin_sdk::testing::at_once;

/// A header is read to its end and not a byte further, and names what it says.
pub fn run(bytes: &[u8]) {
    let mut rest = bytes;
    let Ok(client) = at_once(read_proxy_header(&mut rest)) else {
        return;
    };
    let header = &bytes[..bytes.len() - rest.len()];
    if let Some(text) = header.strip_prefix(b"PROXY ") {
        assert!(header.ends_with(b"\r\n") && header.len() <= 107);
        let text = std::str::from_utf8(text).expect("a line of text");
        let words: Vec<&str> = text.trim_end_matches("\r\n").split(' ').collect();
        let Some(client) = client else {
            return assert_eq!(words[0], "UNKNOWN");
        };
        assert_eq!(words.len(), 5, "{text:?}");
        assert_eq!(words[1].parse(), Ok(client.ip()));
        assert_eq!(words[3].parse(), Ok(client.port()));
    } else {
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        assert_eq!(header.len(), 16 + length, "cut elsewhere");
        assert_eq!(header[12] >> 4, 2, "another version");
        if let Some(client) = client {
            assert_eq!(header[12] & 0xf, 1, "LOCAL names nobody");
            assert_eq!(client.is_ipv4(), header[13] == 0x11);
        }
    }
    // What is cut is no header.
    for end in [header.len() / 2, header.len().saturating_sub(1)] {
        assert!(at_once(read_proxy_header(&mut &header[..end])).is_err());
    }
}
