//! Outcomes of the function's records: its EMF lines, added up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driftless::add_counts;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Longer than a line takes from a process that has ended to here.
const SETTLING: Duration = Duration::from_millis(50);

/// Records by how they ended, over all invocations that told. A process that was killed may not have told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"))]
pub struct FunctionCounts {
    /// Records of all invocations, redeliveries included.
    pub records: u64,
    /// Changes that were written to the index.
    pub applied: u64,
    /// Changes that had been applied before.
    pub duplicate: u64,
    /// Changes older than what stood in the index.
    pub stale: u64,
    /// Changes made needless by a newer one of their batch.
    pub superseded: u64,
    /// Changes that can never be applied.
    pub rejected: u64,
    /// Changes that are retried.
    pub failed: u64,
    /// Stale by version, newer by event time.
    pub order_anomalies: u64,
}

/// Adds up the metrics that function processes print.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<FunctionCounts>>);

impl Tally {
    /// Creates the channel for the lines that processes print. Must be called within a runtime.
    #[must_use]
    pub fn lines(&self) -> UnboundedSender<String> {
        let (sender, mut lines) = unbounded_channel::<String>();
        let tally = self.clone();
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                tally.add(&line);
            }
        });
        sender
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> FunctionCounts {
        *self.guard()
    }

    /// The counts once no line has come for a while. To be asked when the processes have ended.
    pub async fn settled(&self) -> FunctionCounts {
        let mut before = self.counts();
        loop {
            tokio::time::sleep(SETTLING).await;
            let counts = self.counts();
            if counts == before {
                return counts;
            }
            before = counts;
        }
    }

    fn guard(&self) -> MutexGuard<'_, FunctionCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &str) {
        // Log lines are JSON, too, but count nothing.
        let Ok(more) = serde_json::from_str::<FunctionCounts>(line) else { return };
        *self.guard() += more;
    }
}

add_counts!(FunctionCounts { records, applied, duplicate, stale, superseded, rejected, failed, order_anomalies });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_added_up_and_log_lines_are_not() {
        let tally = Tally::default();
        let line = r#"{"_aws":{},"Index":"i","Records":2,"Applied":1,"Duplicate":1,"Stale":0,"Superseded":0,"Rejected":0,"Failed":0,"OrderAnomalies":0,"EngineTime":1.5}"#;
        tally.add(line);
        tally.add(line);
        tally.add(r#"{"level":"WARN","message":"failed"}"#);
        tally.add("plain");
        assert_eq!(
            tally.counts(),
            FunctionCounts { records: 4, applied: 2, duplicate: 2, ..FunctionCounts::default() }
        );
    }
}
