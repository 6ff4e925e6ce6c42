//! Figures of a simulated run.

use serde::Serialize;

use super::bottleneck::BoundLimit;
use super::course::Course;
use super::lag_windows::{LagFigures, LagWindow};

/// Figures of a simulated run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulatedRun {
    /// Course of load and cluster.
    pub course: Course,
    /// Highest load, in writes per second.
    pub rate: f64,
    /// Most records of one invocation.
    pub batch_size: u64,
    /// Lanes per shard: the parallelization factor.
    pub factor: u64,
    /// Open shards at the beginning, and at the end.
    pub shards: [u64; 2],
    /// Number of data nodes.
    pub nodes: u32,
    /// Processors of each node.
    pub processors: u32,
    /// Changes that were applied.
    pub changes: u64,
    /// Invocations, without those that were throttled.
    pub invocations: u64,
    /// Highest number of concurrent executions.
    pub highest_concurrency: u32,
    /// Share of the nodes' processor time that was used.
    pub busy_nodes: f64,
    /// Lag of all changes.
    pub lag: LagFigures,
    /// Seconds from the last change until all were applied; absent if they were not within the time of the run again.
    pub drained_s: Option<f64>,
    /// Limits that bound, the first one first.
    pub bound: Vec<BoundLimit>,
    /// Lag of each window of time.
    pub windows: Vec<LagWindow>,
}

impl SimulatedRun {
    /// Window with the highest p99.
    pub fn worst(&self) -> Option<&LagWindow> {
        self.windows.iter().max_by(|a, b| a.lag.p99_ms.total_cmp(&b.lag.p99_ms))
    }
}
