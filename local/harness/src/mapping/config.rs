//! The settings of an event source mapping, checked as Lambda checks them, and the faults that can be put into a run.
//!
//! Limits and defaults are those of "Lambda parameters for Amazon DynamoDB event source mappings" and of
//! `CreateEventSourceMapping`; what AWS does not document (back-off, faults, overhead) is marked as ours.

use std::{num::NonZeroU64, ops::RangeInclusive, time::Duration};

use anyhow::{Result, ensure};

/// Position at which a new mapping starts in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartingPosition {
    /// At the oldest record. The safe choice: nothing is missed while the mapping is being created.
    #[default]
    TrimHorizon,
    /// After the newest record of the shards that exist now; later shards are read from their start.
    Latest,
}

/// The settings of an [`EventSourceMapping`](super::EventSourceMapping).
#[derive(Clone, Debug)]
pub struct MappingConfig {
    /// The most records in one invocation, 1 to 10,000.
    pub batch_size: usize,
    /// Longest wait for a batch to fill up, at most 300 s.
    pub batching_window: Duration,
    /// Number of batches of one shard that are in work concurrently, 1 to 10.
    pub parallelization_factor: usize,
    /// Limit for retries of a failed batch, at most 10,000; `None` (-1 on AWS) is without end.
    pub maximum_retry_attempts: Option<u32>,
    /// Records older than this are given up: 60 s to 7 days; `None` (-1 on AWS) is never.
    pub maximum_record_age: Option<Duration>,
    /// True if a failed batch is split in two.
    pub bisect_batch_on_function_error: bool,
    /// True if the function's `batchItemFailures` are read (`ReportBatchItemFailures`).
    pub report_batch_item_failures: bool,
    /// Position at which to start.
    pub starting_position: StartingPosition,
    /// Interval between reads of a shard; Lambda's base rate is four times per second ("Polling and batching streams").
    pub poll_interval: Duration,
    /// Ours: how long to wait before a failed batch is tried again.
    pub retry_backoff: RetryBackoff,
    /// Ours: time added to every invocation, for what Lambda itself takes and a local process does not.
    pub invocation_overhead: Duration,
    /// Ours: faults on purpose.
    pub faults: MappingFaults,
}

impl Default for MappingConfig {
    fn default() -> Self {
        Self {
            batch_size: 100,
            batching_window: Duration::ZERO,
            parallelization_factor: 1,
            maximum_retry_attempts: None,
            maximum_record_age: None,
            bisect_batch_on_function_error: false,
            report_batch_item_failures: false,
            starting_position: StartingPosition::default(),
            poll_interval: Duration::from_millis(250),
            retry_backoff: RetryBackoff::default(),
            invocation_overhead: Duration::ZERO,
            faults: MappingFaults::default(),
        }
    }
}

impl MappingConfig {
    /// Returns Lambda's defaults for a Kinesis data stream, each shard of which it polls once a second.
    #[must_use]
    pub fn kinesis() -> Self {
        Self { poll_interval: Duration::from_secs(1), ..Self::default() }
    }

    /// Checks the settings as `CreateEventSourceMapping` does.
    ///
    /// # Errors
    /// Names every setting that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        let mut check = |name: &str, value: u64, range: RangeInclusive<u64>| {
            if !range.contains(&value) {
                problems.push(format!("{name} is {value}, it must be {} to {}", range.start(), range.end()));
            }
        };
        check("the batch size", self.batch_size as u64, 1..=10_000);
        check("the batching window in seconds", whole_seconds(self.batching_window), 0..=300);
        check("the parallelization factor", self.parallelization_factor as u64, 1..=10);
        check("the number of retry attempts", u64::from(self.maximum_retry_attempts.unwrap_or(0)), 0..=10_000);
        if let Some(age) = self.maximum_record_age {
            check("the maximum record age in seconds", age.as_secs(), 60..=604_800);
        }
        let interval_ns = u64::try_from(self.poll_interval.as_nanos()).unwrap_or(u64::MAX);
        check("the poll interval in nanoseconds", interval_ns, 1..=u64::MAX);
        ensure!(problems.is_empty(), "the event source mapping cannot be created: {}", problems.join("; "));
        Ok(())
    }
}

/// Rounded up, so that 300.5 s is more than 300 s.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// An exponential back-off with a cap.
///
/// Lambda says that it backs off between attempts, but not how; this is short, so that local runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBackoff {
    /// The wait before the first repetition; it doubles from then on.
    pub initial: Duration,
    /// Limit for the growing wait.
    pub maximum: Duration,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self { initial: Duration::from_millis(200), maximum: Duration::from_secs(10) }
    }
}

impl RetryBackoff {
    /// The wait before the `repetition`-th repetition, counted from 1.
    #[must_use]
    pub fn delay(&self, repetition: u32) -> Duration {
        let doublings = repetition.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.maximum)
    }
}

/// Faults that are put into a run on purpose; without them a local run never shows what "at least once" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappingFaults {
    /// After every so many successful batches, a lane's last batches are delivered again: a lost checkpoint.
    pub redeliver_every: Option<NonZeroU64>,
    /// Number of batches that such a redelivery repeats, oldest first; zero is taken as one. Without an interval they
    /// are kept for a redelivery that is asked for.
    pub redelivered_batches: usize,
    /// At every so many invocations, the process is killed while it works on the event.
    pub kill_during_every: Option<NonZeroU64>,
    /// Time from the process taking the event until it is killed.
    pub kill_after: Duration,
    /// At every so many invocations, the function answers, but its answer is lost and its process is killed.
    pub lose_answer_every: Option<NonZeroU64>,
}

impl MappingFaults {
    /// Returns `true` if batches are kept to be delivered again.
    pub(super) fn redelivers(&self) -> bool {
        self.redeliver_every.is_some() || self.redelivered_batches > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut MappingConfig), named: &str) {
        let mut config = MappingConfig::default();
        change(&mut config);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }

    #[test]
    fn lambdas_limits_hold() {
        assert!(MappingConfig::default().validate().is_ok());
        refused(|config| config.batch_size = 0, "batch size is 0");
        refused(|config| config.batch_size = 10_001, "batch size is 10001");
        refused(|config| config.parallelization_factor = 0, "parallelization factor");
        refused(|config| config.parallelization_factor = 11, "parallelization factor");
        refused(|config| config.maximum_retry_attempts = Some(10_001), "retry attempts");
        refused(|config| config.maximum_record_age = Some(Duration::from_secs(59)), "record age");
        refused(|config| config.maximum_record_age = Some(Duration::from_secs(604_801)), "record age");
        refused(|config| config.batching_window = Duration::from_millis(300_001), "batching window");
    }

    #[test]
    fn all_problems_are_named_at_once() {
        refused(
            |config| (config.batch_size, config.parallelization_factor) = (0, 11),
            "0, it must be 1 to 10000; the par",
        );
    }

    #[test]
    fn the_backoff_doubles_up_to_its_cap() {
        let backoff = RetryBackoff { initial: Duration::from_millis(100), maximum: Duration::from_secs(1) };
        let delays = [1, 2, 3, 4, 5, 99].map(|repetition| backoff.delay(repetition).as_millis());
        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
    }
}
