//! The plugins that are built into the gateway.
