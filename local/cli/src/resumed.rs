//! Work that an interruption does not lose: Ctrl-C notes its state, and the same command goes on.

use anyhow::{Context, Result, anyhow};
use driftless_display::console;
use driftless_harness::slices::StateFile;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::Daemon;
use crate::pair::Pair;

/// State file of a command.
pub(crate) struct Resumed<'p> {
    file: StateFile,
    pair: &'p Pair,
}

impl<'p> Resumed<'p> {
    /// Names the file by the command, table, index and request.
    pub(crate) fn new(daemon: &Daemon, command: &str, pair: &'p Pair, request: &Value) -> Self {
        let key = json!({"table": pair.facts.name, "index": pair.index, "request": request});
        Self { file: StateFile::new(&daemon.home().join("interrupted"), command, key), pair }
    }

    /// Reads the state of the run that was interrupted, or begins anew.
    pub(crate) async fn state<S: DeserializeOwned>(&self, begin: impl FnOnce() -> S) -> S {
        match self.file.load(&self.pair.about().await) {
            Some(state) => {
                console::note("going on where the same command was interrupted");
                state
            }
            None => begin(),
        }
    }

    /// Awaits the work. An interruption or an error notes its state; an end removes it.
    ///
    /// # Errors
    /// Those of the work, and an interruption.
    pub(crate) async fn run<S: Serialize, T>(
        &self,
        state: &mut S,
        work: impl AsyncFnOnce(&mut S) -> Result<T>,
    ) -> Result<T> {
        let result = tokio::select! {
            result = work(state) => Some(result),
            ended = ended() => {
                ended?;
                None
            }
        };
        let result = match result {
            Some(Ok(value)) => {
                self.file.remove();
                return Ok(value);
            }
            Some(Err(error)) => Err(error),
            None => Err(anyhow!("interrupted: the same command goes on")),
        };
        self.file.save(&self.pair.about().await, state).context("note the state")?;
        result
    }
}

/// Waits for the first SIGINT or SIGTERM.
///
/// # Errors
/// Where the signals cannot be listened for.
pub(crate) async fn ended() -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
