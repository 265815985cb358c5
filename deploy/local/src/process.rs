//! What processes have used of the processor, and what they hold of the memory.

use std::{fs, time::Duration};

use anyhow::Context;

/// Of the kernel's ticks, in which it tells this. A hundred wherever Linux runs.
const TICK: Duration = Duration::from_millis(10);

/// The memory of a process that is really there, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("no VmRSS in its status")?.parse()?;
    Ok(kib * 1024)
}

/// What a process has used of the processor, its threads that have ended too.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    Ok(stat(pid)?.own())
}

/// What /proc/PID/stat tells: threads that have ended are in it too, which their own files are not.
struct Stat {
    parent: u32,
    /// Ticks of the user and the system, of it and of the children that it has buried.
    ticks: [u64; 4],
}

impl Stat {
    fn own(&self) -> Duration {
        ticks(&self.ticks[..2])
    }

    fn with_buried(&self) -> Duration {
        ticks(&self.ticks)
    }
}

fn ticks(parts: &[u64]) -> Duration {
    let all: u64 = parts.iter().sum();
    TICK * u32::try_from(all).unwrap_or(u32::MAX)
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    read(&line).with_context(|| format!("read {line:?}"))
}

fn read(line: &str) -> Option<Stat> {
    // The name in parentheses may hold anything, parentheses and spaces too.
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse().ok();
    Some(Stat {
        parent: u32::try_from(field(1)?).ok()?,
        ticks: [field(11)?, field(12)?, field(13)?, field(14)?],
    })
}

/// What a process and its children have used of the processor, those included that have ended.
///
/// # Errors
/// When there is no such process.
pub fn family_cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut all = stat(pid)?.with_buried();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may end while we look.
        if let Ok(child) = stat(child)
            && child.parent == pid
        {
            all += child.own();
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_past_any_name() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 9 1 2";
        let read = read(line).expect("it is one");
        assert_eq!((read.parent, read.ticks), (3, [50, 60, 7, 8]));
        assert_eq!(read.own(), Duration::from_millis(1_100));
    }

    #[test]
    fn our_own_memory_is_more_than_nothing() {
        let held = resident(std::process::id()).expect("we are there");
        assert!(held > 1024 * 1024, "{held}");
    }
}
