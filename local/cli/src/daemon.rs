//! The one set of services that runs in the background: how it is found, and by whom it is held.
//!
//! The process that holds the services locks a file for as long as it lives, so a state file that a killed process left
//! behind is never believed, and a pid is never used after its process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_display::console;
use driftless_harness::services::{
    DYNAMODB_ENDPOINT, DynamoDbKind, Existing, OPENSEARCH_ENDPOINT, SQS_ENDPOINT, Services,
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// A look at the lock by another process ends well within this.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

const DYNAMODB_LOCAL: &str = "DynamoDB Local";
/// Settings of the function that no service gives. Comments come last: an `eval` without quotes ends at the first.
const FUNCTION_HINTS: [&str; 3] = [
    "# The function that `cargo local replay` runs needs two more:",
    "#   export OPENSEARCH_AUTH=none",
    "#   export INDEX=NAME-OF-AN-INDEX",
];

/// Services that a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// True if there must be a search engine.
    pub(crate) engine: bool,
    /// The one of this name and version.
    pub(crate) engine_name: Option<&'static str>,
    pub(crate) dynamodb: DynamoDbKind,
    pub(crate) sqs: bool,
}

/// The folder that tells processes about each other.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    home: PathBuf,
}

/// Services that run in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunningServices {
    /// The process that holds them.
    pub(crate) pid: u32,
    /// The search engine's name and version, if it is one of ours.
    pub(crate) engine: Option<String>,
    /// Name of AWS's DynamoDB Local, if that was asked for.
    #[serde(default)]
    pub(crate) dynamodb: Option<String>,
    /// The variables that point to them.
    pub(crate) environment: BTreeMap<String, String>,
}

pub(crate) enum DaemonState {
    /// No process holds services.
    Down,
    /// One is starting or stopping them.
    Changing,
    Up(RunningServices),
}

/// Proof that this process is the one that holds the services.
pub(crate) struct Held {
    state_file: PathBuf,
    _lock: File,
}

impl Daemon {
    /// Creates the folder's handle at `home`.
    #[must_use]
    pub(crate) fn at(home: PathBuf) -> Self {
        Self { home }
    }

    /// The DynamoDB that commands talk to: the one that the environment names, or else the running one.
    ///
    /// # Errors
    /// Where there is none, or the one of the environment does not answer; the error says how to get one.
    pub(crate) async fn dynamodb_endpoint(&self) -> Result<String> {
        let existing = Existing { dynamodb: Existing::from_env().dynamodb, ..Existing::default() };
        if let Some(endpoint) = &existing.dynamodb {
            existing.lines().iter().for_each(console::note);
            existing.check().await?;
            return Ok(endpoint.clone());
        }
        let DaemonState::Up(mut running) = self.state()? else {
            bail!("no services run: start them with `cargo local up`, or set {DYNAMODB_ENDPOINT}");
        };
        running.environment.remove(DYNAMODB_ENDPOINT).context("the running services have no DynamoDB")
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the log of the background process.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.home.join("services.log")
    }

    pub(crate) fn state(&self) -> Result<DaemonState> {
        let Ok(lock) = File::open(self.lock_file()) else {
            return Ok(DaemonState::Down);
        };
        // Shared, so that two commands that look at the same time do not take each other for the holder.
        if lock.try_lock_shared().is_ok() {
            return Ok(DaemonState::Down);
        }
        match fs::read(self.state_file()) {
            Ok(json) => serde_json::from_slice(&json).map(DaemonState::Up).context("read the state of the services"),
            Err(_) => Ok(DaemonState::Changing),
        }
    }

    /// Makes this process the holder.
    pub(crate) async fn hold(&self) -> Result<Held> {
        fs::create_dir_all(&self.home).with_context(|| format!("create {}", self.home.display()))?;
        let lock = File::create(self.lock_file()).context("create the lock of the services")?;
        for _ in 0..LOCK_ATTEMPTS {
            if lock.try_lock().is_ok() {
                let held = Held { state_file: self.state_file(), _lock: lock };
                held.forget();
                return Ok(held);
            }
            sleep(LOCK_INTERVAL).await;
        }
        bail!("services run already: see `cargo local status`")
    }

    fn state_file(&self) -> PathBuf {
        self.home.join("services.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.home.join("services.lock")
    }
}

impl Held {
    /// Tells other processes that the services are up.
    pub(crate) fn announce(&self, running: &RunningServices) -> Result<()> {
        let json = serde_json::to_vec_pretty(running).context("write the state of the services")?;
        // Whole or not at all, for others read it at any time.
        let unfinished = self.state_file.with_extension("unfinished");
        fs::write(&unfinished, json).with_context(|| format!("write {}", unfinished.display()))?;
        fs::rename(&unfinished, &self.state_file).with_context(|| format!("write {}", self.state_file.display()))
    }

    /// Tells them that they are not.
    pub(crate) fn forget(&self) {
        // It may never have been there.
        let _ = fs::remove_file(&self.state_file);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.forget();
    }
}

impl RunningServices {
    /// Describes services that this process holds.
    pub(crate) fn here(services: &Services, dynamodb: DynamoDbKind) -> Self {
        let environment = services.environment().into_iter().map(|(name, value)| (name.to_owned(), value));
        Self {
            pid: std::process::id(),
            engine: services.opensearch().map(|engine| engine.name().to_owned()),
            dynamodb: (dynamodb == DynamoDbKind::DynamoDbLocal).then(|| DYNAMODB_LOCAL.to_owned()),
            environment: environment.collect(),
        }
    }

    /// Lines for a shell: the variables, and as comments those that only its user knows.
    pub(crate) fn exports(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("export {name}={value}")).collect();
        if self.environment.contains_key(OPENSEARCH_ENDPOINT) {
            lines.extend(FUNCTION_HINTS.map(str::to_owned));
        }
        lines
    }

    /// Lines for a shell that takes the variables back, as far as `lookup` shows that it has them.
    pub(crate) fn unsets(&self, lookup: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let set = self.environment.iter().filter(|(name, value)| lookup(name).as_ref() == Some(value));
        set.map(|(name, _)| format!("unset {name}")).collect()
    }

    /// Returns what `wanted` asks for and these services lack; absent where they have it all.
    pub(crate) fn lacks(&self, wanted: &Demand) -> Option<String> {
        let own = |name: &Option<String>| name.clone().unwrap_or_else(|| "one that was not started here".to_owned());
        if wanted.engine && !self.environment.contains_key(OPENSEARCH_ENDPOINT) {
            return Some("have no search engine".to_owned());
        }
        if let Some(name) = wanted.engine_name
            && self.engine.as_deref() != Some(name)
        {
            return Some(format!("have another search engine than {name}: {}", own(&self.engine)));
        }
        if wanted.sqs && !self.environment.contains_key(SQS_ENDPOINT) {
            return Some("have no queues".to_owned());
        }
        if wanted.dynamodb == DynamoDbKind::DynamoDbLocal && self.dynamodb.is_none() {
            return Some(format!("have another DynamoDB than {DYNAMODB_LOCAL}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> RunningServices {
        let environment = [("A".to_owned(), "b".to_owned())].into();
        RunningServices { pid: std::process::id(), engine: None, dynamodb: None, environment }
    }

    #[tokio::test]
    async fn services_are_up_only_while_somebody_holds_them() {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::at(home.path().join("local"));
        assert!(matches!(daemon.state().unwrap(), DaemonState::Down));
        let held = daemon.hold().await.unwrap();
        assert!(matches!(daemon.state().unwrap(), DaemonState::Changing));
        held.announce(&running()).unwrap();
        let DaemonState::Up(found) = daemon.state().unwrap() else { panic!("announced") };
        assert_eq!(found.exports(), ["export A=b"]);
        assert!(daemon.hold().await.is_err(), "one holder at a time");
        drop(held);
        assert!(matches!(daemon.state().unwrap(), DaemonState::Down));
    }

    #[test]
    fn only_variables_that_still_point_to_the_services_are_unset() {
        let running = running();
        assert_eq!(running.unsets(|name| (name == "A").then(|| "b".to_owned())), ["unset A"]);
        assert!(running.unsets(|_| Some("of somebody else".to_owned())).is_empty());
        assert!(running.unsets(|_| None).is_empty());
    }

    #[test]
    fn running_services_that_lack_what_is_asked_for_are_told() {
        let (dynamodb, name) = (DynamoDbKind::Embedded, "OpenSearch 2.19.1");
        let any = Demand { engine: true, engine_name: None, dynamodb, sqs: false };
        assert_eq!(running().lacks(&any).as_deref(), Some("have no search engine"));
        let mut running = running();
        running.environment.insert(OPENSEARCH_ENDPOINT.to_owned(), "http://127.0.0.1:9201".to_owned());
        running.engine = Some("OpenSearch 3.8.0".to_owned());
        assert_eq!(running.lacks(&any), None);
        let lacks = running.lacks(&Demand { engine_name: Some(name), ..any });
        assert_eq!(lacks.as_deref(), Some("have another search engine than OpenSearch 2.19.1: OpenSearch 3.8.0"));
        assert_eq!(running.lacks(&Demand { sqs: true, ..any }).as_deref(), Some("have no queues"));
        assert!(running.lacks(&Demand { dynamodb: DynamoDbKind::DynamoDbLocal, ..any }).is_some());
        assert!(running.exports().last().is_some_and(|line| line.starts_with("#   export INDEX")));
    }

    #[test]
    fn state_left_behind_by_a_killed_process_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::at(home.path().to_owned());
        fs::write(daemon.lock_file(), "").unwrap();
        fs::write(daemon.state_file(), serde_json::to_vec(&running()).unwrap()).unwrap();
        assert!(matches!(daemon.state().unwrap(), DaemonState::Down));
    }
}
