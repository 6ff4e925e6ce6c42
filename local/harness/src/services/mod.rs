//! The real services that the tool and the tests run on: DynamoDB, Kinesis, SQS and a search engine, without Docker.
//!
//! [`Services::start`] starts what is wanted, concurrently, and stops it when the bundle is dropped or the process
//! ends, in whatever way. A service whose URL the environment gives is used instead of one of our own. Tests share one
//! bundle per process: [`shared`].

mod account;
mod clients;
mod cluster;
mod dynamodb;
mod engine;
mod existing;
mod failure;
mod java;
mod kinesis;
mod maven;
mod opensearch;
mod own_threads;
mod port;
mod process;
mod requirements;
mod service;
mod shared;
mod sqs;
mod wanted;
mod workspace;

use std::sync::Arc;

use anyhow::Result;

pub use account::Account;
pub use clients::{CREDENTIALS, REGION, dynamodb as dynamodb_client, sdk_config};
pub use clients::{kinesis as kinesis_client, sqs as sqs_client, streams as streams_client};
pub use cluster::Cluster;
pub use driftless_start::{Jdk, Jdks};
pub use dynamodb::{DynamoDb, DynamoDbKind, DynamoDbLocal, EmbeddedDynamoDb};
pub use engine::{EngineChoice, Release};
pub use existing::Existing;
pub use failure::client_error;
pub use kinesis::{EmbeddedKinesis, active as active_stream, create_stream};
pub use opensearch::{OpenSearch, Purpose};
pub use port::PortLease;
pub use process::{ChildProcess, ProcessLaunch, Signal, last_lines};
pub use requirements::check_requirements;
pub use service::{Provided, Service};
pub use shared::shared;
pub use sqs::{ElasticMq, create_queue};
pub use wanted::{
    DYNAMODB_ENDPOINT, KINESIS_ENDPOINT, OPENSEARCH_ENDPOINT, SQS_ENDPOINT, STREAMS_ENDPOINT, WantedServices,
};
pub use workspace::local_dir;

use service::provide;

/// A bundle of running services. Dropping it stops those that it started.
#[derive(Debug)]
pub struct Services {
    dynamodb: Arc<Provided<DynamoDb>>,
    kinesis: Option<Arc<Provided<EmbeddedKinesis>>>,
    sqs: Option<Arc<Provided<ElasticMq>>>,
    engine: Option<Arc<Provided<OpenSearch>>>,
}

impl Services {
    /// Starts what is wanted, concurrently, and waits until everything answers. What the environment gives is used
    /// instead; the log names it first.
    ///
    /// # Errors
    /// The first service that cannot be started; the others are stopped. A service of the environment that does not
    /// answer.
    pub async fn start(wanted: WantedServices) -> Result<Self> {
        let existing = Existing::from_env().wanted(wanted);
        existing.lines().iter().for_each(|line| tracing::info!("{line}"));
        existing.check().await?;
        Self::start_beside(wanted, &existing, &Jdks::from_env()).await
    }

    /// Starts what is wanted with nothing read from the environment.
    ///
    /// # Errors
    /// As [`Services::start`].
    pub async fn start_beside(wanted: WantedServices, existing: &Existing, jdks: &Jdks) -> Result<Self> {
        let (dynamodb, kinesis, sqs, engine) = tokio::try_join!(
            provide(existing.dynamodb.as_deref(), async || DynamoDb::start(wanted.dynamodb, jdks).await),
            async {
                if !wanted.kinesis {
                    return Ok(None);
                }
                provide(existing.kinesis.as_deref(), async || EmbeddedKinesis::start().await).await.map(Some)
            },
            async {
                if !wanted.sqs {
                    return Ok(None);
                }
                provide(existing.sqs.as_deref(), async || ElasticMq::start(jdks).await).await.map(Some)
            },
            async {
                let Some(engine) = wanted.engine else {
                    return Ok(None);
                };
                let start = async || OpenSearch::start_with(wanted.purpose, "", engine, jdks).await;
                provide(existing.opensearch.as_deref(), start).await.map(Some)
            },
        )?;
        Ok(Self { dynamodb, kinesis, sqs, engine })
    }

    /// The URL of DynamoDB and of DynamoDB Streams.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> &str {
        self.dynamodb.endpoint()
    }

    /// Prepares a table for long scans, where its DynamoDB is one of ours and needs it.
    ///
    /// # Errors
    /// Where there is no such table.
    pub fn index_scan(&self, table: &str) -> Result<()> {
        match &*self.dynamodb {
            Provided::Started(dynamodb) => dynamodb.index_scan(table),
            Provided::Existing(_) => Ok(()),
        }
    }

    /// The URL of Kinesis, where it was wanted.
    #[must_use]
    pub fn kinesis_endpoint(&self) -> Option<&str> {
        self.kinesis.as_ref().map(|service| service.endpoint())
    }

    /// The URL of SQS, where it was wanted.
    #[must_use]
    pub fn sqs_endpoint(&self) -> Option<&str> {
        self.sqs.as_ref().map(|service| service.endpoint())
    }

    /// The URL of the search engine, where one was wanted.
    #[must_use]
    pub fn opensearch_endpoint(&self) -> Option<&str> {
        self.engine.as_ref().map(|service| service.endpoint())
    }

    /// The search engine itself, for faults, where it is one of ours.
    #[must_use]
    pub fn opensearch(&self) -> Option<&OpenSearch> {
        match self.engine.as_deref()? {
            Provided::Started(engine) => Some(engine),
            Provided::Existing(_) => None,
        }
    }

    /// The environment that points any AWS SDK, the AWS command line and the function binaries to these services.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let (id, secret) = CREDENTIALS;
        let mut variables = vec![
            ("AWS_REGION", REGION.to_owned()),
            // What boto3 and version 1 of the AWS CLI read instead.
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", id.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
            (DYNAMODB_ENDPOINT, self.dynamodb_endpoint().to_owned()),
            (STREAMS_ENDPOINT, self.dynamodb_endpoint().to_owned()),
        ];
        variables.extend(self.kinesis_endpoint().map(|url| (KINESIS_ENDPOINT, url.to_owned())));
        variables.extend(self.sqs_endpoint().map(|url| (SQS_ENDPOINT, url.to_owned())));
        variables.extend(self.opensearch_endpoint().map(|url| (OPENSEARCH_ENDPOINT, url.to_owned())));
        variables
    }

    /// Stops the services that it started, concurrently, and waits until they are gone.
    ///
    /// # Errors
    /// Where one does not end.
    pub async fn stop(self) -> Result<()> {
        tokio::try_join!(stop(Some(self.dynamodb)), stop(self.kinesis), stop(self.sqs), stop(self.engine)).map(drop)
    }
}

/// Services of a shared bundle go on: they belong to the process.
async fn stop<S: Service>(service: Option<Arc<Provided<S>>>) -> Result<()> {
    match service.and_then(Arc::into_inner) {
        Some(service) => service.stop().await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
