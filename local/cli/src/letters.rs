//! `local letters`: lists what waits in the dead-letter queue.

use anyhow::Result;
use driftless_display::console;
use driftless_harness::list_dead_letters::{peek, queue};

/// List what waits in the dead-letter queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The queue's URL.
    #[arg(long, env = "DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    queue: String,
    /// The most letters to list.
    #[arg(long, default_value_t = 100)]
    max: usize,
    /// Print the letters as they are, one per line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let queue = queue(&args.queue)?;
    let entries = peek(&queue, args.max).await?;
    for entry in &entries {
        if args.json {
            console::result(&entry.message.body);
        } else {
            entry.lines().into_iter().for_each(console::result);
        }
    }
    console::note(format!("{} letters; redrive them with `cargo local redrive`", entries.len()));
    Ok(())
}
