//! The search engine: OpenSearch or Elasticsearch as a process, one node, data in a folder of its own.
//!
//! The engine is started through a published runner class that takes a base port and listens on base + 1. It never
//! finds other engines on the machine: it is a single-node cluster of its own name, on the loopback address only.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use driftless_start::{Jdk, Jdks};
use opensearch::OpenSearch as Client;
use opensearch::cluster::ClusterHealthParts;
use opensearch::http::Url;
use opensearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::engine::{EngineChoice, Release};
use super::java::{self, Program};
use super::port::PortLease;
use super::process::{ChildProcess, ProcessLaunch, Signal};
use super::service::Service;
use super::workspace;

/// A small heap, and the simple collector: few cores.
const JVM_OPTIONS: [&str; 3] = ["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"];
/// The optimising compiler would be at work, on the cores that the engine needs, until a short run is over. Warmed up
/// for the better part of a minute, a write takes half as long with it.
pub(super) const QUICK_COMPILER: &str = "-XX:TieredStopAtLevel=1";
/// A file system in memory, and how much must be free there for an engine's data.
const MEMORY: &str = "/dev/shm";
const MEMORY_BYTES: u64 = 6 * 1024 * 1024 * 1024;
/// The runner refuses ports from 9300 on. The engine's own transport takes the first free port above.
const HTTP_PORTS: std::ops::RangeInclusive<u16> = 9201..=9299;
const SETTINGS: &str = "network.host: 127.0.0.1
# A developer's disk is often almost full; the engine would make every index read-only.
cluster.routing.allocation.disk.threshold_enabled: false
";
const SINGLE_NODE: &str = "transport.port: 9300-9499
discovery.type: single-node
";
/// The simple collector leaves garbage until the heap is full; counted as memory in use, it makes the engine refuse
/// bulks.
const GARBAGE_IS_FREE: &str = "indices.breaker.total.use_real_memory: false\n";
/// See its head for arguments and behaviour.
const CLUSTER_NODE: &str = include_str!("ClusterNode.java");
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Purpose for which an engine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Tests: the quick compiler, and data in memory where there is room. A process that is killed leaves them there
    /// as it would on disk.
    #[default]
    Tests,
    /// Services for a person, who may load any table: the quick compiler, data on disk.
    Background,
    /// Half a minute of lag: data in memory where there is room, because every single write waits for the disk, and
    /// that of a developer's machine says nothing about anybody's cluster.
    Demo,
    /// The same for minutes, warmed up: with the optimising compiler, as in production.
    Benchmark,
}

/// A node to start.
pub(super) struct Node<'a> {
    /// Its place in a cluster of several nodes; without one it is a cluster of its own.
    pub(super) member: Option<Member<'a>>,
    /// Settings of its own, in YAML.
    pub(super) settings: &'a str,
    /// Options of its own for the JVM; a later option replaces an earlier one.
    pub(super) options: &'a [&'a str],
    /// Folder for its data.
    pub(super) data: PathBuf,
}

/// A place in a cluster of several nodes.
pub(super) struct Member<'a> {
    /// Name of the cluster.
    pub(super) cluster: &'a str,
    /// Roles of the node, separated by commas.
    pub(super) roles: &'a str,
}

/// A running engine, empty at the start. Dropping it stops it; its data go with it, whatever ends the tool.
#[derive(Debug)]
pub struct OpenSearch {
    release: &'static Release,
    endpoint: String,
    cluster: String,
    launch: ProcessLaunch,
    /// `None` between a kill and a restart.
    process: Mutex<Option<ChildProcess>>,
    _data: TempDir,
    _port: PortLease,
}

impl OpenSearch {
    /// Starts an engine and waits until its cluster answers.
    ///
    /// # Errors
    /// Where Java or Maven is missing, and where it ends or does not answer in time.
    pub async fn start(engine: EngineChoice, jdks: &Jdks) -> Result<Self> {
        Self::start_with(Purpose::default(), "", engine, jdks).await
    }

    /// The same, for this purpose, with these lines more in its settings.
    ///
    /// # Errors
    /// As [`OpenSearch::start`].
    pub async fn start_with(purpose: Purpose, settings: &str, engine: EngineChoice, jdks: &Jdks) -> Result<Self> {
        let (options, more): (&[&str], &str) =
            if purpose == Purpose::Benchmark { (&[], GARBAGE_IS_FREE) } else { (&[QUICK_COMPILER], "") };
        let data = if purpose == Purpose::Background { data_on_disk() } else { data_in_memory() };
        let settings = format!("{SINGLE_NODE}{settings}{more}");
        Self::start_node(Node { member: None, settings: &settings, options, data }, engine, jdks).await
    }

    /// Starts a node and waits until its cluster answers.
    pub(super) async fn start_node(node: Node<'_>, engine: EngineChoice, jdks: &Jdks) -> Result<Self> {
        let (release, jdk) = engine.release(jdks)?;
        let jars = release.artifact.jars(jdk).await?;
        let port = PortLease::from(HTTP_PORTS)?;
        let data = data_folder(release, &node.data, node.settings)?;
        let cluster = match &node.member {
            Some(member) => member.cluster.to_owned(),
            None => format!("local-{}-{}", std::process::id(), port.port()),
        };
        let launch = launch(release, jdk, &jars, &data, &cluster, port.port(), &node)?;
        let endpoint = format!("http://127.0.0.1:{}", port.port());
        let process = Mutex::new(None);
        let engine = Self { release, endpoint, cluster, launch, process, _data: data, _port: port };
        engine.restart().await?;
        Ok(engine)
    }

    /// Returns name and version of the engine.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.release.name
    }

    /// Kills it as a crash would, with no chance to flush, and waits until it is gone. Its data stay.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn kill(&self) -> Result<()> {
        let process = self.process.lock().await.take();
        process.with_context(|| format!("{} does not run", self.name()))?.kill().await
    }

    /// Starts it again after [`OpenSearch::kill`], on the same port and data, and waits until it answers.
    ///
    /// # Errors
    /// Where it still runs, and where it ends or does not answer in time.
    pub async fn restart(&self) -> Result<()> {
        let mut slot = self.process.lock().await;
        if slot.is_some() {
            bail!("{} runs already", self.name());
        }
        let client = client(&self.endpoint, ANSWER_TIMEOUT)?;
        let mut process = ChildProcess::start(self.launch.clone()).await?;
        process.ready(java::START_LIMIT, async || answers(&client, &self.cluster).await).await?;
        *slot = Some(process);
        Ok(())
    }

    /// Freezes it: connections are accepted, nothing is answered.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn freeze(&self) -> Result<()> {
        self.signal(Signal::Stop).await
    }

    /// Lets it go on after [`OpenSearch::freeze`].
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn thaw(&self) -> Result<()> {
        self.signal(Signal::Continue).await
    }

    /// The pid of its Java process, unless it was killed.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(ChildProcess::pid)
    }

    async fn signal(&self, signal: Signal) -> Result<()> {
        let mut process = self.process.lock().await;
        process.as_mut().with_context(|| format!("{} does not run", self.name()))?.signal(signal).await
    }
}

impl Service for OpenSearch {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn stop(self) -> Result<()> {
        match self.process.into_inner() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }
}

/// Folder for data in memory, or on disk if there is too little room.
pub(super) fn data_in_memory() -> PathBuf {
    if has_room(MEMORY) { PathBuf::from(MEMORY) } else { data_on_disk() }
}

fn data_on_disk() -> PathBuf {
    workspace::local_dir().join("data")
}

fn has_room(folder: &str) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|stats| stats.f_bavail.saturating_mul(stats.f_frsize) >= MEMORY_BYTES)
}

/// A fresh data folder with the settings in the place where the runner looks for them.
fn data_folder(release: &Release, parent: &Path, more: &str) -> Result<TempDir> {
    std::fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let data = tempfile::Builder::new().prefix("engine-").tempdir_in(parent).context("create a data folder")?;
    let settings = data.path().join("node_1/config");
    std::fs::create_dir_all(&settings).context("create the folder of the engine's settings")?;
    let text = format!("{SETTINGS}{more}");
    std::fs::write(settings.join(release.settings_file), text).context("write the engine's settings")?;
    Ok(data)
}

fn launch(
    release: &Release,
    jdk: &Jdk,
    jars: &Path,
    data: &TempDir,
    cluster: &str,
    port: u16,
    node: &Node<'_>,
) -> Result<ProcessLaunch> {
    let (main, roles) = match &node.member {
        Some(member) => (source_of_member(release, data)?, Some(member.roles.into())),
        None => (release.main_class.into(), None),
    };
    let arguments: [OsString; 8] = [
        "-basePath".into(),
        data.path().into(),
        "-clusterName".into(),
        cluster.into(),
        "-numOfNode".into(),
        "1".into(),
        "-baseHttpPort".into(),
        (port - 1).to_string().into(),
    ];
    let program = Program {
        name: release.name,
        port,
        jdk,
        jars,
        options: JVM_OPTIONS.iter().chain(node.options).map(Into::into).collect(),
        main,
        arguments: roles.into_iter().chain(arguments).collect(),
    };
    Ok(program.launch(Some(data.path().to_owned())))
}

/// Writes the main class of a node that is one of several; gives the file, which Java compiles.
fn source_of_member(release: &Release, data: &TempDir) -> Result<OsString> {
    let file = data.path().join("ClusterNode.java");
    std::fs::write(&file, CLUSTER_NODE.replace("RUNNER", release.main_class))
        .context("write the main class of a node")?;
    Ok(file.into())
}

/// A client that keeps out of the way of a configured proxy.
pub(super) fn client(endpoint: &str, limit: Duration) -> Result<Client> {
    let pool = SingleNodeConnectionPool::new(Url::parse(endpoint).context("parse the engine's endpoint")?);
    let transport = TransportBuilder::new(pool).timeout(limit).disable_proxy().build();
    Ok(Client::new(transport.context("build a client for the engine")?))
}

/// The cluster's own name in the answer shows that it is this engine, not another one on the same port.
async fn answers(client: &Client, cluster: &str) -> Result<()> {
    let response = client.cluster().health(ClusterHealthParts::None).send().await.context("ask for the health")?;
    let health: Value = response.error_for_status_code()?.json().await.context("read the health")?;
    ensure!(health["cluster_name"] == cluster, "another cluster answers: {}", health["cluster_name"]);
    ensure!(health["status"] != "red", "the cluster is red: {health}");
    Ok(())
}
