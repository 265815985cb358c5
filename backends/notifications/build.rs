//! A new migration must rebuild the migrator, though no Rust file changed.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
