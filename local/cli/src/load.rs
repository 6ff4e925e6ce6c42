//! `local load`: writes to a table at a fixed rate.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::load::{self, Load, Meter, Mix, PlainItems};
use driftless_harness::services::dynamodb_client;
use driftless_harness::table;

use crate::daemon::Daemon;

const REFRESH: Duration = Duration::from_millis(200);

/// Write to a table at a fixed rate, however slow it is, and report what happened
///
/// The table is one of the running services (`local up`), or of the DynamoDB that AWS_ENDPOINT_URL_DYNAMODB names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The table to write to
    #[arg(long)]
    table: String,
    /// Create the table, with a string key `id` and a stream, unless there is one of that name
    #[arg(long)]
    create: bool,
    /// Number of writes per second
    #[arg(long, default_value_t = Load::default().rate)]
    rate: f64,
    /// Length of the load in seconds
    #[arg(long, default_value_t = Load::default().seconds)]
    seconds: f64,
    /// Number of different keys
    #[arg(long, default_value_t = Load::default().keys)]
    keys: u64,
    /// Weights of insert, modify and remove
    #[arg(long, default_value_t)]
    mix: Mix,
    /// Skew of the keys: 0 is even, 1 is Zipf's law
    #[arg(long, default_value_t = Load::default().skew)]
    skew: f64,
    /// The same seed writes the same
    #[arg(long, default_value_t = Load::default().seed)]
    seed: u64,
    /// Limit for concurrent requests
    #[arg(long, default_value_t = Load::default().max_in_flight)]
    max_in_flight: usize,
}

impl Args {
    fn load(&self) -> Load {
        Load {
            rate: self.rate,
            seconds: self.seconds,
            keys: self.keys,
            mix: self.mix,
            skew: self.skew,
            seed: self.seed,
            max_in_flight: self.max_in_flight,
        }
    }
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let load = args.load();
    load.check()?;
    let client = dynamodb_client(&daemon.dynamodb_endpoint().await?);
    if args.create {
        table::create(&client, &args.table).await?;
    }
    let items = Arc::new(PlainItems::of(&client, &args.table).await?);
    let meter = Arc::new(Meter::default());
    let report = tokio::select! {
        report = load::run(&load, &client, &args.table, items, Arc::clone(&meter)) => report?,
        never = show(&meter, load.writes()) => match never {},
    };
    for line in report.lines() {
        console::result(line);
    }
    if report.failed > 0 {
        bail!("{} of {} writes failed", report.failed, report.planned);
    }
    Ok(())
}

/// Shows the progress for ever.
async fn show(meter: &Meter, writes: u64) -> Infallible {
    let progress = ProgressLine::bar(writes, "writes");
    loop {
        tokio::time::sleep(REFRESH).await;
        let done = meter.done();
        progress.reach(done);
        progress.say(format!("writes, {} under way, {} failed", meter.due().saturating_sub(done), meter.failed()));
    }
}
