//! The header that a balancer puts before a connection's first byte (PROXY protocol, version 1 in
//! text and version 2 in binary): who is at its other side.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How every header of version 2 begins.
const V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const V1_MAX: usize = 107;
/// The most that may follow the first 16 bytes of version 2: addresses and what balancers add.
const V2_MAX: usize = 2_048;

/// Reads the header and not a byte more. `None` when it names no client: the balancer asks for
/// itself then, or does not know. Time is the caller's to bound.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; 12];
    // The shortest line of version 1, `PROXY UNKNOWN`, is longer than this.
    from.read_exact(&mut start).await?;
    if start == V2 {
        second(from).await
    } else if start.starts_with(b"PROXY ") {
        first(from, &start).await
    } else {
        Err(malformed("neither version"))
    }
}

async fn first(
    from: &mut (impl AsyncRead + Unpin),
    start: &[u8],
) -> io::Result<Option<SocketAddr>> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_MAX {
            return Err(malformed("the line is too long"));
        }
        line.push(from.read_u8().await?);
    }
    let line = std::str::from_utf8(&line[..line.len() - 2]);
    let line = line.map_err(|_| malformed("the line is no text"))?;
    client(line).ok_or_else(|| malformed("the line is none"))
}

/// The client of a line of version 1. The outer `None` means that it is malformed.
fn client(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let target: IpAddr = words.next()?.parse().ok()?;
    let port = |word: &str| {
        word.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| word.parse().ok())
    };
    let source_port: u16 = port(words.next()?)??;
    let _: u16 = port(words.next()?)??;
    let fits = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then(|| Some(SocketAddr::new(source, source_port)))
}

async fn second(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut head = [0; 4];
    from.read_exact(&mut head).await?;
    let [command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MAX {
        return Err(malformed("the header is too long"));
    }
    let mut rest = vec![0; length];
    from.read_exact(&mut rest).await?;
    match (command, family) {
        // LOCAL: the balancer's own connection. What follows says nothing.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => {
            let [a, b, c, d] = *part::<4>(&rest, 0)?;
            Ok(Some(at(Ipv4Addr::new(a, b, c, d), part(&rest, 8)?)))
        }
        (0x21, 0x21) => {
            let address = Ipv6Addr::from(*part::<16>(&rest, 0)?);
            Ok(Some(at(address, part(&rest, 32)?)))
        }
        // A family that it could not tell, or that has no address of the internet.
        (0x21, 0x00 | 0x31 | 0x32) => Ok(None),
        _ => Err(malformed("no stream of the internet")),
    }
}

fn at(address: impl Into<IpAddr>, port: &[u8; 2]) -> SocketAddr {
    SocketAddr::new(address.into(), u16::from_be_bytes(*port))
}

fn part<const N: usize>(bytes: &[u8], from: usize) -> io::Result<&[u8; N]> {
    let part = bytes
        .get(from..from + N)
        .and_then(|part| part.try_into().ok());
    part.ok_or_else(|| malformed("the addresses are cut"))
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> Result<(Option<SocketAddr>, Vec<u8>), io::ErrorKind> {
        use futures::FutureExt as _;
        let mut from = bytes;
        let read = read(&mut from).now_or_never().expect("all is here");
        read.map(|client| (client, from.to_vec()))
            .map_err(|error| error.kind())
    }

    fn v2(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        [&V2[..], &[command, family], &length.to_be_bytes(), rest].concat()
    }

    #[test]
    fn a_line_of_text_names_the_client() {
        for (line, client) in [
            (
                "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n",
                Some("192.0.2.7:4711"),
            ),
            (
                "PROXY TCP6 2001:db8::7 ::1 4711 443\r\n",
                Some("[2001:db8::7]:4711"),
            ),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN and whatever\r\n", None),
        ] {
            let (found, rest) = run(&[line.as_bytes(), b"GET"].concat()).expect(line);
            assert_eq!(
                found,
                client.map(|client| client.parse().expect(client)),
                "{line}"
            );
            assert_eq!(rest, b"GET", "a byte of the request is gone");
        }
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for line in [
            "GET / HTTP/1.1\r\n\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 9\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 +711 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 99999 443\r\n",
            "PROXY TCP4 2001:db8::7 ::1 4711 443\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 4711 443\r\n",
            "PROXY  TCP4 192.0.2.7 10.0.0.1 4711 443\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\n\r\r\n",
            "proxy tcp4 192.0.2.7 10.0.0.1 4711 443\r\n",
        ] {
            assert_eq!(
                run(line.as_bytes()),
                Err(io::ErrorKind::InvalidData),
                "{line}"
            );
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        assert_eq!(run(long.as_bytes()), Err(io::ErrorKind::InvalidData));
        assert_eq!(run(b"PROXY TCP4 192.0"), Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn bytes_name_the_client() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 0xbb];
        let six = [
            &Ipv6Addr::LOCALHOST.octets()[..],
            &Ipv6Addr::LOCALHOST.octets(),
            &[0x12, 0x67, 1, 0xbb],
        ]
        .concat();
        let more = [&four[..], &[0x04, 0, 1, 0]].concat();
        for (bytes, client) in [
            (v2(0x21, 0x11, 12, &four), Some("192.0.2.7:4711")),
            (v2(0x21, 0x11, 16, &more), Some("192.0.2.7:4711")),
            (v2(0x21, 0x21, 36, &six), Some("[::1]:4711")),
            (v2(0x20, 0x00, 0, &[]), None),
            (v2(0x20, 0x11, 12, &four), None),
            (v2(0x21, 0x00, 0, &[]), None),
        ] {
            let (found, rest) = run(&[&bytes[..], b"GET"].concat()).expect("a header");
            assert_eq!(found, client.map(|client| client.parse().expect(client)));
            assert_eq!(rest, b"GET", "a byte of the request is gone");
        }
        for (bytes, error) in [
            (v2(0x21, 0x11, 4, &four[..4]), io::ErrorKind::InvalidData),
            (v2(0x21, 0x12, 12, &four), io::ErrorKind::InvalidData),
            (v2(0x11, 0x11, 12, &four), io::ErrorKind::InvalidData),
            (v2(0x22, 0x11, 12, &four), io::ErrorKind::InvalidData),
            (v2(0x21, 0x11, 65_535, &four), io::ErrorKind::InvalidData),
            (v2(0x21, 0x11, 12, &four[..6]), io::ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(run(&bytes), Err(error), "{bytes:?}");
        }
    }
}
