//! `cargo local size`: which factor, batch size, shards and concurrency a load needs, how late its changes will be, what it
//! costs, and which limit binds first. A calculation from measured times, as `docs/capacity.md` writes it down; nothing is started.
//!
//! # Layout
//! - `timing`: what one invocation takes, as measured by row B7 of the benchmark;
//! - `plan`: the formula; `limits`: what AWS allows; `price`: what AWS charges;
//! - `table`: for people.

mod limits;
mod plan;
mod price;
mod table;
mod timing;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

pub use plan::{Plan, Setting, plans};
pub use price::Prices;
pub use table::{markdown, text};
pub use timing::Timing;

use crate::console;

/// Tell which parallelization factor, batch size and concurrency a load needs, its lag, its cost, and which limit binds first
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Writes per second at the peak; several for a table
    #[arg(long, required = true, value_name = "WRITES_PER_SECOND")]
    pub rate: Vec<f64>,
    /// Writes per second on average, which the cost is computed from; the peak where it is left out
    #[arg(long, value_name = "WRITES_PER_SECOND")]
    pub average: Option<f64>,
    /// Items in the table: 10 GB of them make a partition, and so a shard
    #[arg(long, default_value_t = Setting::default().items)]
    pub items: u64,
    /// Size of an item
    #[arg(long, default_value_t = Setting::default().item_bytes, value_name = "BYTES")]
    pub item_bytes: u64,
    /// Open shards of the stream, where they are known; otherwise as many as the table has partitions at least
    #[arg(long)]
    pub shards: Option<u64>,
    /// Only this batch size, 1 to 10,000
    #[arg(long)]
    pub batch_size: Option<u64>,
    /// The lag that 99 % of the changes must stay under
    #[arg(long, default_value_t = Setting::default().lag_ms, value_name = "MS")]
    pub lag_ms: f64,
    /// Memory of the function
    #[arg(long, default_value_t = Setting::default().memory_mb, value_name = "MB")]
    pub memory: u64,
    /// What Lambda adds between two invocations of a lane
    #[arg(long, default_value_t = Setting::default().overhead_ms, value_name = "MS")]
    pub overhead_ms: f64,
    /// What a request to the engine takes more than on the measured machine: the network, replicas, a slower disk
    #[arg(long, default_value_t = Setting::default().round_trip_ms, value_name = "MS")]
    pub round_trip_ms: f64,
    /// Which share of the changes modifies a document that the process has not seen: these are read first
    #[arg(long, default_value_t = Setting::default().unseen)]
    pub unseen: f64,
    /// Bytes of a line of metrics, of which a busy process writes one per second, beside 14 bytes per invocation
    #[arg(long, default_value_t = Setting::default().log_bytes, value_name = "BYTES")]
    pub log_bytes: f64,
    /// Concurrent executions that the account has left for the function
    #[arg(long, default_value_t = Setting::default().concurrency)]
    pub concurrency: f64,
    /// Times measured by `cargo local bench B7 --json FILE` instead of the published ones
    #[arg(long, value_name = "FILE")]
    pub timing: Option<PathBuf>,
    #[command(flatten)]
    /// What AWS charges
    pub prices: Prices,
    /// Print every plan as one JSON line
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print one Markdown table
    #[arg(long)]
    pub markdown: bool,
}

/// Computes, and prints.
///
/// # Errors
/// Where a number makes no sense, or the file with the times cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let timing = args.timing.as_deref().map_or(Ok(Timing::PUBLISHED), Timing::read)?;
    let loads = args.rate.iter().map(|&rate| args.setting(rate)).collect::<Result<Vec<_>>>()?;
    let computed: Vec<(Setting, Vec<Plan>)> = loads
        .into_iter()
        .map(|setting| {
            let plans = plans(&setting, &timing, &args.prices);
            (setting, plans)
        })
        .collect();
    if args.markdown {
        console::result(markdown(&computed));
        return Ok(());
    }
    for (setting, plans) in &computed {
        if args.json {
            console::result(serde_json::to_string(plans).context("write the plans")?);
        } else {
            text(setting, plans).into_iter().for_each(console::result);
        }
    }
    Ok(())
}

impl Args {
    fn setting(&self, rate: f64) -> Result<Setting> {
        let average = self.average.unwrap_or(rate);
        for (name, value, least, most) in [
            ("--rate", rate, 0.001, 1e7),
            ("--average", average, 0.0, rate),
            ("--item-bytes", self.item_bytes as f64, 1.0, 409_600.0),
            ("--shards", self.shards.unwrap_or(1) as f64, 1.0, 1e6),
            ("--batch-size", self.batch_size.unwrap_or(1) as f64, 1.0, 10_000.0),
            ("--lag-ms", self.lag_ms, 1.0, 86_400_000.0),
            ("--memory", self.memory as f64, 128.0, 10_240.0),
            ("--overhead-ms", self.overhead_ms, 0.0, 60_000.0),
            ("--round-trip-ms", self.round_trip_ms, 0.0, 60_000.0),
            ("--unseen", self.unseen, 0.0, 1.0),
            ("--log-bytes", self.log_bytes, 0.0, 1e6),
            ("--concurrency", self.concurrency, 1.0, 1e6),
        ] {
            ensure!((least..=most).contains(&value), "{name} is {value}, it must be {least} to {most}");
        }
        Ok(Setting {
            rate,
            average,
            items: self.items,
            item_bytes: self.item_bytes,
            shards: self.shards,
            batch_size: self.batch_size,
            lag_ms: self.lag_ms,
            memory_mb: self.memory,
            overhead_ms: self.overhead_ms,
            round_trip_ms: self.round_trip_ms,
            unseen: self.unseen,
            log_bytes: self.log_bytes,
            concurrency: self.concurrency,
        })
    }
}
