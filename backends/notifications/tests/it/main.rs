//! The app `notifications` from outside: events in, mail out, a real database and a real mail
//! server in between.

mod delivery;
mod list;
mod openapi;
mod outage;
mod stage;
