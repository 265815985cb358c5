//! The route table.

use std::path::PathBuf;
use std::sync::LazyLock;

use gateway::decide::{self, Asker, RawHead};
use http::{HeaderMap, Method};

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = super::folder();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("edge.pem", &certified.cert.pem());
    write("edge.key", &certified.signing_key.serialize_pem());
    write(
        "identity.key",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    );
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.join("identity.key"), private).expect("a mode");
    folder.join("routes.yaml")
});

/// A table is taken, or refused with findings that point into it; one that is taken decides.
pub fn run(bytes: &[u8]) {
    let file = &*FILE;
    std::fs::write(file, bytes).expect("a file");
    let env = gateway::env::inert(file);
    match gateway::plan::load(file, plugins::BUILTIN, &env) {
        Ok(loaded) => {
            for target in ["/", "/v1/me/name", "/v1/rates", "/a/../b", "/%2f"] {
                let head = RawHead {
                    method: &Method::GET,
                    authority: Some("edge.test"),
                    path: target,
                    query: Some("v=2"),
                    headers: &HeaderMap::new(),
                };
                let _ = decide::decide(&loaded.plan, &head, &Asker::nobody());
            }
            let _ = loaded.warnings.to_string();
        }
        Err(refused) => {
            let text = refused.findings.to_string();
            assert!(
                text.contains("error"),
                "refused, and nobody knows why: {text}"
            );
        }
    }
}
