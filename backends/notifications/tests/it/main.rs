//! The app `notifications` from outside: events in, mail and texts out, a real database, a real mail
//! server and doubles of the providers of texts in between.

mod delivery;
mod doubles;
mod list;
mod openapi;
mod outage;
mod secrecy;
mod stage;
mod texts;
