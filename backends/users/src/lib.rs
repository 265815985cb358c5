//! Registration, sign-in, tokens.
