//! A cluster of two nodes, of which one hangs and the other dies: a realtime read shows what the primary alone has.
//!
//! All in one test, on a cluster of its own.

use std::time::{Duration, Instant};

use driftless_harness::proxy::Proxy;
use driftless_harness::services::{Cluster, Jdks, Service as _};
use opensearch::http::Method;
use serde_json::{Value, json};

use super::{eventually, settings};
use crate::support::{Index, ReplicateFunction, documents, insert, modify};

/// Time of an invocation: several requests that time out.
const TIMEOUT: Duration = Duration::from_secs(8);
const REQUEST_MS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_only_a_lost_primary_had_is_never_reported_as_done_and_is_applied_when_it_comes_again() {
    let cluster = Cluster::start(&Jdks::from_env()).await.expect("a cluster");
    let stage = ClusterStage::set_up(&cluster).await;
    stage.a_write_waits_for_its_replica(&cluster).await;
    let change = stage.a_write_that_its_replica_never_gets_is_not_done(&cluster).await;
    stage.the_replica_takes_over_without_the_write(&cluster).await;
    let survivor = stage.index.seen_at(cluster.first().endpoint());
    ReplicateFunction::new(survivor.settings_at(cluster.first().endpoint())).succeed(&[change]).await;
    assert_eq!(survivor.visible().await, documents(&[("a", r#"{"n":3}"#), ("b", r#"{"n":1}"#)]));
    cluster.stop().await.expect("stopped");
}

/// An index with its primary on the second node and its replica on the first one, and two processes that write to it.
struct ClusterStage {
    index: Index,
    proxy: Proxy,
    writer: ReplicateFunction,
    /// Knows nothing of the document `a`.
    other: ReplicateFunction,
}

impl ClusterStage {
    async fn set_up(cluster: &Cluster) -> Self {
        let index = Index::at(cluster.second().endpoint(), "failover");
        let proxy = Proxy::start(cluster.second().endpoint()).await.expect("a proxy");
        let function = || ReplicateFunction::new(settings(&index, &proxy, REQUEST_MS)).timeout(TIMEOUT);
        let (writer, other) = (function(), function());
        index.read_at_the_node_that_is_asked().await;
        index.keep_shards_off(json!("first")).await;
        writer.succeed(&[insert("a", 1)]).await;
        index.keep_shards_off(Value::Null).await;
        eventually("the replica is in sync", async || index.is_green().await).await;
        other.succeed(&[insert("b", 1)]).await;
        Self { index, proxy, writer, other }
    }

    /// A replica that comes back in time costs time alone.
    async fn a_write_waits_for_its_replica(&self, cluster: &Cluster) {
        let started = Instant::now();
        cluster.first().freeze().await.expect("frozen");
        let thaw = async {
            self.the_primary_shows("a", r#"{"n":2}"#).await;
            tokio::time::sleep_until((started + Duration::from_millis(2 * REQUEST_MS)).into()).await;
            cluster.first().thaw().await.expect("thawed");
        };
        let records = [modify("a", 2)];
        tokio::join!(self.writer.succeed(&records), thaw);
        assert!(started.elapsed() > Duration::from_millis(2 * REQUEST_MS));
    }

    /// Nobody is told that it is done, though everybody who reads it in realtime finds its version. Gives the record.
    async fn a_write_that_its_replica_never_gets_is_not_done(&self, cluster: &Cluster) -> String {
        const FAILED: &str = "300000000000000000000";
        let record = modify("a", 3);
        let acknowledged = self.proxy.answers("/_bulk");
        cluster.first().freeze().await.expect("frozen");
        let records = [record.clone()];
        let (failed, ()) = tokio::join!(self.writer.invoke(&records), self.the_primary_shows("a", r#"{"n":3}"#));
        assert_eq!(failed.expect("handled"), [FAILED], "by the process that wrote it");
        let read = self.proxy.answers("/_mget");
        let failed = self.other.invoke(&records).await.expect("handled");
        assert!(self.proxy.answers("/_mget") > read, "the primary was read");
        assert_eq!(failed, [FAILED], "by a process that found it");
        assert_eq!(self.writer.invoke(&records).await.expect("handled"), [FAILED], "when it comes again");
        assert_eq!(self.proxy.answers("/_bulk"), acknowledged, "no write was answered");
        record
    }

    /// The replica's process starts anew, so that it never reads what the primary has sent to the one that hung.
    async fn the_replica_takes_over_without_the_write(&self, cluster: &Cluster) {
        cluster.second().kill().await.expect("killed");
        cluster.first().kill().await.expect("killed");
        cluster.first().restart().await.expect("it comes back");
        let survivor = self.index.seen_at(cluster.first().endpoint());
        assert_eq!(
            survivor.visible().await,
            documents(&[("a", r#"{"n":2}"#), ("b", r#"{"n":1}"#)]),
            "what was acknowledged, and no more"
        );
    }

    /// Waits until a realtime read of the node with the primary gives this content.
    async fn the_primary_shows(&self, id: &str, content: &str) {
        let wanted: Value = serde_json::from_str(content).expect("JSON");
        let path = format!("/{}-000001/_mget?realtime=true&preference=_local", self.index.name);
        eventually("the primary shows it", async || {
            let (status, answer) = self.index.send(Method::Post, &path, Some(json!({"ids": [id]}))).await;
            assert_eq!(status, 200, "{answer}");
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            answer["docs"][0]["_source"]["n"] == wanted["n"]
        })
        .await;
    }
}

impl Index {
    /// A read goes to the copy on the node that is asked, as in clusters over several zones. Else it goes to any copy.
    async fn read_at_the_node_that_is_asked(&self) {
        let mut body = json!({"cluster.routing.allocation.awareness.attributes": "node"});
        // Elasticsearch 7 never ignores them, and has no such setting.
        if self.engine_kind().await == "opensearch" {
            body["cluster.search.ignore_awareness_attributes"] = false.into();
        }
        self.configure_cluster(body).await;
    }

    /// Keeps new shards off the node of this name; `null` lets them go anywhere.
    async fn keep_shards_off(&self, node: Value) {
        self.configure_cluster(json!({"cluster.routing.allocation.exclude.node": node})).await;
    }

    async fn configure_cluster(&self, settings: Value) {
        let body = json!({"persistent": settings});
        let (status, text) = self.send(Method::Put, "/_cluster/settings", Some(body)).await;
        assert_eq!(status, 200, "{text}");
    }

    /// Every copy of every shard is in sync.
    async fn is_green(&self) -> bool {
        let (_, health) = self.send(Method::Get, &format!("/_cluster/health/{}-000001", self.name), None).await;
        let health: Value = serde_json::from_str(&health).expect("JSON");
        health["status"] == "green" && health["number_of_nodes"] == 2
    }
}
