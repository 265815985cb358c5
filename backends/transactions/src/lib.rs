//! Wallets and transfers.
