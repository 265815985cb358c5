//! The configuration of the two programs, as this machine needs it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{files, ports::Ports};

/// Writes `backend.yaml`; its relative paths start where it lies, in `var/`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_backend(file: &Path, ports: &Ports, has_redis: bool) -> anyhow::Result<()> {
    files::write_public(file, &backend(ports, has_redis))
}

/// `has_redis` is whether there is a Redis at `REDIS_URL`, as the gateway's table has it too.
fn backend(ports: &Ports, has_redis: bool) -> String {
    let redis = match has_redis {
        true => "redis: \"$env:REDIS_URL\"\n",
        false => "",
    };
    let Ports {
        edge,
        apps,
        private,
        smtp,
        ..
    } = ports;
    format!(
        r#"# Written by `make run` at every start: changes here do not last.
private_bind: "127.0.0.1:{private}"
identity_keys: "$file:secrets/identity.key"
cursor_key: "$file:secrets/cursor.key"
{redis}apps:
  users:
    bind: "127.0.0.1:{apps}"
    database: "$env:DATABASE_URL"
    settings:
      issuer: "https://localhost:{edge}"
      audience: "api"
      refresh_key: "$file:secrets/refresh.key"
      base_url: "https://localhost:{edge}"
  transactions:
    bind: "127.0.0.1:{apps}"
    database: "$env:DATABASE_URL"
    settings: {{}}
  notifications:
    bind: "127.0.0.1:{apps}"
    database: "$env:DATABASE_URL"
    settings:
      smtp: "smtp://127.0.0.1:{smtp}"
      from: "Vorota <no-reply@localhost>"
      base_url: "https://localhost:{edge}"
      # Texts land in the inbox too: no provider is asked on this machine.
      sms:
        providers:
          - inbox: "smtp://127.0.0.1:{smtp}"
"#
    )
}

/// Copies the route table of `clone` into `place`, on other ports. What the table names beside
/// itself is found there too: the OpenAPI documents by a link, keys and certificates made anew.
///
/// # Errors
/// When the table cannot be read, or the copy not be written.
pub(crate) fn move_routes(clone: &Path, place: &Path, ports: &Ports) -> anyhow::Result<()> {
    let shipped = clone.join("routes.yaml");
    let table =
        fs::read_to_string(&shipped).with_context(|| format!("read {}", shipped.display()))?;
    let moves = Ports::WELL_KNOWN.roles().into_iter().zip(ports.roles());
    let table = moves.fold(table, |table, ((from, _), (to, _))| {
        move_port(&table, from, to)
    });
    files::write_public(&place.join("routes.yaml"), &table)?;
    let backends = clone.canonicalize()?.join("backends");
    std::os::unix::fs::symlink(backends, place.join("backends"))
        .context("link the OpenAPI documents")
}

/// Copies a place's table for a gateway that listens elsewhere, and gives the copy's name. The issuer of
/// tokens keeps the name that it has, which is that of the first edge.
///
/// # Errors
/// When the table cannot be read, or the copy not be written.
pub(crate) fn table_beside(table: &Path, moves: &[(u16, u16)]) -> anyhow::Result<PathBuf> {
    let text = fs::read_to_string(table).with_context(|| format!("read {}", table.display()))?;
    let text = moves.iter().fold(text, |text, (from, to)| {
        let bind = |port| format!("bind: \"127.0.0.1:{port}\"");
        text.replace(&bind(from), &bind(to))
    });
    let name = moves.first().map_or(0, |(_, to)| *to);
    let copy = table.with_file_name(format!("routes-{name}.yaml"));
    files::write_public(&copy, &text)?;
    Ok(copy)
}

fn move_port(text: &str, from: u16, to: u16) -> String {
    let wanted = format!(":{from}");
    let mut parts = text.split(&wanted);
    let mut moved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // `:94401` is another port.
        if part.starts_with(|next: char| next.is_ascii_digit()) {
            moved.push_str(&wanted);
        } else {
            moved.push_str(&format!(":{to}"));
        }
        moved.push_str(part);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_is_named_where_there_is_one() {
        let line = "\nredis: \"$env:REDIS_URL\"\napps:\n";
        assert!(backend(&Ports::WELL_KNOWN, true).contains(line));
        assert!(!backend(&Ports::WELL_KNOWN, false).contains("redis"));
    }

    #[test]
    fn a_port_moves_and_its_namesakes_stay() {
        for (before, after) in [
            ("bind: \"127.0.0.1:9440\"", "bind: \"127.0.0.1:7\""),
            ("http://h:9440/x http://h:9440", "http://h:7/x http://h:7"),
            (":94401 9440 ::9440", ":94401 9440 ::7"),
            (":9440", ":7"),
        ] {
            assert_eq!(move_port(before, 9440, 7), after);
        }
    }
}
