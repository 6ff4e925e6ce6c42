//! A cluster of two nodes, each a process of its own, so that one of them can be frozen or killed alone.
//!
//! The first node alone manages the cluster.
//! So the cluster outlives the second node, and decides nothing while the first one is frozen.

use anyhow::{Context, Result};
use driftless_start::Jdks;

use super::Service as _;
use super::engine::EngineChoice;
use super::opensearch::{Member, Node, OpenSearch, QUICK_COMPILER, data_in_memory};
use super::port::PortLease;

/// Above the ports that a single node looks for a free one in.
const TRANSPORT_PORTS: std::ops::RangeInclusive<u16> = 9500..=9599;
/// Two nodes and a build fit into the memory of a small machine.
const JVM_OPTIONS: [&str; 3] = [QUICK_COMPILER, "-Xms512m", "-Xmx512m"];

/// Two running nodes of the engine that tests run on, empty at the start. Dropping it stops both, as for
/// [`OpenSearch`].
///
/// Each node has the attribute `node`, which is `first` or `second`, for filters of the shards' allocation.
#[derive(Debug)]
pub struct Cluster {
    first: OpenSearch,
    second: OpenSearch,
    _transport: PortLease,
}

impl Cluster {
    /// Starts both nodes and waits until they are one cluster.
    ///
    /// # Errors
    /// As [`OpenSearch::start`].
    pub async fn start(jdks: &Jdks) -> Result<Self> {
        let engine = EngineChoice::of_tests();
        let manager = engine.release(jdks)?.0.manager;
        let transport = PortLease::from(TRANSPORT_PORTS)?;
        let address = format!("127.0.0.1:{}", transport.port());
        let name = format!("cluster-{}-{}", std::process::id(), transport.port());
        let forms = format!(
            "node.attr.node: first\ntransport.port: {}\ndiscovery.seed_hosts: []\n\
             cluster.initial_{manager}_nodes: [\"{address}\"]\n",
            transport.port()
        );
        let joins = format!(
            "node.attr.node: second\ntransport.port: 9300-9499\ndiscovery.seed_hosts: [\"{address}\"]\n\
             # The first node may be frozen for longer than the usual half minute.\n\
             cluster.fault_detection.leader_check.timeout: 60s\n"
        );
        let roles = format!("{manager},data");
        let first = node(engine, Member { cluster: &name, roles: &roles }, &forms, jdks);
        let second = node(engine, Member { cluster: &name, roles: "data" }, &joins, jdks);
        let (first, second) = tokio::try_join!(first, second)?;
        Ok(Self { first, second, _transport: transport })
    }

    /// The node that manages the cluster.
    #[must_use]
    pub fn first(&self) -> &OpenSearch {
        &self.first
    }

    /// The node that the cluster outlives.
    #[must_use]
    pub fn second(&self) -> &OpenSearch {
        &self.second
    }

    /// Stops both and waits until they are gone.
    ///
    /// # Errors
    /// Where one does not end.
    pub async fn stop(self) -> Result<()> {
        tokio::try_join!(self.first.stop(), self.second.stop()).map(drop)
    }
}

async fn node(engine: EngineChoice, member: Member<'_>, settings: &str, jdks: &Jdks) -> Result<OpenSearch> {
    let node = Node { member: Some(member), settings, options: &JVM_OPTIONS, data: data_in_memory() };
    OpenSearch::start_node(node, engine, jdks).await.context("start a node of a cluster")
}
