//! Numbers of changes by outcome.

use serde::{Deserialize, Serialize};

use super::Outcome;

/// Changes counted by outcome. In JSON, a part of `redrive`'s answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Written to the index.
    pub applied: u64,
    /// Already applied by an earlier delivery.
    pub duplicate: u64,
    /// Older than the stored change.
    pub stale: u64,
    /// Replaced by a newer change of the same batch, or part of what a backfill or a repair read from the table.
    pub superseded: u64,
    /// Older by version, and newer by event time, than the stored change.
    #[serde(default)]
    pub order_anomalies: u64,
    /// Changes that can never be applied.
    pub rejected: u64,
    /// Changes that may be applied later.
    pub failed: u64,
}

impl OutcomeCounts {
    /// Counts the outcome of one change.
    pub fn count(&mut self, outcome: &Outcome) {
        let slot = match outcome {
            Outcome::Applied => &mut self.applied,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Stale => &mut self.stale,
            Outcome::Superseded => &mut self.superseded,
            Outcome::OrderAnomaly => &mut self.order_anomalies,
            Outcome::Rejected(_) => &mut self.rejected,
            // Nobody has decided it yet, so it is not done.
            Outcome::Unordered | Outcome::Failed(_) => &mut self.failed,
        };
        *slot += 1;
    }
}

/// Implements `+=` for a struct of counts, field by field. A call that leaves a field out does not compile.
#[macro_export]
macro_rules! add_counts {
    ($counts:ident { $($field:ident),+ $(,)? }) => {
        impl std::ops::AddAssign for $counts {
            fn add_assign(&mut self, more: Self) {
                let Self { $($field),+ } = more;
                $(self.$field += $field;)+
            }
        }
    };
}

add_counts!(OutcomeCounts { applied, duplicate, stale, superseded, order_anomalies, rejected, failed });
