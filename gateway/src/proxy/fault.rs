use http::StatusCode;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};
use plugin_sdk::Reply;

use super::Context;
use crate::reply;

/// Tells the client what went wrong, when it still can be told. Returns the status; 0 when there
/// was nobody to tell or the answer was under way.
pub(super) async fn answer(session: &mut Session, error: &Error, ctx: &mut Context) -> u16 {
    let Some(reply) = judge(error, ctx) else {
        return 0;
    };
    log(error, &reply, ctx);
    if session
        .response_written()
        .is_some_and(|head| !head.status.is_informational())
    {
        return 0;
    }
    ctx.refuse_connection();
    let status = reply.status.as_u16();
    // The client may have gone while we failed.
    let _ = reply::send(session, ctx, reply).await;
    status
}

/// The answer to a failure; `None` when the client is gone.
fn judge(error: &Error, ctx: &Context) -> Option<Reply> {
    use ErrorType as E;
    let problem = Reply::problem;
    if let Some(fault) = ctx.refused_head() {
        return Some(reply::framing(fault));
    }
    Some(match (error.esource(), error.etype()) {
        (_, E::HTTPStatus(413)) => reply::too_large(ctx.route().map_or(0, |route| route.max_body)),
        (_, E::HTTPStatus(408)) | (ErrorSource::Downstream, E::ReadTimedout) => reply::late(),
        (
            ErrorSource::Downstream,
            E::WriteError | E::ReadError | E::ConnectionClosed | E::WriteTimedout | E::H2Error,
        ) => return None,
        (ErrorSource::Downstream, _) => problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "The request is malformed",
        ),
        (
            ErrorSource::Upstream,
            E::ReadTimedout | E::WriteTimedout | E::ConnectTimedout | E::TLSHandshakeTimedout,
        ) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "The service did not answer in time",
        ),
        (ErrorSource::Upstream, _) => problem(
            StatusCode::BAD_GATEWAY,
            "upstream_unavailable",
            "The service can't be reached",
        ),
        _ => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
        ),
    })
}

/// A client's fault is in its access record; ours and the upstream's are worth a line.
fn log(error: &Error, reply: &Reply, ctx: &Context) {
    if reply.status.is_server_error() {
        tracing::warn!(
            request_id = ctx.facts.request_id,
            route = %ctx.facts.route,
            upstream = %ctx.upstream_name(),
            code = reply.code(),
            reason = error.etype().as_str(),
            why = tls_fault(error).map(|_| error.to_string()),
            "a request failed"
        );
    }
}

/// The `reason` label of a failed attempt: a closed set.
pub(super) fn reason(error: &Error) -> &'static str {
    use ErrorType as E;
    match error.etype() {
        E::ConnectRefused => "refused",
        E::ConnectTimedout => "connect_timeout",
        E::ReadTimedout => "read_timeout",
        E::WriteTimedout => "write_timeout",
        E::ConnectionClosed => "closed",
        E::InvalidHTTPHeader => "malformed",
        E::TLSHandshakeFailure | E::InvalidCert => tls_fault(error).unwrap_or("tls"),
        E::TLSHandshakeTimedout => "connect_timeout",
        E::ConnectNoRoute | E::ConnectError | E::SocketError | E::BindError => "connect",
        _ => "other",
    }
}

/// What failed in a handshake with an upstream; `None` when it was none. The transport keeps the
/// cause as text only; what it says of certificates is no secret.
fn tls_fault(error: &Error) -> Option<&'static str> {
    if !matches!(
        error.etype(),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert
    ) {
        return None;
    }
    let said = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    Some(
        if says(&["UnknownIssuer", "BadSignature", "InvalidPurpose", "Revoked"]) {
            "tls_untrusted"
        } else if says(&["not valid for name", "NotValidForName"]) {
            "tls_name"
        } else if says(&["expired", "Expired", "not valid yet", "NotValidYet"]) {
            "tls_expired"
        } else if says(&["received fatal alert"]) {
            "tls_refused"
        } else {
            "tls"
        },
    )
}
