//! The app `users` from outside: HTTP against a real database.

mod api_key;
mod audit;
mod authenticator;
mod contact;
mod demo;
mod jwks;
mod login;
mod openapi;
mod passkey;
mod passkey_refusal;
mod password;
mod register;
mod revocation;
mod rights;
mod second_factor;
mod secrecy;
mod session;
mod stage;
mod verify;
