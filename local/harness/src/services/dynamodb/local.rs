//! AWS's DynamoDB Local as a process, in memory.

use anyhow::{Context, Result};
use driftless_start::Jdks;

use crate::services::clients;
use crate::services::java::{self, Program, path_property};
use crate::services::maven::{Artifact, Coordinates};
use crate::services::port::PortLease;
use crate::services::process::ChildProcess;
use crate::services::service::Service;

const DYNAMODB_LOCAL: Artifact = Artifact {
    coordinates: Coordinates { group: "software.amazon.dynamodb", artifact: "DynamoDBLocal", version: "3.3.1" },
    // Some newer SDK artifacts that it names cannot be resolved.
    bom: Some(Coordinates { group: "software.amazon.awssdk", artifact: "bom", version: "2.40.0" }),
};
const NAME: &str = "DynamoDB Local";
const MINIMUM_JAVA: u32 = 17;

/// A running DynamoDB Local. Dropping it stops it.
#[derive(Debug)]
pub struct DynamoDbLocal {
    endpoint: String,
    process: ChildProcess,
    _port: PortLease,
}

impl DynamoDbLocal {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where Java or Maven is missing, and where it ends or does not answer in time.
    pub async fn start(jdks: &Jdks) -> Result<Self> {
        let jdk = jdks.at_least(MINIMUM_JAVA, NAME)?;
        let jars = DYNAMODB_LOCAL.jars(jdk).await?;
        let port = PortLease::from(8000..=8099)?;
        let number = port.port().to_string();
        let program = Program {
            name: NAME,
            port: port.port(),
            jdk,
            jars: &jars,
            // Its native SQLite lies among the jars.
            options: vec!["-Xmx512m".into(), path_property("java.library.path", &jars)],
            main: "software.amazon.dynamodb.services.local.main.ServerRunner".into(),
            arguments: ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", &number].map(Into::into).to_vec(),
        };
        let endpoint = format!("http://127.0.0.1:{number}");
        let mut process = ChildProcess::start(program.launch(None)).await?;
        let client = clients::dynamodb(&endpoint);
        process
            .ready(java::START_LIMIT, async || client.list_tables().send().await.context("list the tables").map(drop))
            .await?;
        Ok(Self { endpoint, process, _port: port })
    }

    /// Returns what Maven fetches for it.
    ///
    /// # Errors
    /// Where no installed Java can run it.
    pub(in crate::services) fn artifact(jdks: &Jdks) -> Result<Artifact> {
        jdks.at_least(MINIMUM_JAVA, NAME)?;
        Ok(DYNAMODB_LOCAL)
    }

    /// The pid of its Java process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Service for DynamoDbLocal {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
