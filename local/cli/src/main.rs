//! `cargo local`, the developer's tool: its command line.
//!
//! # Layout
//! - `up`, `down`, `status`, `serve`: the services in the background, which `daemon` finds and holds.
//! - `load`, `mapping`, `replay`, `letters`, `redrive`: commands around the harness; `simulate`: around its room;
//!   `size` and `load_over_time`: around capacity.
//! - `check`: a configuration of documents, without writing; `find`: the places where an item's data still is;
//!   `compare`: two indexes with each other.
//! - `replicate`, `backfill`, `verify`, `purge`, `reindex`: commands on a table and its index, which `pair` finds;
//!   `selection`: their items and progress; `resumed`: work that Ctrl-C does not lose; `live`: the page of `replicate`.
//! - `demo` and `bench` are whole in their own crates, arguments included.

mod backfill;
mod check;
mod compare;
mod daemon;
mod down;
mod find;
mod kinesis;
mod letters;
mod live;
mod load;
mod load_over_time;
mod mapping;
mod pair;
mod purge;
mod redrive;
mod reindex;
mod replay;
mod replicate;
mod resumed;
mod selection;
mod serve;
mod simulate;
mod size;
mod status;
mod up;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use driftless_display::console;

use daemon::Daemon;

/// Real services for this project on this machine, and load for them.
#[derive(Debug, Parser)]
#[command(name = "local", version)]
struct Cli {
    /// Folder for the state of the running services, instead of the target folder.
    #[arg(long, global = true, hide = true)]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Down(down::Args),
    Status(status::Args),
    Load(load::Args),
    Demo(driftless_demo::Args),
    Replay(driftless_harness::replay::ReplayArgs),
    Letters(letters::Args),
    Redrive(redrive::Args),
    Check(check::Args),
    Find(find::Args),
    Mapping(mapping::Args),
    Replicate(replicate::Args),
    Backfill(backfill::Args),
    Verify(verify::Args),
    Compare(compare::Args),
    Purge(purge::Args),
    Reindex(reindex::Args),
    Simulate(simulate::Args),
    Bench(driftless_bench::Args),
    Size(size::Args),
    #[command(hide = true)]
    Serve(serve::Choice),
}

/// Log events that are shown unless `RUST_LOG` says otherwise.
const LOGS: &str = "warn,driftless_local=info,driftless_harness=info";

#[tokio::main]
async fn main() -> ExitCode {
    console::show_logs(LOGS);
    match run(parsed()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Parses the command line, or ends the process with what is wrong with it.
fn parsed() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Takes `-5` as a value, so that the option's own range refuses it, and not as an unknown option.
fn command() -> clap::Command {
    let negative = |option: Arg| {
        let takes_value = option.get_action().takes_values() && !option.is_positional();
        if takes_value { option.allow_negative_numbers(true) } else { option }
    };
    Cli::command().mut_subcommands(|subcommand| subcommand.mut_args(negative))
}

/// Does what the command line says.
async fn run(cli: Cli) -> Result<()> {
    let daemon = Daemon::at(cli.home.unwrap_or_else(driftless_harness::services::local_dir));
    match cli.command {
        Command::Up(args) => up::run(args, &daemon).await,
        Command::Down(args) => down::run(args, &daemon).await,
        Command::Status(args) => status::run(args, &daemon),
        Command::Load(args) => load::run(args, &daemon).await,
        Command::Demo(args) => driftless_demo::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Letters(args) => letters::run(args).await,
        Command::Redrive(args) => redrive::run(args).await,
        Command::Check(args) => check::run(args, &daemon).await,
        Command::Find(args) => find::run(args, &daemon).await,
        Command::Mapping(args) => mapping::run(args, &daemon).await,
        Command::Replicate(args) => replicate::run(args, &daemon).await,
        Command::Backfill(args) => backfill::run(args, &daemon).await,
        Command::Verify(args) => verify::run(args, &daemon).await,
        Command::Compare(args) => compare::run(args, &daemon).await,
        Command::Purge(args) => purge::run(args, &daemon).await,
        Command::Reindex(args) => reindex::run(args, &daemon).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Bench(args) => driftless_bench::run(args).await,
        Command::Size(args) => size::run(&args),
        Command::Serve(choice) => serve::run(choice, &daemon).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
