//! The one set of services that runs in the background: how it is found, and by whom it is held.
//!
//! The process that holds the services locks a file for as long as it lives, so a state file that a killed process left
//! behind is never believed, and a pid is never used after its process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_harness::services::{DYNAMODB_ENDPOINT, Existing, Services};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// A look at the lock by another process ends well within this.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// The folder that tells processes about each other.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    home: PathBuf,
}

/// What is known about running services.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The process that holds them.
    pub(crate) pid: u32,
    /// The search engine's name and version, if it is one of ours.
    pub(crate) engine: Option<String>,
    /// The variables that point to them.
    pub(crate) environment: BTreeMap<String, String>,
}

pub(crate) enum State {
    /// No process holds services.
    Down,
    /// One is starting or stopping them.
    Changing,
    Up(Running),
}

/// Proof that this process is the one that holds the services.
pub(crate) struct Held {
    state_file: PathBuf,
    _lock: File,
}

impl Daemon {
    /// Kept in `home`.
    #[must_use]
    pub(crate) fn at(home: PathBuf) -> Self {
        Self { home }
    }

    /// The DynamoDB that commands talk to: the one that the environment names, or else the running one.
    ///
    /// # Errors
    /// Where there is none; the error says how to get one.
    pub(crate) fn dynamodb_endpoint(&self) -> Result<String> {
        if let Some(endpoint) = Existing::from_env().dynamodb {
            return Ok(endpoint);
        }
        let State::Up(mut running) = self.state()? else {
            bail!("no services run: start them with `cargo local up`, or set {DYNAMODB_ENDPOINT}");
        };
        running.environment.remove(DYNAMODB_ENDPOINT).context("the running services have no DynamoDB")
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where the background process logs.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.home.join("services.log")
    }

    pub(crate) fn state(&self) -> Result<State> {
        let Ok(lock) = File::open(self.lock_file()) else {
            return Ok(State::Down);
        };
        // Shared, so that two commands that look at the same time do not take each other for the holder.
        if lock.try_lock_shared().is_ok() {
            return Ok(State::Down);
        }
        match fs::read(self.state_file()) {
            Ok(json) => serde_json::from_slice(&json).map(State::Up).context("read the state of the services"),
            Err(_) => Ok(State::Changing),
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
    pub(crate) fn announce(&self, running: &Running) -> Result<()> {
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

impl Running {
    pub(crate) fn here(services: &Services) -> Self {
        let environment = services.environment().into_iter().map(|(name, value)| (name.to_owned(), value));
        Self {
            pid: std::process::id(),
            engine: services.opensearch().map(|engine| engine.name().to_owned()),
            environment: environment.collect(),
        }
    }

    /// Lines for a shell.
    pub(crate) fn exports(&self) -> impl Iterator<Item = String> {
        self.environment.iter().map(|(name, value)| format!("export {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        let environment = [("A".to_owned(), "b".to_owned())].into();
        Running { pid: std::process::id(), engine: None, environment }
    }

    #[tokio::test]
    async fn services_are_up_only_while_somebody_holds_them() {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::at(home.path().join("local"));
        assert!(matches!(daemon.state().unwrap(), State::Down));
        let held = daemon.hold().await.unwrap();
        assert!(matches!(daemon.state().unwrap(), State::Changing));
        held.announce(&running()).unwrap();
        let State::Up(found) = daemon.state().unwrap() else { panic!("announced") };
        assert_eq!(found.exports().collect::<Vec<_>>(), ["export A=b"]);
        assert!(daemon.hold().await.is_err(), "one holder at a time");
        drop(held);
        assert!(matches!(daemon.state().unwrap(), State::Down));
    }

    #[test]
    fn state_left_behind_by_a_killed_process_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::at(home.path().to_owned());
        fs::write(daemon.lock_file(), "").unwrap();
        fs::write(daemon.state_file(), serde_json::to_vec(&running()).unwrap()).unwrap();
        assert!(matches!(daemon.state().unwrap(), State::Down));
    }
}
