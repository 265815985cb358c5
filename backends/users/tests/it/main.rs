//! The app `users` from outside: HTTP against a real database.

mod api_key;
mod audit;
mod demo;
mod jwks;
mod login;
mod openapi;
mod password;
mod register;
mod revocation;
mod rights;
mod secrecy;
mod session;
mod stage;
mod verify;
