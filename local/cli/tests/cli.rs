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

/// Runs a command that must fail; gives what it said.
#[track_caller]
fn fail(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{}\n{said}", String::from_utf8_lossy(&stdout));
    said
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

    let refused = fail(local(home, &["up", "--engine", "opensearch-2"]));
    assert!(refused.contains("have no search engine") && refused.contains("cargo local down"), "{refused}");

    let mut down = local(home, &["down"]);
    down.env("AWS_ENDPOINT_URL_SQS", format!("http://{sqs}")).env("AWS_REGION", "eu-central-1");
    let (unsets, _) = succeed(down);
    assert_eq!(unsets, "unset AWS_ENDPOINT_URL_SQS\n", "only what points to the services");
    assert!(!accepts(&dynamodb) && !accepts(&sqs));
    let (_, said) = succeed(local(home, &["down"]));
    assert_eq!(said, "no services run\n");
    assert_eq!(fail(local(home, &["status"])), "error: no services run: start them with `cargo local up`\n");
}

#[test]
fn commands_without_services_say_how_to_get_them() {
    let home = tempfile::tempdir().unwrap();
    let output = local(home.path(), &["load", "--table", "any"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cargo local up") && said.contains("AWS_ENDPOINT_URL_DYNAMODB"), "{said}");
}

#[test]
fn commands_on_a_table_and_its_index_say_what_they_need() {
    let home = tempfile::tempdir().unwrap();
    for command in ["replicate", "backfill", "verify", "purge"] {
        let said = fail(local(home.path(), &[command, "--table", "any"]));
        assert!(said.contains("cargo local up") && said.contains("OPENSEARCH_ENDPOINT"), "{command}: {said}");
    }
    // Its own credentials and endpoint would be taken for those of the account.
    let mut command = local(home.path(), &["backfill", "--table", "any", "--aws"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    let said = fail(command);
    assert!(said.contains("AWS_ENDPOINT_URL_DYNAMODB is set: use a shell without the variables"), "{said}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = local(home.path(), &["reindex", "status", "--table", "any"]);
    command.env("OPENSEARCH_ENDPOINT", format!("http://{}", listener.local_addr().unwrap()));
    let said = fail(command);
    assert!(said.contains("no services run") && said.contains("--aws"), "{said}");
}

#[test]
fn a_service_of_the_environment_that_does_not_answer_is_named_before_anything_is_done() {
    let home = tempfile::tempdir().unwrap();
    // Bound and released: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let commands: [(&[&str], &str); 3] = [
        (&["load", "--table", "any"], "AWS_ENDPOINT_URL_DYNAMODB"),
        (&["up"], "OPENSEARCH_ENDPOINT"),
        (&["demo"], "AWS_ENDPOINT_URL_SQS"),
    ];
    for (arguments, variable) in commands {
        let mut command = local(home.path(), arguments);
        command.env(variable, &url);
        let said = fail(command);
        assert!(said.contains(&format!("at {url} ({variable})")), "{said}");
        assert!(said.contains(&format!("{variable}={url}: connection refused")), "{said}");
        assert!(said.contains(&format!("unset {variable}")) && !said.contains("building"), "{said}");
    }
}

#[test]
fn an_outage_needs_an_engine_of_the_tools_own() {
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = local(home.path(), &["demo", "--outage", "5"]);
    command.env("OPENSEARCH_ENDPOINT", format!("http://{}", listener.local_addr().unwrap()));
    let said = fail(command);
    assert!(said.contains("unset OPENSEARCH_ENDPOINT") && !said.contains("building"), "{said}");
}

#[test]
fn values_out_of_range_are_refused_with_their_range() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (["demo", "--outage", "-1"], "--outage is -1, it must be 0 to 600"),
        (["size", "--rate", "-5"], "--rate is -5, it must be 0.001 to 10000000"),
        (["demo", "--timeout", "0"], "0 is not in 1..=900"),
        (["simulate", "--schedules", "0"], "0 is not in 1.."),
    ] {
        let output = local(home.path(), &arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
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
    assert!(fail(local(home.path(), &["status"])).contains("no services run"));
}
