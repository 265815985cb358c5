//! Answers that we make ourselves. They meet the response hooks like any other: a browser that
//! gets a 401 without its CORS headers shows its user something else.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use plugin_sdk::{BodyError, Reply, ResponseHead};

use crate::framing::Fault;
use crate::proxy::Context;
use crate::{cache, forward};

/// The longest body that is taken in behind an answer of ours, in bytes.
const REST: u64 = 64 * 1024;
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Sends an answer of our own. The connection stays, unless its framing is in doubt or the body
/// was not read: the transport closes it then.
pub async fn send(session: &mut Session, ctx: &mut Context, reply: Reply) -> Result<()> {
    ctx.refused(reply.code(), reply.by);
    let (headers, body) = reply.render(&ctx.facts().request_id);
    let mut head = ResponseHead {
        status: reply.status,
        headers,
    };
    hooks(session, ctx, &mut head);
    if ctx.closing() {
        session.set_keepalive(None);
    }
    let bare = *ctx.method() == Method::HEAD || body.is_empty();
    let answer = written(head)?;
    session
        .write_response_header(Box::new(answer), bare)
        .await?;
    let body = (!bare).then_some(body);
    session.write_response_body(body, true).await?;
    take_rest(session).await;
    Ok(())
}

/// Takes in what a client on HTTP/2 still sends behind our answer, where it is little. A stream
/// that ends half read is reset, and clients such as curl 7.88 take that for a failure, though
/// they must not (RFC 9113 §8.1): they would show nothing of our answer.
async fn take_rest(session: &mut Session) {
    let length = session.req_header().headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if session.is_http2() && length.is_some_and(|length| length <= REST) {
        // The answer is out: whether the rest comes, or in time, changes nothing.
        let _ = session.as_downstream_mut().drain_request_body().await;
    }
}

/// Runs the response hooks over an answer that came from the upstream or the cache.
pub fn dress(session: &Session, ctx: &Context, answer: &mut ResponseHeader) {
    let mut parts = answer.as_owned_parts();
    let mut head = ResponseHead {
        status: parts.status,
        headers: parts.headers,
    };
    // A 101 is about the connection: these headers are what it says.
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        forward::clean_answer(&mut head.headers, &ctx.plan().cookies);
    }
    if ctx.has_cache()
        && let Some(status) = cache::status(session)
        && let Ok(status) = HeaderValue::from_str(&status)
    {
        head.headers.insert(CACHE_STATUS, status);
    }
    hooks(session, ctx, &mut head);
    parts.status = head.status;
    parts.headers = head.headers;
    *answer = ResponseHeader::from(parts);
}

fn hooks(session: &Session, ctx: &Context, head: &mut ResponseHead) {
    let request: &HeaderMap = &session.req_header().headers;
    ctx.seen(request, |chain, seen| chain.response(seen, head));
    let ours = &ctx.facts().answer_headers;
    // Ours replace what the upstream said under these names; several of ours stand side by side.
    // Cookies are many under one name, and one more takes none away.
    for (name, _) in ours.iter().filter(|(name, _)| *name != header::SET_COOKIE) {
        head.headers.remove(name);
    }
    for (name, value) in ours {
        head.headers.append(name, value.clone());
    }
}

fn written(head: ResponseHead) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build_no_case(head.status, Some(head.headers.len()))?;
    for (name, value) in &head.headers {
        answer.append_header(name, value)?;
    }
    Ok(answer)
}

/// The answer to a request for a host that its connection was not made for (RFC 9110 §15.5.20). A
/// client may ask again over a connection of its own.
pub fn misdirected() -> Reply {
    Reply::problem(
        StatusCode::MISDIRECTED_REQUEST,
        "misdirected_request",
        "This connection was not made for this host",
    )
}

/// The answer to a head that can be read in two ways, or is too long to read.
pub fn framing(fault: Fault) -> Reply {
    let (status, code, title) = match fault {
        Fault::Method => (
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
        ),
        Fault::Version => (
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "framing",
            "The version is not spoken",
        ),
        Fault::TargetTooLong => (
            StatusCode::URI_TOO_LONG,
            "framing",
            "The target is too long",
        ),
        Fault::HeadTooLong => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "framing",
            "The head is too long",
        ),
        _ => (
            StatusCode::BAD_REQUEST,
            "framing",
            "The request is malformed",
        ),
    };
    let reply = Reply::problem(status, code, title).detail(fault.to_string());
    match fault {
        // RFC 9110 §15.5.6 wants the list of what is allowed.
        Fault::Method => reply.header(
            header::ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ),
        _ => reply,
    }
}

/// The answer to a body that a plugin could not read.
pub fn unread(error: BodyError) -> Reply {
    match error {
        BodyError::TooLong { limit } => too_large(u64::try_from(limit).unwrap_or(u64::MAX)),
        BodyError::Incomplete => late(),
    }
}

/// The answer to a request that took too long to arrive.
pub fn late() -> Reply {
    Reply::problem(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        "The request took too long to arrive",
    )
}

/// The answer to a body of more than `most` bytes.
pub fn too_large(most: u64) -> Reply {
    Reply::problem(
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload_too_large",
        "The body is too long",
    )
    .detail(format!("at most {most} bytes are taken"))
}
