//! The arguments of `local demo`, and the load and the mapping that follow from them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use driftless_harness::load::Load;
use driftless_harness::mapping::{MappingConfig, MappingFaults};
use driftless_page::PageArgs;

use crate::first_load::HeldItems;
use crate::stage::faults;

/// Items that the activity is about, per second of the run: some are inserted, most are changed again.
const KEYS_PER_SECOND: f64 = 20.0;
/// Time until the services have started and are warm, that of backfill and re-index, and that of the verdict.
const SET_UP_SECONDS: f64 = 55.0;
/// Time of backfill and re-index under load, about: the number of keys and the rate of faults follow.
const WORK_SECONDS: f64 = 12.0;
/// Longest time of backfill and re-index under load.
const WORK_LIMIT_SECONDS: f64 = 600.0;
/// Longest run with a page: the load would end after eleven days.
const PAGE_LIMIT_SECONDS: f64 = 1e6;
/// Batches that the page's button delivers again.
const BATCHES_AGAIN: usize = 10;
/// Time from the process taking the event until the page's button has killed it.
const KILL_AFTER: Duration = Duration::from_micros(500);

/// Backfill a realistic table and re-index it while it changes, replicate for half a minute with faults, then verify
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Number of changes per second
    #[arg(long, default_value_t = 63.0)]
    pub rate: f64,
    /// Length of the stream's own part in seconds, after backfill and re-index
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Number of items that the table holds before it is replicated
    #[arg(long, default_value_t = 3_000)]
    pub items: u64,
    /// Parallelization factor of the event source mapping, 1 to 10
    #[arg(long, default_value_t = 1)]
    pub factor: usize,
    /// The most records in one invocation
    #[arg(long, default_value_t = 1)]
    pub batch_size: usize,
    /// The same seed plans the same writes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Share of the writes after the re-index that is poison: a text where the index expects a date
    #[arg(long, default_value_t = 0.002)]
    pub poison: f64,
    /// Kill the engine after a quarter of the stream's own part, and start it again after so many seconds
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub outage: f64,
    /// The function's timeout, as in the template; 1 to 900
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    pub timeout: u64,
    /// Deliver no batch again, and kill no process
    #[arg(long)]
    pub calm: bool,
    /// Print one machine-readable summary on standard output, and everything else on standard error
    #[arg(long)]
    pub json: bool,
    /// Leave everything running, and print what is where and a change to try, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Run the functions as they are deployed; to build them takes minutes
    #[arg(long)]
    pub release: bool,
    /// Page of the run, if it is asked for
    #[command(flatten)]
    pub page: PageArgs,
    /// Draw what the terminal shows into this SVG file
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
}

impl Args {
    /// The load of the stream's own part.
    fn load(&self) -> Load {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
        let keys = ((self.seconds + WORK_SECONDS) * KEYS_PER_SECOND).max(1.0) as u64;
        Load { rate: self.rate, seconds: self.seconds, keys, seed: self.seed, ..Load::default() }
    }

    /// The same load from the backfill on. It goes on until it is stopped.
    pub(crate) fn whole_load(&self) -> Load {
        let seconds = if self.page.page { PAGE_LIMIT_SECONDS } else { WORK_LIMIT_SECONDS + self.seconds };
        Load { seconds, ..self.load() }
    }

    /// Returns about how many writes there are in all.
    fn usual_writes(&self) -> u64 {
        Load { seconds: WORK_SECONDS + self.seconds, ..self.load() }.writes()
    }

    /// Returns the items that the table holds at the start. The load changes and deletes some of them, and has keys
    /// that are new.
    pub(crate) fn held_items(&self) -> HeldItems {
        let keys = self.load().keys;
        HeldItems { numbers: keys / 2..keys / 2 + self.items, load_keys: keys, seed: self.seed }
    }

    /// Checks what clap cannot.
    ///
    /// # Errors
    /// Names every option that is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!((0.0..=1.0).contains(&self.poison), "--poison is {}, it must be 0 to 1", self.poison);
        ensure!((0.0..=600.0).contains(&self.outage), "--outage is {}, it must be 0 to 600 seconds", self.outage);
        ensure!((1..=1_000_000).contains(&self.items), "--items is {}, it must be 1 to 1,000,000", self.items);
        ensure!(
            self.outage == 0.0 || !self.page.page,
            "--outage is for a run without --page, which has a button for it"
        );
        self.load().check()?;
        self.mapping().validate()
    }

    /// Returns about how long everything takes, once all is built and fetched, in seconds.
    pub(crate) fn expected_seconds(&self) -> f64 {
        SET_UP_SECONDS + self.seconds + self.outage
    }

    /// The template's settings, with faults spread over the run.
    pub(crate) fn mapping(&self) -> MappingConfig {
        MappingConfig {
            batch_size: self.batch_size,
            parallelization_factor: self.factor,
            maximum_retry_attempts: Some(3),
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            faults: match (self.page.page, self.calm) {
                // All faults are those of the page's buttons.
                (true, _) => MappingFaults {
                    redelivered_batches: BATCHES_AGAIN,
                    kill_after: KILL_AFTER,
                    ..MappingFaults::default()
                },
                (false, true) => MappingFaults::default(),
                (false, false) => faults(self.usual_writes() / self.batch_size.max(1) as u64),
            },
            ..MappingConfig::default()
        }
    }
}
