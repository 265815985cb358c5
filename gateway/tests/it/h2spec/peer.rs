use std::collections::HashMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Case, MAX_CONCURRENT_STREAMS, PROTOCOL, Sight, Step, get, settings};
use crate::stage::{PATIENCE, Stage};

// The types of frames (RFC 9113 §6) and their flags.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY_FLAG: u8 = 0x20;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame with its head.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A frame as it was read.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn is(&self, kind: u8, flag: u8) -> bool {
        self.kind == kind && self.flags & flag == flag
    }

    /// The code of a `RST_STREAM` or `GOAWAY`.
    fn error(&self) -> Option<u32> {
        let code = match self.kind {
            RST_STREAM => self.payload.get(..4)?,
            GOAWAY => self.payload.get(4..8)?,
            _ => return None,
        };
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }

    fn number(&self) -> u32 {
        self.payload
            .iter()
            .take(4)
            .fold(0, |n, byte| n << 8 | u32::from(*byte))
    }
}

/// A client that says what no client should.
pub(crate) struct Peer {
    stream: TlsStream<TcpStream>,
    /// What the gateway told of itself.
    settings: HashMap<u16, u32>,
    /// Whether an error was told with a code that says less than it could.
    pub(crate) general: bool,
}

impl Peer {
    pub(crate) async fn connect(stage: &Stage) -> Self {
        Self {
            stream: crate::tls::handshake(stage, &[b"h2"]).await.unwrap(),
            settings: HashMap::new(),
            general: false,
        }
    }

    /// Plays a case; `Err` says what was not seen.
    pub(crate) async fn play(&mut self, case: &Case) -> Result<(), String> {
        if case.opened {
            self.open().await?;
        }
        for step in &case.steps {
            match step {
                Step::Send(bytes) => self.send(bytes).await,
                Step::Crowd => self.crowd().await,
                Step::See(sight) => {
                    let seen = tokio::time::timeout(PATIENCE, self.see(*sight)).await;
                    seen.unwrap_or_else(|_| Err(format!("{sight:?} did not come")))?;
                }
            }
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<(), String> {
        self.send(&[PREFACE, &settings(&[])].concat()).await;
        self.see(Sight::Settings).await?;
        self.send(&frame(SETTINGS, ACK, 0, &[])).await;
        self.see(Sight::SettingsAck).await
    }

    /// A failed write is the gateway's right: what it said is still to be read.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    async fn crowd(&mut self) {
        let most = self.settings.get(&MAX_CONCURRENT_STREAMS);
        let most = *most.expect("a limit is told");
        let all: Vec<u8> = (0..=most).flat_map(|index| get(2 * index + 1)).collect();
        self.send(&all).await;
    }

    async fn see(&mut self, sight: Sight) -> Result<(), String> {
        loop {
            let Some(frame) = self.next().await else {
                return match sight {
                    Sight::PingAckOrEnd(_) | Sight::End => Ok(()),
                    _ => Err(format!("the connection ended before {sight:?}")),
                };
            };
            if self.is(sight, &frame) {
                if let Sight::ConnectionError(_) = sight {
                    while self.next().await.is_some() {}
                }
                return Ok(());
            }
            if frame.error().is_some() && !matches!(sight, Sight::End | Sight::PingAckOrEnd(_)) {
                return Err(format!("{frame:?} instead of {sight:?}"));
            }
        }
    }

    fn is(&mut self, sight: Sight, frame: &Frame) -> bool {
        let ends = frame.is(DATA, END_STREAM) || frame.is(HEADERS, END_STREAM);
        match sight {
            Sight::Settings => {
                let ours = frame.kind == SETTINGS && frame.flags & ACK == 0;
                for pair in frame.payload.chunks_exact(6).filter(|_| ours) {
                    let id = u16::from_be_bytes([pair[0], pair[1]]);
                    let value = pair[2..]
                        .iter()
                        .fold(0, |n, byte| n << 8 | u32::from(*byte));
                    self.settings.insert(id, value);
                }
                ours
            }
            Sight::SettingsAck => frame.is(SETTINGS, ACK),
            Sight::PingAck(data) | Sight::PingAckOrEnd(data) => {
                frame.is(PING, ACK) && frame.payload == data
            }
            Sight::Headers(stream) => frame.kind == HEADERS && frame.stream == stream,
            Sight::Data(stream, length) => {
                let fits = length.is_none_or(|length| length == frame.payload.len());
                frame.kind == DATA && frame.stream == stream && fits
            }
            Sight::EndOfStream(stream) => ends && frame.stream == stream,
            Sight::ConnectionError(codes) => frame.kind == GOAWAY && self.tells(frame, codes),
            Sight::StreamError(codes) => self.tells(frame, codes),
            Sight::Reset(stream, code) => {
                (frame.kind, frame.stream, frame.number()) == (RST_STREAM, stream, code)
            }
            Sight::End => false,
        }
    }

    /// Whether a frame tells of one of these errors. The library closes connections with the code
    /// for whatever has none of its own (RFC 9113 §7), in places where there is one: h2spec lets
    /// that pass, since the connection ends, and so do we, and count.
    fn tells(&mut self, frame: &Frame, codes: &[u32]) -> bool {
        let Some(code) = frame.error() else {
            return false;
        };
        let general = frame.kind == GOAWAY && code == PROTOCOL && !codes.contains(&code);
        self.general |= general;
        general || codes.contains(&code)
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).ok()?];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            payload,
        })
    }
}
