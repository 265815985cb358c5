//! Private short-lived directories, and free ports.

use std::{
    fs::DirBuilder,
    io,
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Makes a new directory that only we may enter, with a short path: a socket's path may have no
/// more than 107 bytes. Nobody removes it but its maker.
///
/// # Errors
/// When no directory can be made there.
pub fn private(parent: &Path) -> io::Result<PathBuf> {
    let path = parent.join(format!("vorota-{}", random_hex::<5>()?));
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

/// `N` random bytes of the system's generator as lower-case hexadecimal digits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_hex<const N: usize>() -> io::Result<String> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A loopback port that was free a moment ago. Another process may take it before its user binds
/// it; who needs certainty binds port 0 itself.
///
/// # Errors
/// When no port is left.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
