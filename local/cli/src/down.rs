//! `local down`: stops the services in the background.

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_display::console::{self, ProgressLine};
use tokio::time::{Instant, sleep};

use crate::daemon::{Daemon, DaemonState};

/// The slowest service gets 15 seconds.
const LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Stop the services that run in the background
///
/// The output is for a shell, and takes the variables of `local up` back: `eval "$(cargo local down)"`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, daemon: &Daemon) -> Result<()> {
    match daemon.state()? {
        DaemonState::Down => console::note("no services run"),
        DaemonState::Changing => {
            bail!("the services are being started or stopped: try again in a moment")
        }
        DaemonState::Up(running) => {
            stop(running.pid, daemon).await?;
            let unsets = running.unsets(|name| std::env::var(name).ok());
            unsets.iter().for_each(console::result);
            let hint = if unsets.is_empty() || !std::io::stdout().is_terminal() {
                ""
            } else {
                "; this shell still has their variables: unset them as above, or use `eval \"$(cargo local down)\"`"
            };
            console::note(format!("the services are stopped{hint}"));
        }
    }
    Ok(())
}

/// Asks the process that holds the services to end, and waits until it has.
pub(crate) async fn stop(pid: u32, daemon: &Daemon) -> Result<()> {
    let _progress = ProgressLine::spinner("stopping the services");
    let deadline = Instant::now() + LIMIT;
    terminate(pid)?;
    while !matches!(daemon.state()?, DaemonState::Down) {
        if Instant::now() >= deadline {
            bail!("the services (pid {pid}) do not end; see {}", daemon.log_file().display());
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

fn terminate(pid: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -s TERM \"$1\"", "kill", &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .context("run a shell that sends SIGTERM")?;
    if !status.success() {
        bail!("the process {pid} that holds the services cannot be told to end");
    }
    Ok(())
}
