//! A timed process: a function's process that is invoked again and again, each invocation timed.

use std::cmp::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _};
use driftless_harness::mapping::record::{StreamRecord, payload};
use hdrhistogram::Histogram;

/// Longest latency that histograms tell apart: a minute, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Process of a function, invoked by one event after the other.
pub(crate) struct TimedProcess(FunctionProcess);

impl TimedProcess {
    /// Starts the process, and waits until it asks for events.
    pub(crate) async fn start(config: FunctionConfig) -> Result<Self> {
        let mut process = FunctionProcess::new(config);
        process.warm_up().await?;
        Ok(Self(process))
    }

    /// Delivers these records, and returns the time from the hand-over of the event to the answer.
    pub(crate) async fn deliver(&mut self, records: &[StreamRecord]) -> Result<Duration> {
        self.invoke(payload(records)).await
    }

    /// Ends the process as Lambda does, so that it logs the metrics that it has kept.
    pub(crate) async fn end(mut self) {
        self.0.end().await;
    }

    async fn invoke(&mut self, payload: Bytes) -> Result<Duration> {
        let invocation = self.0.invoke(payload, None).await?;
        let InvocationOutcome::Response(answer) = &invocation.outcome else {
            anyhow::bail!("the function failed: {}", invocation.outcome);
        };
        // Every implementation reports failures so; one that answers something else reports none.
        let answer: serde_json::Value = serde_json::from_slice(answer).context("read the function's answer")?;
        let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
        ensure!(failures == 0, "the function reports {failures} failed records");
        Ok(invocation.duration)
    }
}

/// Empty histogram of microseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are valid")
}

/// Duration in microseconds, as histograms count it.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US)
}

/// Quantile in milliseconds; NaN for an empty histogram.
#[expect(clippy::cast_precision_loss, reason = "a minute in microseconds is exact")]
pub(crate) fn quantile_ms(histogram: &Histogram<u64>, share: f64) -> f64 {
    if histogram.is_empty() { f64::NAN } else { histogram.value_at_quantile(share) as f64 / 1_000.0 }
}

/// Median of one value or more.
pub(crate) fn median<T: PartialOrd>(mut values: Vec<T>) -> T {
    assert!(!values.is_empty(), "no values have no median");
    values.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    values.swap_remove(values.len() / 2)
}
