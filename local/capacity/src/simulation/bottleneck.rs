//! Limits that bound in a simulated run: which, when first, and how much.

use serde::Serialize;

/// Limit that can bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Writes per second of a partition. DynamoDB refuses the rest.
    PartitionWrites,
    /// Records and bytes of one poll.
    Poll,
    /// Lanes of a shard: changes wait for the one of their keys.
    Lanes,
    /// Order across a split: children wait until their parent is read to its end.
    ParentShard,
    /// Concurrent executions of the account.
    ConcurrentExecutions,
    /// Invocations per second of the account: ten per concurrent execution.
    InvocationsPerSecond,
    /// Rate at which Lambda adds execution environments.
    ScalingRate,
    /// Processors of a node: requests wait there.
    NodeProcessors,
    /// Write queue of a node: it answers 429.
    NodeQueue,
}

impl LimitKind {
    /// Every kind, in the order of the path.
    const ALL: [Self; 9] = [
        Self::PartitionWrites,
        Self::Poll,
        Self::Lanes,
        Self::ParentShard,
        Self::ConcurrentExecutions,
        Self::InvocationsPerSecond,
        Self::ScalingRate,
        Self::NodeProcessors,
        Self::NodeQueue,
    ];

    /// Words for the limit, and for what is counted of it.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::PartitionWrites => ("write units per partition", "writes refused by DynamoDB"),
            Self::Poll => ("records per poll", "full polls"),
            Self::Lanes => ("lanes per shard", "polls behind which a lane was late"),
            Self::ParentShard => ("parent before child", "splits"),
            Self::ConcurrentExecutions => ("concurrent executions", "throttles"),
            Self::InvocationsPerSecond => ("invocations per second", "throttles"),
            Self::ScalingRate => ("scaling rate", "throttles"),
            Self::NodeProcessors => ("processors of a node", "late bulk requests"),
            Self::NodeQueue => ("write queue of a node", "answers with 429"),
        }
    }
}

/// Limit that bound during a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoundLimit {
    /// Kind of the limit.
    pub limit: LimitKind,
    /// Seconds from the beginning until it bound first.
    pub first_s: f64,
    /// Number of times, or of changes, that it bound.
    pub times: u64,
}

/// Collects the limits that bind.
#[derive(Default)]
pub(super) struct Bottlenecks([Option<(f64, u64)>; LimitKind::ALL.len()]);

impl Bottlenecks {
    /// Notes that a limit bound so many times.
    pub(super) fn note(&mut self, limit: LimitKind, now_us: f64, times: u64) {
        let (_, sum) = self.0[limit as usize].get_or_insert((now_us, 0));
        *sum += times;
    }

    /// Limits that bound, the first one first.
    pub(super) fn bound(&self) -> Vec<BoundLimit> {
        let found = LimitKind::ALL.into_iter().filter_map(|limit| {
            let (first_us, times) = self.0[limit as usize]?;
            Some(BoundLimit { limit, first_s: first_us / 1e6, times })
        });
        let mut found: Vec<BoundLimit> = found.collect();
        found.sort_by(|a, b| a.first_s.total_cmp(&b.first_s));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_bound_first_comes_first() {
        let mut bottlenecks = Bottlenecks::default();
        bottlenecks.note(LimitKind::Lanes, 3e6, 1);
        bottlenecks.note(LimitKind::NodeQueue, 1e6, 2);
        bottlenecks.note(LimitKind::NodeQueue, 2e6, 5);
        let bound = |limit, first_s, times| BoundLimit { limit, first_s, times };
        assert_eq!(bottlenecks.bound(), [bound(LimitKind::NodeQueue, 1.0, 7), bound(LimitKind::Lanes, 3.0, 1)]);
        assert!(LimitKind::ALL.iter().enumerate().all(|(place, limit)| *limit as usize == place));
    }
}
