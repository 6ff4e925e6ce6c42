//! `cargo local`: the developer's tool.

use std::process::ExitCode;

use clap::Parser;
use driftless_local::{cli, console};

#[tokio::main]
async fn main() -> ExitCode {
    console::show_logs();
    match cli::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}
