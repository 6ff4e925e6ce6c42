//! SQS: ElasticMQ as a process.

use anyhow::{Context, Result};
use driftless_start::Jdks;

use super::clients;
use super::failure::client_error;
use super::java::{self, Program, path_property};
use super::maven::{Artifact, Coordinates};
use super::port::PortLease;
use super::process::ChildProcess;
use super::service::Service;
use super::workspace;

const ELASTICMQ: Artifact = Artifact {
    coordinates: Coordinates { group: "org.elasticmq", artifact: "elasticmq-server_3", version: "1.7.1" },
    bom: None,
};
const NAME: &str = "ElasticMQ";
const MINIMUM_JAVA: u32 = 17;

/// A running ElasticMQ, empty at the start. Dropping it stops it.
#[derive(Debug)]
pub struct ElasticMq {
    endpoint: String,
    process: ChildProcess,
    _port: PortLease,
}

impl ElasticMq {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where Java or Maven is missing, and where it ends or does not answer in time.
    pub async fn start(jdks: &Jdks) -> Result<Self> {
        let jdk = jdks.at_least(MINIMUM_JAVA, NAME)?;
        let jars = ELASTICMQ.jars(jdk).await?;
        let port = PortLease::from(9324..=9423)?;
        let number = port.port();
        let config = workspace::local_dir().join(format!("elasticmq-{number}.conf"));
        std::fs::write(&config, configuration(number)).with_context(|| format!("write {}", config.display()))?;
        let program = Program {
            name: NAME,
            port: number,
            jdk,
            jars: &jars,
            // The quick compiler and the simple collector, for the same reason as the engine's.
            options: vec![
                "-Xmx128m".into(),
                "-XX:TieredStopAtLevel=1".into(),
                "-XX:+UseSerialGC".into(),
                path_property("config.file", &config),
            ],
            main: "org.elasticmq.server.Main".into(),
            arguments: Vec::new(),
        };
        let endpoint = format!("http://127.0.0.1:{number}");
        let mut process = ChildProcess::start(program.launch(Some(config))).await?;
        let client = clients::sqs(&endpoint);
        process
            .ready(java::START_LIMIT, async || client.list_queues().send().await.context("list the queues").map(drop))
            .await?;
        Ok(Self { endpoint, process, _port: port })
    }

    /// The pid of its Java process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Creates the queue `name` at `endpoint`, unless there is one, and returns its URL.
///
/// # Errors
/// Where the service refuses.
pub async fn create_queue(endpoint: &str, name: &str) -> Result<String> {
    let created = clients::sqs(endpoint).create_queue().queue_name(name).send().await;
    let created = created.map_err(client_error).with_context(|| format!("create the queue {name}"))?;
    created.queue_url.context("read the queue's URL")
}

/// Returns what Maven fetches for it.
///
/// # Errors
/// Where no installed Java can run it.
pub(super) fn artifact(jdks: &Jdks) -> Result<Artifact> {
    jdks.at_least(MINIMUM_JAVA, NAME)?;
    Ok(ELASTICMQ)
}

impl Service for ElasticMq {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// `node-address` goes into queue URLs; the region into queue ARNs.
fn configuration(port: u16) -> String {
    format!(
        r#"include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
aws {{ region = "{region}", accountId = "000000000000" }}
"#,
        region = clients::REGION,
    )
}
