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

/// `N` different loopback ports that were free a moment ago. They lie below the range from which the
/// system itself hands out ports, so that no outgoing connection takes one before its user does.
///
/// # Errors
/// When none can be found.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    const TRIES: usize = 200;
    let mut held = Vec::with_capacity(N);
    for _ in 0..TRIES {
        let mut bytes = [0u8; 2];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let port = FIRST + u16::from_be_bytes(bytes) % COUNT;
        // Held until all are found: no port comes twice.
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push((port, listener));
        }
        if held.len() == N {
            let ports: Vec<u16> = held.iter().map(|(port, _)| *port).collect();
            return Ok(ports.try_into().expect("N were found"));
        }
    }
    Err(io::Error::other("no free ports were found"))
}
