//! The arguments of `local demo`, and the load and the mapping that follow from them.

use driftless_harness::load::Load;
use driftless_harness::mapping::{Faults, MappingConfig};

use crate::stage::faults;

/// Items that the activity is about, per second of the run: some are inserted, most are changed again.
const KEYS_PER_SECOND: f64 = 20.0;

/// Replicate a realistic activity history for half a minute, with faults, then compare table and index item by item
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Changes per second
    #[arg(long, default_value_t = 63.0)]
    pub rate: f64,
    /// For how long
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Parallelization factor of the event source mapping, 1 to 10
    #[arg(long, default_value_t = 1)]
    pub factor: usize,
    /// The most records in one invocation
    #[arg(long, default_value_t = 1)]
    pub batch_size: usize,
    /// The same seed writes the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Which share of the writes is poison: a text where the index expects a date
    #[arg(long, default_value_t = 0.002)]
    pub poison: f64,
    /// Kill the engine after a quarter of the run, and start it again after so many seconds
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub outage: f64,
    /// How long one invocation may take, as in the template
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub timeout: u64,
    /// Deliver no batch again, and kill no process
    #[arg(long)]
    pub calm: bool,
    /// Print one machine-readable summary as the last line
    #[arg(long)]
    pub json: bool,
    /// Leave everything running and print the URLs, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

impl Args {
    pub(crate) fn load(&self) -> Load {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
        let keys = (self.seconds * KEYS_PER_SECOND).max(1.0) as u64;
        Load { rate: self.rate, seconds: self.seconds, keys, seed: self.seed, ..Load::default() }
    }

    /// The template's settings, with faults spread over the run.
    pub(crate) fn mapping(&self) -> MappingConfig {
        MappingConfig {
            batch_size: self.batch_size,
            parallelization_factor: self.factor,
            maximum_retry_attempts: Some(3),
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            faults: match self.calm {
                true => Faults::default(),
                false => faults(self.load().writes() / self.batch_size.max(1) as u64),
            },
            ..MappingConfig::default()
        }
    }
}
