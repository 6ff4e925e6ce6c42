//! Nodes of the search engine: each indexes parts of bulk requests on its processors, and queues or refuses the rest.

use std::collections::VecDeque;

use crate::timing::Timing;

/// Size of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSize {
    /// Number of data nodes.
    pub nodes: u32,
    /// Processors of each node.
    pub processors: u32,
    /// Copies of each document beside the first one; their nodes do the same work.
    pub replicas: u32,
    /// Parts of bulk requests that a node queues before it answers 429 (`thread_pool.write.queue_size`).
    pub queue: u32,
}

/// Bulk request on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BulkAnswer {
    /// Time of the answer, in microseconds.
    pub(super) at_us: f64,
    /// Share of the documents that were refused with 429.
    pub(super) refused: f64,
    /// Longest time that a part waited for a processor, in microseconds.
    pub(super) waited_us: f64,
}

pub(super) struct SearchCluster {
    nodes: Vec<SimulatedNode>,
    replicas: usize,
    queue: usize,
    /// Time that a part takes beside its documents, in microseconds.
    part_us: f64,
    /// Time that a document takes, in microseconds.
    document_us: f64,
    /// Processor time that was used, in microseconds.
    pub(super) used_us: f64,
}

struct SimulatedNode {
    /// Times at which the processors are free.
    free_us: Vec<f64>,
    /// Begins of the parts that wait for a processor.
    begins_us: VecDeque<f64>,
    /// Factor on the time of each part.
    slowness: f64,
}

impl SearchCluster {
    pub(super) fn new(size: ClusterSize, timing: &Timing) -> Self {
        let node = || SimulatedNode {
            free_us: vec![0.0; size.processors as usize],
            begins_us: VecDeque::new(),
            slowness: 1.0,
        };
        Self {
            nodes: (0..size.nodes).map(|_| node()).collect(),
            replicas: size.replicas.min(size.nodes.saturating_sub(1)) as usize,
            queue: size.queue as usize,
            part_us: (timing.engine_ms(1.0) - timing.engine_further_ms).max(0.0) * 1_000.0,
            document_us: timing.engine_further_ms * 1_000.0,
            used_us: 0.0,
        }
    }

    /// Makes the first node this many times slower than the others.
    pub(super) fn slow_down_one(&mut self, slowness: f64) {
        if let Some(node) = self.nodes.first_mut() {
            node.slowness = slowness;
        }
    }

    /// Number of nodes in the cluster.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Indexes documents. They are spread over the nodes from `first` on, so that few of them meet few nodes.
    pub(super) fn bulk(&mut self, documents: f64, first: usize, now_us: f64) -> BulkAnswer {
        let count = self.nodes.len();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the nodes")]
        let parts = (documents.ceil().max(1.0) as usize).min(count);
        let part_us = self.document_us.mul_add(documents / parts as f64, self.part_us);
        let mut answer = BulkAnswer { at_us: now_us, refused: 0.0, waited_us: 0.0 };
        for part in 0..parts {
            let primary = (first + part) % count;
            if !self.nodes[primary].has_room(self.queue, now_us) {
                answer.refused += 1.0 / parts as f64;
                continue;
            }
            // The copies index concurrently with the first, or a moment later; the answer waits for all.
            for copy in 0..=self.replicas {
                let node = &mut self.nodes[(primary + copy) % count];
                let (begin_us, end_us) = node.index(part_us, now_us);
                self.used_us += end_us - begin_us;
                answer.at_us = answer.at_us.max(end_us);
                answer.waited_us = answer.waited_us.max(begin_us - now_us);
            }
        }
        answer
    }
}

impl SimulatedNode {
    fn has_room(&mut self, queue: usize, now_us: f64) -> bool {
        while self.begins_us.front().is_some_and(|begin_us| *begin_us <= now_us) {
            self.begins_us.pop_front();
        }
        self.begins_us.len() < queue
    }

    /// Gives a part to the processor that is free first. Returns its begin and its end.
    fn index(&mut self, part_us: f64, now_us: f64) -> (f64, f64) {
        let mut first = 0;
        for place in 1..self.free_us.len() {
            if self.free_us[place] < self.free_us[first] {
                first = place;
            }
        }
        let begin_us = self.free_us[first].max(now_us);
        let end_us = part_us.mul_add(self.slowness, begin_us);
        self.free_us[first] = end_us;
        if begin_us > now_us {
            self.begins_us.push_back(begin_us);
        }
        (begin_us, end_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing =
        Timing { cpu_first_ms: 0.0, cpu_further_ms: 0.0, engine_first_ms: 2.0, engine_further_ms: 1.0 };

    fn cluster(nodes: u32, processors: u32, replicas: u32, queue: u32) -> SearchCluster {
        SearchCluster::new(ClusterSize { nodes, processors, replicas, queue }, &TIMING)
    }

    #[test]
    fn one_idle_node_takes_the_measured_time() {
        let answer = cluster(1, 1, 0, 10).bulk(5.0, 0, 100.0);
        assert_eq!(answer, BulkAnswer { at_us: 6_100.0, refused: 0.0, waited_us: 0.0 });
    }

    #[test]
    fn documents_are_spread_over_nodes_and_the_slowest_ends_the_request() {
        let mut cluster = cluster(4, 1, 0, 10);
        assert!((cluster.bulk(8.0, 2, 0.0).at_us - 3_000.0).abs() < 1e-6, "two documents on each of four nodes");
        cluster.slow_down_one(10.0);
        assert!((cluster.bulk(4.0, 1, 1e6).at_us - 1e6 - 20_000.0).abs() < 1e-6);
        assert!((cluster.bulk(1.0, 3, 1e6).at_us - 1e6 - 4_000.0).abs() < 1e-6, "behind that request on its node");
    }

    #[test]
    fn a_full_queue_refuses_its_part_of_the_documents() {
        let mut cluster = cluster(2, 1, 0, 1);
        assert!(cluster.bulk(1.0, 0, 0.0).refused == 0.0, "on the processor");
        assert!(cluster.bulk(1.0, 0, 0.0).refused == 0.0, "in the queue");
        assert!((cluster.bulk(2.0, 0, 0.0).refused - 0.5).abs() < 1e-9, "one of two nodes is full");
        assert!(cluster.bulk(1.0, 0, 2_000.0).refused == 0.0, "the queue moves");
    }

    #[test]
    fn copies_are_work_for_other_nodes() {
        let mut cluster = cluster(2, 1, 1, 10);
        cluster.bulk(1.0, 0, 0.0);
        assert!((cluster.used_us - 4_000.0).abs() < 1e-6);
        assert!((cluster.bulk(1.0, 1, 0.0).waited_us - 2_000.0).abs() < 1e-6);
    }
}
