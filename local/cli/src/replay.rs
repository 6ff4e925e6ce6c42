//! `local replay`: replays sample events, and prints a line for each.

use anyhow::{Result, ensure};
use driftless_display::console;
use driftless_harness::replay::{ReplayArgs, Replayed, replay};

/// Replays the files. The exit code is not zero if an invocation ended in a function error.
pub(crate) async fn run(args: ReplayArgs) -> Result<()> {
    let print = |replayed: &Replayed| {
        console::result(replayed.to_string());
        Ok(())
    };
    let replayed = replay(&args, print).await?;
    let failed = replayed.iter().any(|replayed| replayed.invocation.outcome.is_function_error());
    ensure!(!failed, "an invocation ended in a function error");
    Ok(())
}
