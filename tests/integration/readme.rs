//! The README's "Your own table in ten minutes", run as it is written, command by command.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use driftless_harness::services::dynamodb_client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::commands::{LOCAL, services};
use crate::support::unique;

const README: &str = include_str!("../../README.md");
const HEADING: &str = "## Your own table in ten minutes";
/// Longest start of the mapping, with the build of its function.
const START: Duration = Duration::from_secs(300);

/// Commands of the section's blocks, with continued lines joined.
fn commands() -> Vec<String> {
    let (_, rest) = README.split_once(HEADING).expect("the section");
    let (section, _) = rest.split_once("\n## ").expect("another section");
    let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    lines.join("\n").replace("\\\n", " ").lines().map(str::to_owned).collect()
}

/// A shell on the shared services, in which `cargo local` is the tool that was built.
pub(crate) struct Shell {
    folder: TempDir,
    tables: Client,
    table: String,
    has_aws: bool,
    /// Variables of its commands.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Shell {
    pub(crate) async fn new(table: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let home = folder.path().join("home");
        let (tool, home) = (LOCAL.display(), home.display());
        let script = format!(
            "#!/bin/sh\nPATH='{path}'\n[ \"$1\" = local ] || exec cargo \"$@\"\nshift\nexec '{tool}' --home '{home}' \"$@\"\n"
        );
        let cargo = folder.path().join("cargo");
        std::fs::write(&cargo, script).expect("written");
        std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let aws = Command::new("aws").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        Self {
            folder,
            tables: dynamodb_client(services().dynamodb_endpoint()),
            table: table.to_owned(),
            has_aws: aws.is_ok_and(|status| status.success()),
            environment: BTreeMap::new(),
        }
    }

    fn bash(&self, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.arg("-c").arg(format!("set -eu\n{line}"));
        command.env("PATH", format!("{}:{path}", self.folder.path().display()));
        command.envs(services().environment()).env_remove("DEAD_LETTER_QUEUE_URL").env_remove("PARTITION_KEY");
        command.envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, and returns what it printed.
    pub(crate) async fn run(&self, line: &str) -> String {
        let (succeeded, stdout, stderr) = self.output(line).await;
        assert!(succeeded, "{line}\n{stdout}\n{stderr}");
        stdout
    }

    /// The same of a command that may fail. Returns whether it succeeded, and what it printed on both outputs.
    pub(crate) async fn output(&self, line: &str) -> (bool, String, String) {
        let output = self.bash(line).output().await.expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Starts a command that goes on, and waits until it says so.
    pub(crate) async fn start(&self, line: &str, ready: &str) -> Child {
        let mut child = self.bash(&format!("exec {line}")).spawn().expect("bash starts");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let reading = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await.expect("a line") {
                if line.contains(ready) {
                    return;
                }
                said += &format!("{line}\n");
            }
            panic!("it ended: {said}");
        };
        timeout(START, reading).await.expect("it starts");
        // Somebody must read on, or the command waits for ever.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        child
    }

    /// Does with the SDK what a line of the AWS CLI does.
    async fn aws(&self, line: &str) {
        let table = &self.table;
        if line.starts_with("aws dynamodb create-table ") {
            let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
            let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
            let create = self.tables.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
            let create = create.attribute_definitions(key.build().expect("a key"));
            create.key_schema(schema.build().expect("a key")).send().await.expect("created");
        } else if line.starts_with("aws dynamodb update-table ") {
            let stream = StreamSpecification::builder().stream_enabled(true);
            let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().expect("a stream");
            let update = self.tables.update_table().table_name(table).stream_specification(stream);
            update.send().await.expect("updated");
        } else if let Some((_, item)) = line.split_once(" --item ") {
            let item: Value = serde_json::from_str(item.trim().trim_matches('\'')).expect("an item");
            let attribute = |value: &Value| match (value["S"].as_str(), value["N"].as_str()) {
                (Some(text), _) => AttributeValue::S(text.to_owned()),
                (_, Some(number)) => AttributeValue::N(number.to_owned()),
                _ => panic!("{value}"),
            };
            let item = item.as_object().expect("an item").iter();
            let item = item.map(|(name, value)| (name.clone(), attribute(value))).collect();
            self.tables.put_item().table_name(table).set_item(Some(item)).send().await.expect("put");
        } else {
            panic!("unknown: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_own_table_is_searched_after_its_commands() {
    let table = unique("orders");
    let shell = Shell::new(&table).await;
    let (mut replicate, mut printed, mut count) = (None, String::new(), 0);
    for line in commands() {
        // `up` is tested where services are the matter, and the table in an account needs one.
        if line.starts_with("eval ") || line.contains("--aws") {
            continue;
        }
        let line = line.replace("--table-name orders", &format!("--table-name {table}"));
        let line =
            line.replace("--table orders", &format!("--table {table}")).replace("/orders/", &format!("/{table}/"));
        count += 1;
        match line.split(' ').next() {
            Some("aws") if !shell.has_aws => shell.aws(&line).await,
            _ if line.contains("cargo local replicate") => {
                replicate = Some(shell.start(&line, "replicating the table").await);
            }
            Some("curl") => {
                // As people who type it, the search comes after the next refresh.
                tokio::time::sleep(Duration::from_millis(1_200)).await;
                printed = shell.run(&line).await;
            }
            _ => printed = shell.run(&line).await,
        }
        if line.contains("cargo local verify") {
            assert!(printed.starts_with("equal"), "{printed}");
        }
    }
    assert!(count >= 9, "{:?}", commands());
    let found: Value = serde_json::from_str(&printed).expect("the answer of a search");
    let ids = found["hits"]["hits"].as_array().expect("hits").iter().map(|hit| hit["_id"].as_str().expect("an id"));
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "3"], "{found}");
    interrupt(replicate.expect("the section starts it")).await;
}

/// Ends a command as Ctrl-C does.
pub(crate) async fn interrupt(mut command: Child) {
    let pid = command.id().expect("it runs").to_string();
    Command::new("kill").args(["-INT", &pid]).status().await.expect("a signal");
    assert!(command.wait().await.expect("it ends").success());
}
