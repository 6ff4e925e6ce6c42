//! `local purge`: removes old tombstones with the real function.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::slices::purge;
use driftless_harness::words::counted;
use serde_json::json;

use crate::daemon::Daemon;
use crate::pair::{Pair, PairArgs};
use crate::selection::Indices;

/// Remove tombstones that are so old that no late change can need them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pair: PairArgs,
    /// Least age of a tombstone in days; the function's is 16
    #[arg(long, value_name = "D")]
    age_days: Option<f64>,
    /// The index to purge, during a re-index
    #[arg(long, value_name = "INDEX")]
    of: Option<Indices>,
    /// Index that an entity of REPLICATION has of its own, instead of the index of all other items
    #[arg(long, value_name = "NAME")]
    entity_index: Option<String>,
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
    if let Some(age_days) = args.age_days {
        request["age_days"] = age_days.into();
    }
    if let Some(of) = args.of {
        request["index"] = of.name().into();
    }
    if let Some(entity_index) = args.entity_index {
        request["entity_index"] = entity_index.into();
    }
    let function = pair.function("purge", Duration::from_secs(args.timeout))?;
    let summary = {
        let progress = ProgressLine::spinner("looking for old tombstones");
        let tell = |so_far: &purge::PurgeSummary| progress.say(format!("{} purged", so_far.purged));
        tokio::select! {
            summary = purge::run(function, &request, tell) => summary?,
            ended = crate::resumed::ended() => {
                ended?;
                anyhow::bail!("interrupted: the same command goes on")
            }
        }
    };
    if args.json {
        console::result(serde_json::to_string(&summary).context("write the result")?);
    } else {
        console::result(format!(
            "{} found: {} purged, {} of expired items made tombstones, {} written again since, {} failed; {:.1} s",
            counted(summary.found, "document"),
            summary.purged,
            summary.expired,
            summary.moved,
            summary.failed,
            summary.seconds
        ));
    }
    ensure!(summary.done, "{} could not be deleted: run it again", counted(summary.failed, "tombstone"));
    Ok(())
}
