//! `local up`: starts the services in the background and prints how to reach them.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::services::{Existing, Jdks, check_requirements, last_lines};
use tokio::time::sleep;

use crate::daemon::{Daemon, DaemonState, RunningServices};
use crate::serve;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const LINES_IN_ERROR: usize = 30;

/// Start the services in the background and print how to reach them
///
/// DynamoDB with streams, SQS and a search engine, all real, all on this machine. The output is for a shell:
/// `eval "$(cargo local up)"`. They run until `local down`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stay in the foreground; the services end with the command
    #[arg(long)]
    foreground: bool,
    #[command(flatten)]
    services: serve::Choice,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    if let DaemonState::Up(running) = daemon.state()? {
        if let Some(lack) = running.lacks(&args.services.demand()) {
            bail!(
                "services run already (pid {}), and they {lack}: stop them first with `cargo local down`",
                running.pid
            );
        }
        console::note(format!("services run already (pid {})", running.pid));
        print(&running);
        return Ok(());
    }
    let wanted = args.services.wanted();
    let existing = Existing::from_env().wanted(wanted);
    existing.lines().iter().for_each(console::note);
    existing.check().await?;
    check_requirements(wanted, &existing, &Jdks::from_env())?;
    if args.foreground {
        return serve::hold(args.services, daemon, |running| {
            print(running);
            console::note("ready; Ctrl-C stops them");
        })
        .await;
    }
    let mut background = spawn(args.services, daemon)?;
    let running = tokio::select! {
        running = ready(&mut background, daemon) => running?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("listen for SIGINT")?;
            super::down::stop(background.id(), daemon).await?;
            bail!("interrupted")
        }
    };
    print(&running);
    Ok(())
}

/// Runs `local serve` in a process group of its own, so that a Ctrl-C later on is not for it.
fn spawn(choice: serve::Choice, daemon: &Daemon) -> Result<Child> {
    use std::os::unix::process::CommandExt;
    std::fs::create_dir_all(daemon.home()).with_context(|| format!("create {}", daemon.home().display()))?;
    let log = File::create(daemon.log_file()).context("create the log of the services")?;
    let program = std::env::current_exe().context("find this program")?;
    Command::new(program)
        .arg("--home")
        .arg(daemon.home())
        .arg("serve")
        .args(choice.to_command_line())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("start the services in the background")
}

/// Waits until the services are up, and shows meanwhile what the background process says.
async fn ready(background: &mut Child, daemon: &Daemon) -> Result<RunningServices> {
    let progress = ProgressLine::spinner("starting the services");
    loop {
        let ended = background.try_wait().context("watch the services")?;
        let log = std::fs::read_to_string(daemon.log_file()).unwrap_or_default();
        if let Some(status) = ended {
            bail!("the services could not be started ({status}):\n{}", last_lines(&log, LINES_IN_ERROR));
        }
        if let DaemonState::Up(running) = daemon.state()? {
            return Ok(running);
        }
        if let Some(line) = log.lines().last() {
            progress.say(line.trim().trim_start_matches("INFO").trim());
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn print(running: &RunningServices) {
    for line in running.exports() {
        console::result(line);
    }
}
