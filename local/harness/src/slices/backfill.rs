//! Backfills: the request of all segments, and what their answers come to.

use anyhow::Result;
use backfill::report::{BackfillReport, RejectedDocument};
use serde::Serialize;
use serde_json::Value;

use super::state::WorkState;
use super::work::LongWork;
use crate::function::FunctionConfig;

/// Sums of a backfill.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BackfillSummary {
    /// Items that were read.
    pub items: u64,
    /// Documents that were written.
    pub written: u64,
    /// Items that the index has at this version or a newer one.
    pub superseded: u64,
    /// Items that the engine refuses: they are not in the index.
    pub rejected: u64,
    /// Keys of the request that have no item.
    pub absent: u64,
    /// Items that `REPLICATION` leaves out of the index.
    pub left_out: u64,
    /// Bytes of the documents.
    pub bytes: u64,
    /// Consumed read capacity units.
    pub rcu: f64,
    /// Time of all runs.
    pub seconds: f64,
    /// True if all items of the request are done.
    pub done: bool,
    /// First documents that the engine refused.
    pub refused: Vec<RejectedDocument>,
}

/// Returns the work of a backfill. `rcu_per_second` is the budget of all segments together.
#[must_use]
pub fn work(
    function: FunctionConfig,
    mut request: Value,
    segments: Option<u32>,
    rcu_per_second: Option<f64>,
) -> LongWork {
    let of_each = rcu_per_second.map(|budget| budget / f64::from(segments.unwrap_or(1).max(1)));
    if let Some(of_each) = of_each {
        request["rcu_per_second"] = of_each.into();
    }
    LongWork { segments, rcu_per_second: of_each, ..LongWork::new(function, request) }
}

/// Adds the answers up.
///
/// # Errors
/// Fails if they are not those of a backfill.
pub fn summary(state: &WorkState) -> Result<BackfillSummary> {
    let BackfillReport { done, counts, rejected, .. } = state.report()?;
    Ok(BackfillSummary {
        items: counts.items,
        written: counts.written,
        superseded: counts.superseded,
        rejected: counts.rejected,
        left_out: counts.left_out,
        absent: counts.absent,
        bytes: counts.bytes,
        rcu: counts.rcu,
        seconds: state.seconds,
        done,
        refused: rejected,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn segments_share_the_read_budget() {
        let function = FunctionConfig::new("backfill", "/backfill");
        let work = work(function, json!({}), Some(4), Some(100.0));
        assert_eq!((work.rcu_per_second, &work.request), (Some(25.0), &json!({"rcu_per_second": 25.0})));
    }

    #[test]
    fn work_that_has_not_begun_has_a_summary() {
        let summary = summary(&WorkState::new(2)).expect("a summary");
        assert_eq!(summary, BackfillSummary::default());
    }
}
