//! The local stack from outside: real servers, real files.

mod inbox;
mod leash;
mod postgres;
mod product;
mod provider;
mod redis;
