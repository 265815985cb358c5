//! A new migration must rebuild `MIGRATOR`, though no Rust file changed.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
