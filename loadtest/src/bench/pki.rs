//! A certificate for `localhost` that both contenders show; it vouches for itself.

use std::{fs, path::Path};

use rcgen::CertifiedKey;

pub(crate) fn write(room: &Path) -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(room.join("edge.pem"), cert.pem())?;
    fs::write(room.join("edge.key"), signing_key.serialize_pem())?;
    Ok(())
}
