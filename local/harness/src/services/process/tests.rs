//! The promise of the supervisor, on real processes.

use std::io::{BufRead, BufReader as StdBufReader};
use std::process::Command as StdCommand;

use super::*;

fn launch(folder: &Path, script: &str) -> ProcessLaunch {
    ProcessLaunch {
        name: "the child".to_owned(),
        command: ["sh", "-c", script].map(OsString::from).to_vec(),
        log: folder.join("child.log"),
        scratch: None,
        grace: Duration::from_secs(2),
    }
}

fn runs(pid: u32) -> bool {
    StdCommand::new("sh").args(["-c", "kill -0 \"$1\" 2>/dev/null", "sh", &pid.to_string()]).status().unwrap().success()
}

#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn stop_ends_the_child_and_removes_its_scratch_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut launch = launch(folder.path(), "exec sleep 600");
    launch.scratch = Some(scratch.clone());
    let process = ChildProcess::start(launch).await.unwrap();
    let pid = process.pid();
    assert!(runs(pid));
    process.stop().await.unwrap();
    assert!(!runs(pid));
    assert!(!scratch.exists());
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_after_its_grace() {
    let folder = tempfile::tempdir().unwrap();
    let mut launch = launch(folder.path(), "trap '' TERM; echo up; while :; do sleep 1; done");
    launch.grace = Duration::from_millis(300);
    let log = launch.log.clone();
    let mut process = ChildProcess::start(launch).await.unwrap();
    process
        .ready(Duration::from_secs(5), async || {
            anyhow::ensure!(std::fs::read_to_string(&log)?.contains("up"), "no output yet");
            Ok(())
        })
        .await
        .unwrap();
    let pid = process.pid();
    process.stop().await.unwrap();
    assert!(!runs(pid));
}

#[tokio::test]
async fn dropping_stops_the_child() {
    let folder = tempfile::tempdir().unwrap();
    let process = ChildProcess::start(launch(folder.path(), "exec sleep 600")).await.unwrap();
    let pid = process.pid();
    drop(process);
    eventually("the child is gone", || !runs(pid));
}

#[tokio::test]
async fn kill_keeps_the_scratch_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut launch = launch(folder.path(), "exec sleep 600");
    launch.scratch = Some(scratch.clone());
    let process = ChildProcess::start(launch).await.unwrap();
    let pid = process.pid();
    process.kill().await.unwrap();
    assert!(!runs(pid));
    assert!(scratch.exists());
}

#[tokio::test]
async fn a_frozen_child_can_still_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = ChildProcess::start(launch(folder.path(), "exec sleep 600")).await.unwrap();
    let pid = process.pid();
    process.signal(Signal::Stop).await.unwrap();
    process.stop().await.unwrap();
    assert!(!runs(pid));
}

#[tokio::test]
async fn an_early_end_is_noticed_at_once_and_shows_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = ChildProcess::start(launch(folder.path(), "echo 'no disk left'; exit 3")).await.unwrap();
    let started = Instant::now();
    let error = process.ready(Duration::from_secs(60), std::future::pending).await.unwrap_err().to_string();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(error.contains("exit status: 3") && error.contains("no disk left"), "{error}");
}

#[tokio::test]
async fn a_missing_program_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut launch = launch(folder.path(), "");
    launch.command = vec!["no-such-program-anywhere".into()];
    let mut process = ChildProcess::start(launch).await.unwrap();
    let error = process.ready(Duration::from_secs(60), std::future::pending).await.unwrap_err().to_string();
    assert!(error.contains("not found"), "{error}");
}

/// The holder of the pipe is a separate process here, for a test cannot kill itself and look on.
#[test]
fn the_child_dies_with_a_holder_that_was_sigkilled() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let holder_script =
        "mkfifo pipe; sh -c \"$1\" supervise log 20 scratch sleep 600 <pipe & exec 9>pipe; exec sleep 600 >/dev/null";
    let mut holder = StdCommand::new("sh")
        .args(["-c", holder_script, "holder", SUPERVISOR])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    StdBufReader::new(holder.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let pid = pid.trim().parse().unwrap();
    assert!(runs(pid));
    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("the child is gone", || !runs(pid));
    eventually("the scratch folder is gone", || !scratch.exists());
}

#[test]
fn last_lines_are_the_last() {
    assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
    assert_eq!(last_lines("a", 2), "a");
}
