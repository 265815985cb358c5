//! What a process has used of the processor.

use std::{fs, time::Duration};

use anyhow::Context;

/// CPU time, user's and system's, of all threads that the process has now.
pub(crate) fn spent(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the contender has ended")? {
        // The first figure is the time on a processor, in nanoseconds; ticks of 10 ms, as in
        // `stat`, would be too coarse.
        let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
            // The thread has ended since it was listed.
            continue;
        };
        let first = line.split(' ').next().unwrap_or_default();
        nanoseconds += first
            .parse::<u64>()
            .with_context(|| format!("read schedstat: {line:?}"))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    /// Another process: threads of ours, which run other tests, end and take their time along.
    #[test]
    fn work_shows() {
        let mut busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("a shell");
        let begun = Instant::now();
        let mut spent = Duration::ZERO;
        while spent < Duration::from_millis(20) && begun.elapsed() < Duration::from_secs(20) {
            spent = super::spent(busy.id()).expect("it runs");
        }
        busy.kill().expect("it runs");
        busy.wait().expect("it was killed");
        assert!(spent >= Duration::from_millis(20), "{spent:?}");
    }
}
