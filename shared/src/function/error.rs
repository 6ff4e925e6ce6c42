//! Reasons why an invocation fails as a whole, in words for the operator.

use std::fmt;

use lambda_runtime::Diagnostic;

use crate::bucket::BucketError;
use crate::environment::Misconfigured;
use crate::opensearch::{AuthError, EnsureError};
use crate::outcome::{ConfigurationError, Problem};
use crate::queue::QueueError;
use crate::table::TableError;
use crate::writer::repair::RepairError;

/// Reason why an invocation fails as a whole. Its `Debug` is its `Display`, because the runtime logs it, and the
/// sources may quote an item.
#[derive(thiserror::Error)]
pub enum FunctionError {
    /// Environment variables that are missing or wrong.
    #[error(transparent)]
    Misconfigured(Misconfigured),
    /// A deployment that is wrong.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// No credentials for the engine.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The engine was not reached before the index was found.
    #[error("{0}; if this lasts, check OPENSEARCH_ENDPOINT, the function's VPC and the engine's security group")]
    Unavailable(Problem),
    /// The invocation awaited something beyond its deadline.
    #[error("the invocation's time was over before everything was done; the batch is retried")]
    OutOfTime,
    /// A dead-letter queue that cannot be read.
    #[error("{0}")]
    Queue(#[from] QueueError),
    /// An on-failure bucket that cannot be listed.
    #[error("{0}")]
    Bucket(#[from] BucketError),
    /// A table that cannot be read.
    #[error("{0}")]
    Table(#[from] TableError),
    /// A request that is not valid.
    #[error("{0}")]
    Request(String),
    /// A failed record without a name for Lambda.
    #[error(
        "a malformed record has no readable sequence number, nor has one before it: the batch is retried as a whole"
    )]
    NothingToName,
}

impl FunctionError {
    /// Returns `true` if nothing can be applied until a person fixes the deployment.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Misconfigured(_) | Self::Configuration(_) | Self::Auth(_) | Self::Table(TableError::Refused(_))
        )
    }

    /// Returns `true` if the index that this process has written to is gone, or its aliases moved.
    #[must_use]
    pub fn is_index_gone(&self) -> bool {
        matches!(self, Self::Configuration(ConfigurationError::IndexGone { .. }))
    }

    /// Returns the error type that Lambda shows.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Misconfigured(_) | Self::Configuration(_) | Self::Auth(_) | Self::Table(TableError::Refused(_)) => {
                "Configuration"
            }
            Self::Unavailable(_) | Self::OutOfTime | Self::Queue(_) | Self::Bucket(_) | Self::Table(_) => "Unavailable",
            Self::Request(_) => "Request",
            Self::NothingToName => "MalformedRecord",
        }
    }
}

/// A problem that ends the invocation: one of the deployment, or one that may pass.
impl From<Problem> for FunctionError {
    fn from(problem: Problem) -> Self {
        problem.unless_configuration().map_or_else(Self::from, Self::Unavailable)
    }
}

impl From<EnsureError> for FunctionError {
    fn from(error: EnsureError) -> Self {
        match error {
            EnsureError::Configuration(error) => error.into(),
            EnsureError::Problem(problem) => Self::Unavailable(problem),
        }
    }
}

impl fmt::Debug for FunctionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl From<RepairError> for FunctionError {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Configuration(error) => Self::Configuration(error),
            RepairError::Table(error) => Self::Table(error),
        }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
