//! Who is calling, sealed by the gateway and opened by the backends.
