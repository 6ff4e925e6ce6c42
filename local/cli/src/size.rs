//! `local size`: which factor, batch size, shards and concurrency a load needs, computed, or simulated over time.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use driftless_capacity::{Plan, Prices, Scenario, Timing, markdown, plans, text};
use driftless_display::console;

use crate::load_over_time::{OverTimeArgs, RunForm};

/// Compute the batch size, factor, concurrency, lag and cost of a load, and the limit that binds first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Writes per second at the peak; several for a table
    #[arg(long, required = true, value_name = "WRITES_PER_SECOND")]
    rate: Vec<f64>,
    /// Writes per second on average, which the cost is computed from; the peak where it is left out
    #[arg(long, value_name = "WRITES_PER_SECOND")]
    average: Option<f64>,
    /// Items in the table: 10 GB of them make a partition, and so a shard
    #[arg(long, default_value_t = Scenario::default().items)]
    items: u64,
    /// Size of an item
    #[arg(long, default_value_t = Scenario::default().item_bytes, value_name = "BYTES")]
    item_bytes: u64,
    /// Open shards of the stream, where they are known; otherwise as many as the table has partitions at least
    #[arg(long)]
    shards: Option<u64>,
    /// Only this batch size, 1 to 10,000
    #[arg(long)]
    batch_size: Option<u64>,
    /// The lag that 99 % of the changes must stay under
    #[arg(long, default_value_t = Scenario::default().lag_ms, value_name = "MS")]
    lag_ms: f64,
    /// Memory of the function
    #[arg(long, default_value_t = Scenario::default().memory_mb, value_name = "MB")]
    memory: u64,
    /// Time that Lambda adds between two invocations of a lane
    #[arg(long, default_value_t = Scenario::default().overhead_ms, value_name = "MS")]
    overhead_ms: f64,
    /// Time that a request to the engine takes beyond the measured machine's: network, replicas, a slower disk
    #[arg(long, default_value_t = Scenario::default().round_trip_ms, value_name = "MS")]
    round_trip_ms: f64,
    /// Share of the changes that modify a document which the process has not seen: these are read first
    #[arg(long, default_value_t = Scenario::default().unseen)]
    unseen: f64,
    /// Bytes of a line of metrics, of which a busy process writes one per second, beside 14 bytes per invocation
    #[arg(long, default_value_t = Scenario::default().log_bytes, value_name = "BYTES")]
    log_bytes: f64,
    /// Concurrent executions that the account has left for the function
    #[arg(long, default_value_t = Scenario::default().concurrency)]
    concurrency: f64,
    /// Times measured by `cargo local bench B7 --json FILE` instead of the published ones
    #[arg(long, value_name = "FILE")]
    timing: Option<PathBuf>,
    #[command(flatten)]
    prices: PriceArgs,
    #[command(flatten)]
    over_time: OverTimeArgs,
    /// Print every plan as one JSON line
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print one Markdown table
    #[arg(long)]
    markdown: bool,
}

/// Prices of AWS that differ from the published ones.
#[derive(Debug, clap::Args)]
struct PriceArgs {
    /// US dollars per million invocations
    #[arg(long, default_value_t = Prices::PUBLISHED.requests, value_name = "USD")]
    price_requests: f64,
    /// US dollars per GB-second, for all of them; the published tiers of arm64 in us-east-1 where it is left out
    #[arg(long, value_name = "USD")]
    price_gb_second: Option<f64>,
    /// US dollars per GB of logs, for all of them; the published tiers of us-east-1 where it is left out
    #[arg(long, value_name = "USD")]
    price_log_gb: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let timing = args.timing.as_deref().map_or(Ok(Timing::PUBLISHED), Timing::read)?;
    let prices = args.prices.prices();
    let loads = args.rate.iter().map(|&rate| args.scenario(rate)).collect::<Result<Vec<_>>>()?;
    let computed: Vec<(Scenario, Vec<Plan>)> = loads
        .into_iter()
        .map(|scenario| {
            let plans = plans(&scenario, &timing, &prices);
            (scenario, plans)
        })
        .collect();
    if args.over_time.simulate {
        return args.over_time.run(&computed, &timing, args.form());
    }
    if args.markdown {
        console::result(markdown(&computed));
        return Ok(());
    }
    for (scenario, plans) in &computed {
        if args.json {
            console::result(serde_json::to_string(plans).context("write the plans")?);
        } else {
            text(scenario, plans).into_iter().for_each(console::result);
        }
    }
    Ok(())
}

impl PriceArgs {
    fn prices(&self) -> Prices {
        Prices { requests: self.price_requests, gb_second: self.price_gb_second, log_gb: self.price_log_gb }
    }
}

impl Args {
    fn form(&self) -> RunForm {
        match (self.json, self.markdown) {
            (true, _) => RunForm::Json,
            (_, true) => RunForm::Markdown,
            _ => RunForm::Text,
        }
    }

    fn scenario(&self, rate: f64) -> Result<Scenario> {
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
        Ok(Scenario {
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let Command { args } = Command::parse_from(["size", "--rate", "10", "--memory", "64"]);
        let error = args.scenario(10.0).unwrap_err().to_string();
        assert_eq!(error, "--memory is 64, it must be 128 to 10240");
    }

    #[test]
    fn what_is_left_out_is_the_default_load() {
        let Command { args } = Command::parse_from(["size", "--rate", "10"]);
        let expected = Scenario { rate: 10.0, average: 10.0, ..Scenario::default() };
        assert_eq!(args.scenario(10.0).unwrap(), expected);
    }
}
