//! The input of a simulated run.

use super::cluster::ClusterSize;
use super::course::Course;
use crate::lanes::Lanes;
use crate::limits::POLLS_PER_SECOND;
use crate::scenario::Scenario;
use crate::timing::Timing;

/// Share of its processors that a planned cluster uses at the peak.
const BUSY_NODES: f64 = 0.6;
/// Nodes that are tried at the most.
const MOST_NODES: u32 = 10_000;
/// Parts that a node queues by default, in OpenSearch and in Elasticsearch from 7.9 on.
const QUEUE: u32 = 10_000;
/// Time that Lambda and the function take to begin in a new environment. Lambda's part is an assumption.
const COLD_START_MS: f64 = 150.0;

/// A load over time, and all that carries it.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Highest load, and the deployment.
    pub scenario: Scenario,
    /// Times of one invocation.
    pub timing: Timing,
    /// Course of load and cluster.
    pub course: Course,
    /// Seconds for which changes come.
    pub seconds: f64,
    /// Most records of one invocation.
    pub batch_size: u64,
    /// Lanes per shard: the parallelization factor.
    pub factor: u64,
    /// Open shards at the beginning.
    pub shards: u64,
    /// Size of the cluster.
    pub cluster: ClusterSize,
    /// Time that the first invocation of an environment takes longer.
    pub cold_start_ms: f64,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Experiment {
    /// Plans a run: with as many partitions as the course begins with, and nodes of eight processors that are busy for
    /// 60 % of their time at the peak, with one replica.
    pub fn new(scenario: Scenario, timing: Timing, course: Course, batch_size: u64, factor: u64) -> Self {
        let shards = course.partitions(scenario.open_shards());
        let cluster = ClusterSize { nodes: 1, processors: 8, replicas: 1, queue: QUEUE };
        let seconds = course.seconds();
        let cold_start_ms = COLD_START_MS;
        let planned =
            Self { scenario, timing, course, seconds, batch_size, factor, shards, cluster, cold_start_ms, seed: 1 };
        planned.with_cluster(cluster)
    }

    /// Takes nodes of this kind, as many as are busy for 60 % of their time at the peak.
    #[must_use]
    pub fn with_cluster(self, cluster: ClusterSize) -> Self {
        let planned = Self { cluster, ..self };
        let nodes = (1..MOST_NODES).find(|&nodes| planned.busy_processors(nodes) <= BUSY_NODES);
        Self { cluster: ClusterSize { nodes: nodes.unwrap_or(MOST_NODES), ..cluster }, ..planned }
    }

    /// Share of their time that the processors of so many nodes are busy at the peak.
    fn busy_processors(&self, nodes: u32) -> f64 {
        let lanes = self.scenario.open_shards() * self.factor;
        let peak = Lanes::new(&self.scenario, &self.timing, self.scenario.rate, lanes, self.batch_size);
        let documents = peak.records_per_invocation;
        let invocations = peak.invocations_per_poll * POLLS_PER_SECOND * lanes as f64;
        let part_ms = (self.timing.engine_first_ms - self.timing.engine_further_ms).max(0.0);
        let parts = documents.ceil().min(f64::from(nodes));
        let copies = 1 + self.cluster.replicas.min(nodes - 1);
        let work_ms = part_ms.mul_add(parts, documents * self.timing.engine_further_ms) * f64::from(copies);
        invocations * work_ms / 1_000.0 / f64::from(nodes * self.cluster.processors)
    }
}
