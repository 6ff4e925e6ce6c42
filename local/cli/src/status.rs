//! `local status`: what runs in the background.

use anyhow::{Result, bail};
use driftless_display::console;

use crate::daemon::{Daemon, DaemonState};

/// Say which services run in the background, and how to reach them; the exit code is 1 where none do
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, daemon: &Daemon) -> Result<()> {
    match daemon.state()? {
        DaemonState::Down => bail!("no services run: start them with `cargo local up`"),
        DaemonState::Changing => bail!("the services are being started or stopped: try again in a moment"),
        DaemonState::Up(running) => {
            let engine = running.engine.as_deref().unwrap_or("no search engine of our own");
            console::note(format!("services run: pid {}, {engine}", running.pid));
            for line in running.exports() {
                console::result(line);
            }
        }
    }
    Ok(())
}
