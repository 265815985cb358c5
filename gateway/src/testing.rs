//! A folder with what a route table refers to, for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A folder of its own, gone with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// With `edge.pem`, `edge.key`, `identity.key` and `openapi.json` in it.
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gateway-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).expect("a new folder");
        let folder = Self(path);
        let names = vec!["localhost".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
        folder.write("edge.pem", &certified.cert.pem());
        folder.write("edge.key", &certified.signing_key.serialize_pem());
        let key: String = (0..32)
            .map(|byte: u8| format!("{:02x}", byte.wrapping_mul(7)))
            .collect();
        let key = folder.write("identity.key", &key);
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("a mode");
        folder.write("openapi.json", OPENAPI);
        folder
    }

    /// Writes a file in it, with the folders on the way.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        let parent = path.parent().expect("a file in the folder");
        fs::create_dir_all(parent).expect("its folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Where a file in it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const OPENAPI: &str = r#"{
  "openapi": "3.1.0",
  "info": { "title": "users", "version": "1" },
  "paths": {
    "/v1/login": {
      "post": {
        "operationId": "login",
        "requestBody": {
          "required": true,
          "content": { "application/json": { "schema": { "type": "object" } } }
        },
        "responses": { "200": { "description": "signed in" } }
      }
    }
  }
}"#;
