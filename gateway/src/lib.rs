//! The guarded door: TLS, routes, policies, plugins, upstreams.
//!
//! The modules stand in reading order. First the route table, from the file to what decides; then
//! a request's way, from the socket to the access record.

// The route table as it is written: types, positions, units.
pub mod table;

// The same as it is run: resolved, compiled, immutable.
pub mod plan;

// What is wrong with it, and where.
pub mod finding;

// What its plugins are lent.
pub mod env;

// What the gateway itself asks of its upstreams.
pub mod ask;

// How an edit is taken while requests are under way.
pub mod reload;

// What operators ask of it: is it good?
pub mod check;

// Who may do what?
pub mod matrix;

// What would another table change?
pub mod diff;

// Is the edge out there the one that the table describes?
pub mod probe;

// What becomes of this request, and why?
pub mod explain;

// What can be written in it?
pub mod schema;

// The edge as a whole: started, told of a new table, drained.
pub mod run;

// Certificates and keys, of either side.
pub mod tls;

// A request's way begins at a socket.
pub mod listener;

// Who may not come in any more, and what of theirs is cut.
pub mod revocation;

// Who may what: what roles grant, and the rules of APIs.
pub mod rights;

// Each step of the way, top to bottom.
pub mod proxy;

// What is not plain HTTP goes no further.
pub mod framing;

// Is there too much of it?
pub mod overload;

// Which route, and may they?
pub mod decide;

// The one spelling of a path.
pub mod path;

// Host, path and method to a route.
pub mod router;

// What becomes of it: on to whom, or answered with what.
pub mod action;

// What the upstream gets: identity sealed in, the client's own taken out.
pub mod forward;

// Copies for an upstream that is only looked at.
pub mod mirror;

// Answers that are kept.
pub mod cache;

// Which address, and does it live?
pub mod upstream;

// Answers of our own.
pub mod reply;

// What is written down of each request.
pub mod access_log;

// What is counted.
pub mod metrics;

// Where operators and Kubernetes ask.
pub mod management;

#[cfg(test)]
mod testing;
