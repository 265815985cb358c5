use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use plugin_sdk::{Body, BodyError};

/// The transport replays no more than this to the upstream after somebody read it.
const PREREAD: usize = 64 * 1024;
/// A body may take this long whatever its size,
const GRACE: Duration = Duration::from_secs(20);
/// and then must have come at this rate on the whole, in bytes per second.
const SLOWEST: u64 = 512;

/// What is known of a request's body.
#[derive(Default)]
pub(super) struct BodyState {
    /// All of it, once a plugin has read it.
    whole: Option<Bytes>,
    /// A plugin began to read it and could not end: it can't be forwarded any more.
    torn: Option<BodyError>,
    /// Bytes on their way upstream, in this attempt.
    counted: u64,
    since: Option<Instant>,
}

impl BodyState {
    pub(super) fn torn(&self) -> Option<BodyError> {
        self.torn
    }

    /// Another attempt sends it from its first byte.
    pub(super) fn again(&mut self) {
        self.counted = 0;
    }

    /// Counts bytes on their way; fails when there are too many, or when they drip.
    pub(super) fn count(&mut self, bytes: usize, most: u64) -> Result<()> {
        self.counted += u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.counted > most {
            return Err(Error::new_down(ErrorType::HTTPStatus(413)));
        }
        let taken = self.since.get_or_insert_with(Instant::now).elapsed();
        if taken > GRACE && self.counted / taken.as_secs().max(1) < SLOWEST {
            return Err(Error::new_down(ErrorType::HTTPStatus(408)));
        }
        Ok(())
    }
}

/// Reads a body before the upstream is asked; the upstream then gets the same bytes.
pub(super) struct Preread<'a> {
    session: &'a mut Session,
    state: &'a mut BodyState,
    deadline: Duration,
}

impl<'a> Preread<'a> {
    /// All of it must arrive within `deadline`.
    pub(super) fn new(
        session: &'a mut Session,
        state: &'a mut BodyState,
        deadline: Duration,
    ) -> Self {
        Self {
            session,
            state,
            deadline,
        }
    }

    async fn whole(&mut self, limit: usize) -> std::result::Result<Bytes, BodyError> {
        if let Some(whole) = &self.state.whole {
            return if whole.len() > limit {
                Err(BodyError::TooLong { limit })
            } else {
                Ok(whole.clone())
            };
        }
        let most = limit.min(PREREAD);
        if self.said().is_some_and(|length| length > most) {
            return Err(BodyError::TooLong { limit: most });
        }
        // Until it is whole it is torn: a hook that is dropped meanwhile leaves it so.
        self.state.torn = Some(BodyError::Incomplete);
        let read = tokio::time::timeout(self.deadline, self.read(most)).await;
        let read = read.unwrap_or(Err(BodyError::Incomplete));
        self.state.torn = read.as_ref().err().copied();
        self.state.whole = read.as_ref().ok().cloned();
        read
    }

    /// The length that the head announces.
    fn said(&self) -> Option<usize> {
        let headers = &self.session.req_header().headers;
        headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    async fn read(&mut self, most: usize) -> std::result::Result<Bytes, BodyError> {
        self.invite().await.map_err(|_| BodyError::Incomplete)?;
        self.session.enable_retry_buffering();
        let mut whole = BytesMut::new();
        loop {
            match self.session.read_request_body().await {
                Ok(Some(part)) if whole.len() + part.len() > most => {
                    return Err(BodyError::TooLong { limit: most });
                }
                Ok(Some(part)) => whole.extend_from_slice(&part),
                Ok(None) => return Ok(whole.freeze()),
                Err(_) => return Err(BodyError::Incomplete),
            }
        }
    }

    /// A client that waits for a go-ahead gets it from us: the upstream is not asked yet.
    async fn invite(&mut self) -> Result<()> {
        if self
            .session
            .req_header()
            .headers
            .contains_key(header::EXPECT)
        {
            if !self.session.is_http2() {
                self.session
                    .as_downstream_mut()
                    .write_continue_response()
                    .await?;
            }
            self.session.req_header_mut().remove_header(&header::EXPECT);
        }
        Ok(())
    }
}

impl Body for Preread<'_> {
    fn length(&self) -> Option<usize> {
        self.state.whole.as_ref().map(Bytes::len).or(self.said())
    }

    fn read<'a>(
        &'a mut self,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<Bytes, BodyError>> + Send + 'a>> {
        Box::pin(self.whole(limit))
    }
}
