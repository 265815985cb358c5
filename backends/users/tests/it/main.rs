//! The app `users` from outside: HTTP against a real database.

mod acl;
mod api_key;
mod audit;
mod authenticator;
mod contact;
mod demo;
mod jwks;
mod login;
mod moderation;
mod openapi;
mod passkey;
mod passkey_refusal;
mod password;
mod people;
mod register;
mod revocation;
mod rights;
mod roles;
mod routes;
mod second_factor;
mod secrecy;
mod session;
mod social;
mod staff;
mod stage;
mod verify;
