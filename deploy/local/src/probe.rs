//! One plain question to a local HTTP port: is it ready, and what does it say? A client with TLS
//! and pools would cost this small crate more than all the rest of it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(5);
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Everything above the body, as it came.
    pub head: String,
    /// The body, at most 4 MiB of it.
    pub body: String,
}

/// Asks for `path` under the name `host`, for at most five seconds. It speaks HTTP/1.0, so that
/// the answer ends where the connection does.
///
/// # Errors
/// When nobody listens, the answer is no HTTP or does not come in time.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let bytes = timeout(DEADLINE, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes).await?;
        Ok::<_, io::Error>(bytes)
    })
    .await??;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart_or_refused() {
        let answer = parse("HTTP/1.1 503 Busy\r\na: b\r\n\r\nlater").expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (503, "later"));
        for odd in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "220 smtp\r\n\r\n",
        ] {
            assert!(parse(odd).is_none(), "{odd:?}");
        }
    }
}
