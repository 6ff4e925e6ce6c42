//! Memory and processor time of the function's processes, from the kernel's accounts. Only Linux has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// Names of HotSpot's compiler threads, as long as the kernel keeps them.
const COMPILERS: [&str; 2] = ["C1 Compiler", "C2 Compiler"];

/// Peak resident memory of the running children of this process with this binary, in MB (10^6 bytes).
/// NaN without such a child, or without `/proc`.
pub(crate) fn peak_resident_mb(binary: &Path) -> f64 {
    let peaks = children(binary).into_iter().filter_map(|child| {
        let status = fs::read_to_string(child.join("status")).ok()?;
        field(&status, "VmHWM")?.strip_suffix(" kB")?.trim().parse::<f64>().ok()
    });
    peaks.map(|kib| kib * 1_024.0 / 1e6).fold(f64::NAN, f64::max)
}

/// Processor time of the running children of this process with this binary so far, in user and kernel mode.
pub(crate) fn processor_time(binary: &Path) -> Result<Duration> {
    children(binary).iter().map(|child| Ok(times(child).context("read a process's times")?.1)).sum()
}

/// Processor time of the just-in-time compilers of this Java process so far.
pub(crate) fn compiler_time(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = threads.flatten().filter_map(|thread| times(&thread.path()));
    Some(
        times
            .filter(|(name, _)| COMPILERS.iter().any(|compiler| name.starts_with(compiler)))
            .map(|(_, time)| time)
            .sum(),
    )
}

/// Processor time of this process so far, in user and kernel mode.
pub(crate) fn processor_time_of(pid: u32) -> Option<Duration> {
    times(Path::new(&format!("/proc/{pid}"))).map(|(_, time)| time)
}

/// Name and processor time of a process or thread, from its folder in `/proc`.
fn times(folder: &Path) -> Option<(String, Duration)> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name, in parentheses, may hold anything; `utime` and `stime` are the 12th and 13th fields behind it.
    let (name, fields) = stat.rsplit_once(')')?;
    let name = name.split_once('(')?.1.to_owned();
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).map_while(|time| time.parse().ok()).collect();
    let [user, kernel] = ticks[..] else { return None };
    Some((name, Duration::from_millis((user + kernel) * 1_000 / rustix::param::clock_ticks_per_second())))
}

/// Folders in `/proc` of the children of this process that run this binary.
fn children(binary: &Path) -> Vec<PathBuf> {
    let Ok(binary) = binary.canonicalize() else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id().to_string();
    let is_child = |process: &PathBuf| {
        fs::read_link(process.join("exe")).is_ok_and(|executable| executable == binary)
            && fs::read_to_string(process.join("status")).is_ok_and(|status| field(&status, "PPid") == Some(&own))
    };
    processes.flatten().map(|process| process.path()).filter(is_child).collect()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_childs_processor_time_is_seen() {
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let mut time = Duration::ZERO;
        while time < Duration::from_millis(50) && std::time::Instant::now() < deadline {
            let binary = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
            time = processor_time(&binary).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(time >= Duration::from_millis(50), "{time:?}");
        assert_eq!(processor_time(Path::new("/no/such/binary")).unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_process_without_compilers_spends_nothing_on_them() {
        assert_eq!(compiler_time(std::process::id()), Some(Duration::ZERO));
        assert_eq!(compiler_time(u32::MAX), None);
        assert_eq!(processor_time_of(u32::MAX), None);
        assert!(processor_time_of(std::process::id()).is_some());
    }

    #[test]
    fn a_childs_memory_is_seen() {
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        let binary = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(4);
        let mut peak = f64::NAN;
        // Until `exec` has happened, the child is a copy of this process, and then it has touched nothing yet.
        while (peak.is_nan() || peak < 0.1) && std::time::Instant::now() < deadline {
            let binary = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap_or_else(|_| binary.clone());
            peak = peak_resident_mb(&binary);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(peak > 0.1, "{peak}");
        assert!(peak_resident_mb(Path::new("/no/such/binary")).is_nan());
    }
}
