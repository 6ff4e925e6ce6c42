//! `cargo lambda watch` and `cargo lambda invoke`, as CONTRIBUTING.md shows them, against the local services.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use driftless_harness::services::{ChildProcess, PortLease, ProcessLaunch, last_lines, local_dir};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::Index;

/// Installing cargo-lambda takes a minute or two, and another test run may be at it.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);
const START_LIMIT: Duration = Duration::from_secs(60);
/// The first invocation may compile the function, on a machine that runs all the other tests as well.
const INVOKE_LIMIT: Duration = Duration::from_secs(900);
const LINES_IN_ERROR: usize = 60;

/// Beginnings of the names of variables that the function must not inherit.
///
/// Cargo sets some for a test, and build scripts that look at them would run again. The others are settings of the
/// function that a developer's shell may hold.
const STRAY: [&str; 12] = [
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "ANSWER_MARGIN_MS",
    "DEAD_LETTER_QUEUE_URL",
    "GENERATION",
    "INDEX",
    "OPENSEARCH_",
    "PARTITION_KEY",
    "REQUEST_TIMEOUT_MS",
    "RUST_LOG",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace").to_owned()
}

/// `PATH` with cargo-lambda on it.
async fn path_with_tools() -> OsString {
    let installed = run(Command::new(workspace().join(".ci/tools")), INSTALL_LIMIT, None).await;
    let tools = String::from_utf8(installed.stdout).expect("a path");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(tools.trim())).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("folders that were on PATH")
}

/// Runs a command to its end; where it fails, shows all it said, and the end of the log.
async fn run(mut command: Command, limit: Duration, log: Option<&Path>) -> Output {
    let name = format!("{:?}", command.as_std());
    let log = || {
        let text = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        last_lines(&text, LINES_IN_ERROR)
    };
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(output) = timeout(limit, run).await else { panic!("{name} takes longer than {limit:?}\n{}", log()) };
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}\n{}", output.status, log());
    output
}

/// Variables of this process that are not for the function.
fn stray() -> impl Iterator<Item = String> {
    let is_stray = |name: &String| name == "CARGO" || STRAY.iter().any(|begin| name.starts_with(begin));
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(is_stray)
}

/// A running `cargo lambda watch`; it ends with this process, whatever ends it.
struct Watch {
    process: ChildProcess,
    log: PathBuf,
    path: OsString,
    port: PortLease,
    _settings: tempfile::TempDir,
}

impl Watch {
    /// Starts it in the workspace's root, with the settings of a function that writes to `index` in a file.
    async fn start(index: &Index) -> Self {
        let path = path_with_tools().await;
        let port = PortLease::from(9100..=9199).expect("a free port");
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("local.env");
        let lines: String = index.settings().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(&settings, lines).expect("a file");
        let number = port.port().to_string();
        let log = local_dir().join("logs").join(format!("watch-{number}.log"));

        let mut command: Vec<OsString> = ["sh", "-c", r#"cd "$0" && exec "$@""#].map(OsString::from).into();
        command.extend([workspace().into(), "env".into()]);
        command.extend(stray().flat_map(|name| ["-u".into(), name.into()]));
        // The target folder of this very test, also if only `--target-dir` named it: nothing in it is built again.
        let target = local_dir().parent().expect("a folder of the target folder").to_owned();
        command.extend([assignment("PATH", &path), assignment("CARGO_TARGET_DIR", target.as_os_str())]);
        command
            .extend(["cargo", "lambda", "watch", "--ignore-changes", "--invoke-address", "127.0.0.1"].map(Into::into));
        command.extend(["--invoke-port".into(), number.into(), "--env-file".into(), settings.into()]);
        let grace = Duration::from_secs(10);
        let launch =
            ProcessLaunch { name: "cargo lambda watch".to_owned(), command, log: log.clone(), scratch: None, grace };
        let mut process = ChildProcess::start(launch).await.expect("a process");
        let answers = || async { Ok(TcpStream::connect(("127.0.0.1", port.port())).await.map(drop)?) };
        process.ready(START_LIMIT, answers).await.expect("cargo lambda watch");
        Self { process, log, path, port, _settings: folder }
    }

    /// `cargo lambda invoke replicate` with a sample event; gives what it prints.
    async fn invoke(&self, event: &str) -> String {
        let mut command = Command::new("cargo");
        command.current_dir(workspace()).env("PATH", &self.path).args(["lambda", "invoke", "replicate"]);
        command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &self.port.port().to_string()]);
        command.args(["--data-file", event]);
        let output = run(command, INVOKE_LIMIT, Some(&self.log)).await;
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

fn assignment(name: &str, value: &OsStr) -> OsString {
    let mut assignment = OsString::from(name);
    assignment.push("=");
    assignment.push(value);
    assignment
}

#[tokio::test]
async fn cargo_lambda_runs_the_function_against_the_local_services() {
    let index = Index::new("watch");
    let watch = Watch::start(&index).await;
    let answer = watch.invoke("events/insert.json").await;
    assert_eq!(answer.trim(), r#"{"batchItemFailures":[]}"#);
    let found = index.visible().await;
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["acme#m-1042|2026-01-15T09:31:07.123Z#01KF0FX3ZK9D4Q3E81CDRZ9974"],
        "{found:?}"
    );
    watch.process.stop().await.expect("it ends");
}
