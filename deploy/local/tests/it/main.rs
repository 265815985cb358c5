//! The local stack from outside: real servers, real files.

mod postgres;
mod redis;
