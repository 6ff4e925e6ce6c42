//! The program itself: what `up` starts, `down` stops, and nothing survives a SIGKILL.

#![expect(clippy::unwrap_used, reason = "a test helper may fail its test")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn local(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.arg("--home").arg(home).args(arguments);
    // Services of the developer's own session are not the matter here.
    for name in ["OPENSEARCH_ENDPOINT", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"] {
        command.env_remove(name);
    }
    command
}

#[track_caller]
fn succeed(mut command: Command) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// The address in the line `export NAME=http://…` of what `up` prints.
fn address(exports: &str, name: &str) -> String {
    let start = format!("export {name}=http://");
    let line = exports.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {exports}")).to_owned()
}

fn accepts(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(1)).is_ok()
}

#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends what a failed test leaves behind.
struct Up<'a>(&'a Path);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = local(self.0, &["down"]).output();
    }
}

#[test]
fn services_go_up_take_a_load_and_come_down() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let _up = Up(home);
    let (exports, _) = succeed(local(home, &["up", "--no-engine"]));
    let (dynamodb, sqs) = (address(&exports, "AWS_ENDPOINT_URL_DYNAMODB"), address(&exports, "AWS_ENDPOINT_URL_SQS"));
    assert!(accepts(&dynamodb) && accepts(&sqs));
    assert!(!exports.contains("OPENSEARCH_ENDPOINT"));

    let (again, said) = succeed(local(home, &["up", "--no-engine"]));
    assert_eq!(again, exports);
    assert!(said.contains("run already"), "{said}");
    assert_eq!(succeed(local(home, &["status"])).0, exports);

    let load = ["load", "--table", "loaded", "--create", "--rate", "100", "--seconds", "0.5", "--keys", "20"];
    let (report, _) = succeed(local(home, &load));
    assert!(report.contains("50 writes in") && report.contains("failed 0"), "{report}");

    succeed(local(home, &["down"]));
    assert!(!accepts(&dynamodb) && !accepts(&sqs));
    let (_, said) = succeed(local(home, &["down"]));
    assert_eq!(said, "no services run\n");
    assert_eq!(succeed(local(home, &["status"])).1, "no services run\n");
}

#[test]
fn commands_without_services_say_how_to_get_them() {
    let home = tempfile::tempdir().unwrap();
    let output = local(home.path(), &["load", "--table", "any"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cargo local up") && said.contains("AWS_ENDPOINT_URL_DYNAMODB"), "{said}");
}

/// Starts in the foreground and gives what it printed when everything was ready.
fn foreground(home: &Path) -> (Child, String) {
    let mut command = local(home, &["up", "--foreground", "--no-engine"]);
    let mut tool = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(tool.stdout.take().unwrap()).lines();
    let mut exports = String::new();
    for line in lines {
        exports += &(line.unwrap() + "\n");
        if exports.contains("AWS_ENDPOINT_URL_SQS") {
            return (tool, exports);
        }
    }
    panic!("the tool ended: {:?}", tool.wait());
}

#[test]
fn no_service_survives_a_tool_that_was_sigkilled() {
    let home = tempfile::tempdir().unwrap();
    let (mut tool, exports) = foreground(home.path());
    let sqs = address(&exports, "AWS_ENDPOINT_URL_SQS");
    assert!(accepts(&sqs));
    tool.kill().unwrap();
    tool.wait().unwrap();
    eventually("the queues are gone", || !accepts(&sqs));
    assert_eq!(succeed(local(home.path(), &["status"])).1, "no services run\n");
}
