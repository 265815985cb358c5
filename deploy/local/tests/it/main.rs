//! The local stack from outside: real servers, real files.

mod inbox;
mod postgres;
mod redis;
