use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

/// A connection whose every byte the test decides.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// A failed write is the gateway's right: what it answered is still to be read.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads until the connection ends. A reset counts as an end.
    pub(crate) async fn rest(&mut self) -> String {
        let all = async { while self.more().await {} };
        let ended = tokio::time::timeout(PATIENCE, all).await;
        assert!(
            ended.is_ok(),
            "still open after {:?}",
            String::from_utf8_lossy(&self.read)
        );
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// How long it takes until the connection ends.
    pub(crate) async fn ends_after(&mut self) -> Duration {
        let start = std::time::Instant::now();
        self.rest().await;
        start.elapsed()
    }

    /// Reads one answer that says its length.
    pub(crate) async fn response(&mut self) -> parse::Response {
        let whole = async {
            loop {
                if let Some((response, length)) = parse::response(&self.read) {
                    self.read.drain(..length);
                    return response;
                }
                assert!(
                    self.more().await,
                    "cut: {:?}",
                    String::from_utf8_lossy(&self.read)
                );
            }
        };
        tokio::time::timeout(PATIENCE, whole)
            .await
            .expect("no answer")
    }

    /// Waits until some text has come, and takes all up to its end.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let found = async {
            loop {
                let at = self
                    .read
                    .windows(text.len())
                    .position(|part| part == text.as_bytes());
                if let Some(at) = at {
                    let taken: Vec<u8> = self.read.drain(..at + text.len()).collect();
                    return String::from_utf8_lossy(&taken).into_owned();
                }
                assert!(
                    self.more().await,
                    "cut: {:?}",
                    String::from_utf8_lossy(&self.read)
                );
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("the text did not come")
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(n) if n > 0)
    }
}

/// Just enough HTTP to read what our own gateway says.
pub(crate) mod parse {
    use http::{HeaderMap, HeaderName};

    #[derive(Debug)]
    pub(crate) struct Response {
        pub(crate) status: u16,
        pub(crate) headers: HeaderMap,
        pub(crate) body: String,
    }

    impl Response {
        /// The `code` of the problem that it is.
        pub(crate) fn code(&self) -> String {
            assert_eq!(
                self.headers["content-type"], "application/problem+json",
                "{self:?}"
            );
            let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
            problem["code"].as_str().unwrap().to_owned()
        }
    }

    impl Response {
        /// All values of a header, in order.
        pub(crate) fn all(&self, name: &str) -> Vec<&str> {
            let values = self.headers.get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect()
        }
    }

    /// A whole answer and its length in bytes; `None` when more must come. Interim ones are skipped.
    pub(crate) fn response(bytes: &[u8]) -> Option<(Response, usize)> {
        let text = String::from_utf8_lossy(bytes);
        let end = text.find("\r\n\r\n")? + 4;
        let mut lines = text[..end].split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if status / 100 == 1 && status != 101 {
            let (response, length) = response(&bytes[end..])?;
            return Some((response, end + length));
        }
        let mut headers = HeaderMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ")?;
            headers.append(name.parse::<HeaderName>().ok()?, value.parse().ok()?);
        }
        let length = match headers.get("content-length") {
            Some(length) => length.to_str().ok()?.parse().ok()?,
            None if headers.get("transfer-encoding").is_some() => {
                let tail = text[end..].find("0\r\n\r\n")?;
                let raw = &text[end..end + tail];
                let body: String = raw.split("\r\n").skip(1).step_by(2).collect();
                return Some((
                    Response {
                        status,
                        headers,
                        body,
                    },
                    end + tail + 5,
                ));
            }
            None => 0,
        };
        let body = text.get(end..end + length)?.to_owned();
        Some((
            Response {
                status,
                headers,
                body,
            },
            end + length,
        ))
    }
}
