//! What a process has used of the processor.

use std::{fs, time::Duration};

use anyhow::Context;

/// CPU time, user's and system's, of all threads that the process has now.
pub(crate) fn spent(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the contender has ended")? {
        // The first figure is the time on a processor, in nanoseconds; ticks of 10 ms, as in
        // `stat`, would be too coarse.
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = line.split(' ').next().unwrap_or_default();
        nanoseconds += first
            .parse::<u64>()
            .with_context(|| format!("read schedstat: {line:?}"))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    #[test]
    fn work_shows() {
        let before = super::spent(std::process::id()).expect("our own is readable");
        let sum: u64 =
            std::hint::black_box((0..20_000_000).fold(0, |sum, it| std::hint::black_box(sum ^ it)));
        let after = super::spent(std::process::id()).expect("our own is readable");
        assert!(after > before, "{sum}");
    }
}
