//! `local letters`: lists what waits in the dead-letter queue.

use anyhow::{Context, Result};
use driftless_display::console;
use driftless_harness::list_dead_letters::{peek, queue, summary};
use driftless_harness::words::counted;

/// List what waits in the dead-letter queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// URL of the dead-letter queue.
    #[arg(long, env = "DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    queue: Option<String>,
    /// The most dead letters to list.
    #[arg(long, default_value_t = 100)]
    max: usize,
    /// Print the dead letters as they are, one per line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let url = args.queue.context("find the queue: set DEAD_LETTER_QUEUE_URL to its URL, or give --queue URL")?;
    let queue = queue(&url)?;
    let entries = peek(&queue, args.max).await?;
    for entry in &entries {
        if args.json {
            console::result(&entry.message.body);
        } else {
            entry.lines().into_iter().for_each(console::result);
        }
    }
    if entries.is_empty() {
        console::note("no dead letter waits in the queue");
        return Ok(());
    }
    console::note(format!(
        "{}; `cargo local redrive` writes them again:",
        counted(entries.len() as u64, "dead letter")
    ));
    summary(&entries).into_iter().for_each(|line| console::note(format!("  {line}")));
    Ok(())
}
