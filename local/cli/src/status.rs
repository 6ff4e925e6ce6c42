//! `local status`: what runs in the background.

use anyhow::Result;
use driftless_display::console;

use crate::daemon::{Daemon, State};

/// Say which services run in the background, and how to reach them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, daemon: &Daemon) -> Result<()> {
    match daemon.state()? {
        State::Down => console::note("no services run"),
        State::Changing => console::note("the services are being started or stopped"),
        State::Up(running) => {
            let engine = running.engine.as_deref().unwrap_or("no search engine of our own");
            console::note(format!("services run: pid {}, {engine}", running.pid));
            for line in running.exports() {
                console::result(line);
            }
        }
    }
    Ok(())
}
