use http::Method;
use pingora::proxy::Session;
use plugin_sdk::{Body, Link, Reply, Request, Stage};

use super::Context;
use super::body::Preread;
use super::redirect;
use crate::decide::{self, RawHead, Refusal};
use crate::plan::{Action, Route};
use crate::{forward, framing, reply};

type Judged = Result<(), Box<Reply>>;

/// Judges a request in the fixed order; `Err` is the answer that it gets from us.
pub(super) async fn request(session: &mut Session, ctx: &mut Context) -> Judged {
    frame(session, ctx)?;
    flood(session, ctx).await?;
    arrive(session, ctx)?;
    locate(session, ctx)?;
    strip(session, ctx);
    if ctx.background {
        // The request that found the answer stale has passed all this; judging its refresh again
        // would count it twice.
        return Ok(());
    }
    if let Some(reply) = ctx.overload() {
        return Err(reply);
    }
    if ctx.preflight {
        return preflight(session, ctx).await;
    }
    size(session, ctx)?;
    meet(session, ctx, Ask::Stages(|stage| stage <= Stage::Identify)).await?;
    if let Some(reply) = ctx
        .route()
        .and_then(|route| decide::admit(route, &ctx.facts))
    {
        // A way may have more to say to a stranger than a program wants to hear.
        meet(session, ctx, Ask::Challenge).await?;
        return Err(reply);
    }
    ctx.judge_revoked().map_or(Ok(()), Err)?;
    ctx.learn_rights();
    meet(session, ctx, Ask::Stages(|stage| stage > Stage::Identify)).await?;
    let Some(route) = ctx.route().cloned() else {
        return Ok(());
    };
    match &route.action {
        Action::Forward(_) => Ok(()),
        Action::Answer(link) => meet(session, ctx, Ask::Answer(link)).await,
        Action::Redirect(redirect) => Err(Box::new(redirect.reply(&ctx.asked(&route)))),
        Action::Respond(respond) => Err(Box::new(respond.reply())),
    }
}

fn frame(session: &mut Session, ctx: &mut Context) -> Judged {
    let max_head = ctx.max_head();
    // A head that was refused as it came stands for itself: what the session holds is not it.
    let refused = ctx.refused_head().map_or(Ok(()), Err);
    refused
        .and_then(|()| framing::check(session.req_header(), max_head))
        .map_err(|fault| {
            ctx.refuse_connection();
            Box::new(reply::framing(fault))
        })
}

/// Whether it came to where it should: over a connection made for its host, or to a listener that
/// sends everybody on.
fn arrive(session: &Session, ctx: &Context) -> Judged {
    let head = session.req_header();
    let Some(host) = decide::host(framing::authority(head)) else {
        return Err(Box::new(Refusal::Host.reply()));
    };
    if let Some(port) = ctx.redirect() {
        return Err(Box::new(redirect::to_https(
            ctx.plan(),
            port,
            &host,
            &head.uri,
        )));
    }
    if !ctx.background && ctx.is_misdirected(&host) {
        return Err(Box::new(reply::misdirected()));
    }
    Ok(())
}

/// Before anything else is done: what has no route, or a bad token, is counted too.
async fn flood(session: &Session, ctx: &mut Context) -> Judged {
    if ctx.background {
        return Ok(());
    }
    let refusal = ctx.flood(&session.req_header().headers).await;
    refusal.map_or(Ok(()), Err)
}

fn locate(session: &Session, ctx: &mut Context) -> Judged {
    let head = session.req_header();
    let raw = RawHead {
        method: &head.method,
        authority: framing::authority(head),
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &head.headers,
    };
    let located = decide::locate(ctx.plan(), &raw).map_err(|refusal| Box::new(refusal.reply()))?;
    ctx.locate(located);
    let websocket = ctx.route().is_some_and(|route| route.websocket);
    framing::check_upgrade(&head.headers, websocket).map_err(|fault| {
        ctx.refuse_connection();
        Box::new(reply::framing(fault))
    })
}

/// From here on nobody sees what the client says about identity.
fn strip(session: &mut Session, ctx: &Context) {
    let foreign = forward::foreign(&session.req_header().headers, &ctx.plan().identity);
    for name in foreign {
        session.req_header_mut().remove_header(&name);
    }
}

/// A preflight asks what a browser may ask: only the edge stage has an answer to that.
async fn preflight(session: &mut Session, ctx: &mut Context) -> Judged {
    meet(session, ctx, Ask::Stages(|stage| stage == Stage::Edge)).await?;
    let allow = ctx
        .route()
        .map_or_else(Vec::<Method>::new, |route| route.rule.methods.clone());
    Err(Box::new(Refusal::MethodNotAllowed { allow }.reply()))
}

/// A body that says that it is too long is not waited for.
fn size(session: &Session, ctx: &mut Context) -> Judged {
    let most = ctx.route().map_or(0, |route| route.max_body);
    match announced(session) {
        Some(length) if length > most => Err(Box::new(reply::too_large(most))),
        _ => Ok(()),
    }
}

/// The length of the body, where its head says it.
fn announced(session: &Session) -> Option<u64> {
    let headers = &session.req_header().headers;
    let said = headers.get(http::header::CONTENT_LENGTH)?;
    said.to_str().ok()?.parse().ok()
}

/// How much of the body may still be on its way to us, in bytes.
pub(super) fn upload(session: &mut Session, ctx: &Context) -> u64 {
    if session.as_downstream_mut().is_body_empty() {
        return 0;
    }
    let most = ctx.route().map_or(0, |route| route.max_body);
    announced(session).map_or(most, |length| length.min(most))
}

/// What a request is put before.
enum Ask<'a> {
    /// The chain's hooks of some stages.
    Stages(fn(Stage) -> bool),
    /// The chain's ways to say who one is, none of which knew.
    Challenge,
    /// The plugin that answers it.
    Answer(&'a Link),
}

impl Ask<'_> {
    async fn put(&self, route: &Route, request: &mut Request<'_>) -> Option<Box<Reply>> {
        match self {
            Self::Stages(stages) => route.chain.request(request, stages).await,
            Self::Challenge => route.chain.challenge(request).await,
            Self::Answer(link) => Some(link.answer(request).await),
        }
    }
}

async fn meet(session: &mut Session, ctx: &mut Context, ask: Ask<'_>) -> Judged {
    let Some(route) = ctx.route().cloned() else {
        return Ok(());
    };
    let reply = if session.as_downstream_mut().is_body_empty() {
        let head = ctx.head.view(&session.req_header().headers);
        let mut request = Request::new(head, &mut ctx.facts, None);
        ask.put(&route, &mut request).await
    } else {
        // Reading the body takes the session, so the hooks look at a copy of the headers.
        let headers = session.req_header().headers.clone();
        let mut body = Preread::new(session, &mut ctx.body, route.timeout);
        let lent: &mut dyn Body = &mut body;
        let mut request = Request::new(ctx.head.view(&headers), &mut ctx.facts, Some(lent));
        ask.put(&route, &mut request).await
    };
    match reply {
        Some(reply) => Err(reply),
        // A plugin that read in vain and went on would send a torn body upstream.
        None => match (ctx.body.torn(), ctx.refused_head()) {
            (None, _) => Ok(()),
            (Some(_), Some(fault)) => Err(Box::new(reply::framing(fault))),
            (Some(error), None) => Err(Box::new(reply::unread(error))),
        },
    }
}
