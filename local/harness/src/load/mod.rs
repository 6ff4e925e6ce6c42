//! An open-loop load generator for a DynamoDB table.
//!
//! Open loop: each write has its time, and a slow table does not slow the schedule down, as a slow system does not slow
//! its users down. What cannot be sent at its time, because too much is under way or because the same key's previous
//! write is, waits, is sent later, and is reported. The plan (which key, which kind, which item, when) follows from the
//! seed alone.

mod items;
mod mix;
mod population;
mod report;
mod schedule;
mod writer;

use anyhow::{Result, ensure};

pub use items::{ItemMaker, LoadItem, PlainItems, WRITTEN_AT};
pub use mix::Mix;
pub use report::{LoadReport, Meter};
pub use schedule::{Write, WriteKind, WriteSchedule};
pub use writer::{run, run_until};

/// Settings of a load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Writes per second, evenly spaced.
    pub rate: f64,
    /// Length of the schedule.
    pub seconds: f64,
    /// Number of different keys; none exists at the start.
    pub keys: u64,
    /// Weights of the kinds of writes.
    pub mix: Mix,
    /// Skew of the keys: 0 treats all alike, 1 is Zipf's law (the first of 1,000 keys gets 13 % of the writes).
    pub skew: f64,
    /// The same seed gives the same plan.
    pub seed: u64,
    /// Limit for concurrent requests.
    pub max_in_flight: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { rate: 63.0, seconds: 30.0, keys: 1_000, mix: Mix::default(), skew: 0.8, seed: 1, max_in_flight: 256 }
    }
}

impl Load {
    /// Returns the number of writes in the schedule.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
    pub fn writes(&self) -> u64 {
        (self.rate * self.seconds).round() as u64
    }

    /// # Errors
    /// Names every value that makes no sense.
    pub fn check(&self) -> Result<()> {
        let checks = [
            (self.rate > 0.0 && self.rate <= 1e6, "the rate must be above 0 and at most 1,000,000"),
            (self.seconds > 0.0 && self.seconds <= 1e6, "the seconds must be above 0 and at most 1,000,000"),
            (self.keys > 0, "there must be a key"),
            (self.keys <= 50_000_000, "there can be at most 50,000,000 keys"),
            (self.mix.total() > 0, "the mix must have a kind with a weight above 0"),
            (self.skew >= 0.0 && self.skew <= 5.0, "the skew must be between 0 and 5"),
            (self.max_in_flight > 0, "a request must be allowed to be in flight"),
        ];
        let problems: Vec<&str> = checks.iter().filter(|(holds, _)| !holds).map(|(_, problem)| *problem).collect();
        ensure!(problems.is_empty(), "{}", problems.join("; "));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
