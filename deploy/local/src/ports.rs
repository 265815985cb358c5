//! Which port does what, and who holds one that we want.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
};

use anyhow::bail;

use crate::room;

/// The loopback ports of one running product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where clients come in, by HTTPS.
    pub edge: u16,
    /// The gateway's own: health, metrics.
    pub management: u16,
    /// The backend apps, behind the gateway.
    pub apps: u16,
    /// The backend's own: health, metrics, keys.
    pub private: u16,
    /// The development inbox for people.
    pub inbox: u16,
    /// The development inbox for mail.
    pub smtp: u16,
}

impl Ports {
    /// The ports of `make run`, as routes.yaml has them.
    pub const WELL_KNOWN: Self = Self {
        edge: 8443,
        management: 9440,
        apps: 9081,
        private: 9441,
        inbox: 8025,
        smtp: 8026,
    };

    /// Six ports that are free now, for a product beside others.
    ///
    /// # Errors
    /// When there are none.
    pub fn free() -> io::Result<Self> {
        let [edge, management, apps, private, inbox, smtp] = room::free_ports()?;
        Ok(Self {
            edge,
            management,
            apps,
            private,
            inbox,
            smtp,
        })
    }

    /// Each port with what a person calls it.
    pub(crate) fn roles(&self) -> [(u16, &'static str); 6] {
        [
            (self.edge, "the edge"),
            (self.management, "the gateway's management"),
            (self.apps, "the backend apps"),
            (self.private, "the backend's private port"),
            (self.inbox, "the inbox page"),
            (self.smtp, "the inbox's SMTP"),
        ]
    }

    /// Finds every port that is taken before anything is started.
    ///
    /// # Errors
    /// Names each taken port, what it is wanted for, and the process that holds it where the
    /// system tells.
    pub fn ensure_free(&self) -> anyhow::Result<()> {
        let mut taken = Vec::new();
        for (port, role) in self.roles() {
            if let Err(error) = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))) {
                let holder =
                    holder(port).map_or_else(|| error.to_string(), |who| format!("held by {who}"));
                taken.push(format!(
                    "port {port}, wanted for {role}, is taken: {holder}"
                ));
            }
        }
        if !taken.is_empty() {
            bail!("{}", taken.join("\n"));
        }
        Ok(())
    }
}

/// The process that listens on a port, as `name (process id)`. None where it is another user's and
/// we are not root.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| table.lines().skip(1).find_map(|line| listening(line, port)))?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files.find(|file| {
            fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str())
        })?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some(format!("{} (process {pid})", name.trim()))
    })
}

/// The inode of a line of /proc/net/tcp that listens on `port`.
fn listening(line: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let wanted = u16::from_str_radix(local_port, 16).ok()? == port && *fields.get(3)? == LISTEN;
    if wanted {
        fields.get(9)?.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_role_and_holder() {
        let mut ports = Ports::free().expect("free ports");
        ports.ensure_free().expect("they are free");
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        ports.smtp = holder.local_addr().expect("its address").port();
        let error = ports.ensure_free().expect_err("one is taken").to_string();
        let me = fs::read_to_string("/proc/self/comm").expect("a name");
        assert_eq!(
            error,
            format!(
                "port {}, wanted for the inbox's SMTP, is taken: held by {} (process {})",
                ports.smtp,
                me.trim(),
                std::process::id()
            )
        );
    }

    #[test]
    fn only_listeners_of_the_port_count() {
        let line =
            "0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1";
        assert_eq!(listening(line, 8443), Some(4711));
        assert_eq!(listening(line, 8444), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 8443), None);
        assert_eq!(listening("odd", 8443), None);
    }
}
