use http::{HeaderValue, StatusCode, Uri, header};
use plugin_sdk::Reply;

use crate::decide::Refusal;
use crate::plan::Plan;
use crate::{path, reply};

/// Sends a client on to the same address in `https`; with the same method and body (308), since
/// what was said in the clear can't be taken back but must not be lost either. Only a host that we
/// can prove to be is sent on: whatever else stands in `Host`, nobody is led there by us.
pub(super) fn to_https(plan: &Plan, port: u16, host: &str, target: &Uri) -> Reply {
    let served = plan.listeners.values().filter_map(|one| one.tls.as_ref());
    if !served
        .into_iter()
        .any(|one| one.shelf.owner(host).is_some())
    {
        return reply::misdirected();
    }
    let path = match path::canonical(target.path()) {
        Ok(path) => path,
        Err(error) => return Refusal::Path(error).reply(),
    };
    let port = match port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let query = match target.query() {
        Some(query) => format!("?{query}"),
        None => String::new(),
    };
    match HeaderValue::try_from(format!("https://{host}{port}{path}{query}")) {
        Ok(there) => Reply::empty(StatusCode::PERMANENT_REDIRECT).header(header::LOCATION, there),
        // No target that was parsed comes here.
        Err(_) => Refusal::Host.reply(),
    }
}
