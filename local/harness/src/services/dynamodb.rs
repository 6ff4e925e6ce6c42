//! DynamoDB: embedded in the tool's own process (the default), or AWS's own DynamoDB Local as the referee.

mod embedded;
mod local;

use anyhow::Result;
use clap::ValueEnum;
use driftless_start::Jdks;

use super::service::Service;

pub use embedded::EmbeddedDynamoDb;
pub use local::DynamoDbLocal;

/// A choice of DynamoDB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum DynamoDbKind {
    /// In this process, in memory: starts immediately, needs no Java.
    #[default]
    Embedded,
    /// AWS's own: slower, and right where the two differ.
    #[value(name = "dynamodb-local")]
    DynamoDbLocal,
}

/// A running DynamoDB with streams, empty at the start. Dropping it stops it.
#[derive(Debug)]
pub enum DynamoDb {
    /// The kind of [`DynamoDbKind::Embedded`], running.
    Embedded(EmbeddedDynamoDb),
    /// The kind of [`DynamoDbKind::DynamoDbLocal`], running.
    Local(Box<DynamoDbLocal>),
}

impl DynamoDb {
    /// Starts the chosen one and waits until it answers.
    ///
    /// # Errors
    /// Where it cannot be fetched or started.
    pub async fn start(kind: DynamoDbKind, jdks: &Jdks) -> Result<Self> {
        match kind {
            DynamoDbKind::Embedded => EmbeddedDynamoDb::start().await.map(Self::Embedded),
            DynamoDbKind::DynamoDbLocal => DynamoDbLocal::start(jdks).await.map(Box::new).map(Self::Local),
        }
    }

    /// Prepares a table for long scans, where the kind needs it.
    ///
    /// # Errors
    /// Where there is no such table.
    pub fn index_scan(&self, table: &str) -> Result<()> {
        match self {
            Self::Embedded(service) => service.index_scan(table),
            Self::Local(_) => Ok(()),
        }
    }
}

impl Service for DynamoDb {
    fn endpoint(&self) -> &str {
        match self {
            Self::Embedded(service) => service.endpoint(),
            Self::Local(service) => service.endpoint(),
        }
    }

    async fn stop(self) -> Result<()> {
        match self {
            Self::Embedded(service) => service.stop().await,
            Self::Local(service) => service.stop().await,
        }
    }
}
