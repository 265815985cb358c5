//! The backend apps in one program.

fn main() {}
