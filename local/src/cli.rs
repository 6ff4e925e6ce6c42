//! The command line: one module per subcommand, each with its arguments and what it does.

mod daemon;
mod down;
mod load;
mod serve;
mod simulate;
mod status;
mod up;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub use daemon::Daemon;

/// Real services for this project on this machine, and load for them.
#[derive(Debug, Parser)]
#[command(name = "local", version)]
pub struct Cli {
    /// Where the state of the running services is kept instead of the target folder.
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
    Demo(crate::demo::Args),
    Replay(crate::replay::ReplayArgs),
    Letters(crate::letters::LettersArgs),
    Redrive(crate::redrive::RedriveArgs),
    Simulate(simulate::Args),
    Bench(crate::bench::Args),
    Size(crate::size::Args),
    #[command(hide = true)]
    Serve(serve::Choice),
}

/// Does what the command line says.
///
/// # Errors
/// What the subcommand could not do, for the user to read.
pub async fn run(cli: Cli) -> Result<()> {
    let daemon = Daemon::at(cli.home.unwrap_or_else(crate::services::local_dir));
    match cli.command {
        Command::Up(args) => up::run(args, &daemon).await,
        Command::Down(args) => down::run(args, &daemon).await,
        Command::Status(args) => status::run(args, &daemon),
        Command::Load(args) => load::run(args, &daemon).await,
        Command::Demo(args) => crate::demo::run(args).await,
        Command::Replay(args) => crate::replay::run(args).await,
        Command::Letters(args) => crate::letters::run(args).await,
        Command::Redrive(args) => crate::redrive::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Bench(args) => crate::bench::run(args).await,
        Command::Size(args) => crate::size::run(&args),
        Command::Serve(choice) => serve::run(choice, &daemon).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
