//! `local replay`: replays sample events, and prints a line for each.

use anyhow::{Result, ensure};
use driftless_display::console;
use driftless_display::style;
use driftless_harness::replay::{LogLine, ReplayArgs, ReplayStep, Replayed, replay};
use driftless_harness::words::counted;

const QUEUE: &str = "DEAD_LETTER_QUEUE_URL";
/// Message of the function about a record that it would send to the queue.
const REJECTED: &str = "rejected";

/// Replays the files. The exit code is not zero if the function failed, or reported a record as failed.
pub(crate) async fn run(args: ReplayArgs) -> Result<()> {
    let (mut waits, mut rejected) = (false, false);
    let replayed = replay(&args, |step| match step {
        ReplayStep::Logged(line) => {
            console::note(shown(line));
            rejected |= line.message == REJECTED;
            if line.is_configuration() && !std::mem::replace(&mut waits, true) {
                console::note(format!(
                    "  the function waits for a mended configuration until its timeout of {} s; Ctrl-C ends it",
                    args.timeout
                ));
            }
        }
        ReplayStep::Replayed(replayed) => console::result(result_line(replayed)),
    })
    .await?;
    let failed = replayed.iter().filter(|replayed| !replayed.is_success()).count();
    let has_queue = args.source.environment.iter().any(|(name, _)| name == QUEUE) || std::env::var_os(QUEUE).is_some();
    if failed > 0 && rejected && !has_queue {
        console::note(format!(
            "a rejected record fails where {QUEUE} is not set: set it, and the record becomes a dead letter"
        ));
    }
    ensure!(failed == 0, "{} of {} failed", failed, counted(replayed.len() as u64, "event"));
    Ok(())
}

fn shown(line: &LogLine) -> String {
    let level = if line.level == "ERROR" { style::bad(&line.level) } else { style::warning(&line.level) };
    format!("  {level} {line}")
}

fn result_line(replayed: &Replayed) -> String {
    if replayed.is_success() { replayed.to_string() } else { style::bad(replayed) }
}
