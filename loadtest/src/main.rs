//! Drives a running product.

fn main() {}
