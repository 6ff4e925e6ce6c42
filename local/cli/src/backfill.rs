//! `local backfill`: loads a table into its index with the real function, in segments.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless_display::console;
use driftless_harness::slices::backfill::{BackfillSummary, summary, work};
use driftless_harness::words::counted;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::pair::{Pair, PairArgs};
use crate::resumed::Resumed;
use crate::selection::{Indices, ItemProgress, SelectionArgs};

/// Load a table into its index, beside its stream
///
/// Whatever the stream has written or deleted wins. The same command may be given again at any time: after Ctrl-C it
/// goes on, after its end it begins anew and changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pair: PairArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Maximum read capacity units per second, of all segments together
    #[arg(long, value_name = "R", value_parser = positive)]
    rcu_per_second: Option<f64>,
    /// Read consistently, at twice the price
    #[arg(long)]
    consistent: bool,
    /// Indexes to write to, during a re-index; all of them unless it is given
    #[arg(long, value_name = "INDEXES")]
    into: Option<Indices>,
    /// Longest time of one invocation, 5 to 900
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=900))]
    timeout: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let pair = Pair::find(&args.pair, daemon).await?;
    let mut request = json!({});
    let segments = args.selection.add_to(&mut request);
    if args.consistent {
        request["consistent"] = true.into();
    }
    if let Some(into) = args.into {
        request["index"] = into.name().into();
    }
    let function = pair.function("backfill", Duration::from_secs(args.timeout))?;
    let work = work(function, request, segments, args.rcu_per_second);
    let resumed = Resumed::new(daemon, "backfill", &pair, &asked(&work.request, segments));
    let mut state = resumed.state(|| work.begin()).await;
    let total = if args.selection.is_whole() { pair.facts.items } else { 0 };
    let progress = ItemProgress::new("item", total, state.counts().whole("items"));
    let done = resumed
        .run(&mut state, async |state| work.run(state, |state| progress.reach(state.counts().whole("items"))).await);
    let result = done.await;
    drop(progress);
    let summary = summary(&state)?;
    show(&summary, args.json)?;
    result?;
    ensure!(summary.rejected == 0, "{} refused: they are not in the index", counted(summary.rejected, "document"));
    Ok(())
}

/// Returns what makes a run another one: cursors belong to a number of segments.
pub(crate) fn asked(request: &Value, segments: Option<u32>) -> Value {
    json!({"request": request, "segments": segments})
}

fn show(summary: &BackfillSummary, json: bool) -> Result<()> {
    for refused in &summary.refused {
        let status = refused.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let id = refused.document_id.as_deref().unwrap_or("an item without an id");
        console::note(format!("refused {id}: {}{status}: {}", refused.class, refused.reason));
    }
    if json {
        console::result(serde_json::to_string(summary).context("write the result")?);
        return Ok(());
    }
    let mut line = format!(
        "{} read: {} written, {} there already or newer, {} refused",
        counted(summary.items, "item"),
        summary.written,
        summary.superseded,
        summary.rejected
    );
    if summary.absent > 0 {
        line = format!("{line}; {} without an item", counted(summary.absent, "key"));
    }
    console::result(format!("{line}; {:.1} s, {:.1} read capacity units", summary.seconds, summary.rcu));
    Ok(())
}

/// Parses a number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("{text} is not a number above 0"))
}
