//! Why an invocation fails as a whole, in words for the person who runs the function.

use std::fmt;

use lambda_runtime::Diagnostic;

use crate::environment::Misconfigured;
use crate::opensearch::AuthError;
use crate::outcome::{ConfigurationError, Problem};
use crate::queue::QueueError;

/// Why an invocation fails as a whole. Its `Debug` is its `Display`: the runtime logs it, and what the sources say may
/// quote an item.
#[derive(thiserror::Error)]
pub enum FunctionError {
    /// Environment variables are missing or wrong.
    #[error(transparent)]
    Misconfigured(Misconfigured),
    /// The deployment is wrong.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// There are no credentials for the engine.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The engine was not reached before the index was seen.
    #[error("{0}; if this lasts, check OPENSEARCH_ENDPOINT, the function's VPC and the engine's security group")]
    Unavailable(Problem),
    /// Something that the invocation waited for broke its deadline.
    #[error("the invocation's time was over before everything was done; the batch is retried")]
    OutOfTime,
    /// The dead-letter queue cannot be read.
    #[error("{0}")]
    Queue(#[from] QueueError),
    /// A request that is not understood.
    #[error("{0}")]
    Request(String),
    /// A failed record cannot be named.
    #[error(
        "a malformed record has no readable dynamodb.SequenceNumber, nor has one before it: the batch is retried as a whole"
    )]
    NothingToName,
}

impl FunctionError {
    /// Whether a person has to mend something before any change can be applied.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Misconfigured(_) | Self::Configuration(_) | Self::Auth(_))
    }

    /// Whether the index that this process has written to is gone, or its aliases moved.
    #[must_use]
    pub fn is_index_gone(&self) -> bool {
        matches!(self, Self::Configuration(ConfigurationError::IndexGone { .. }))
    }

    /// The error type that Lambda shows.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Misconfigured(_) | Self::Configuration(_) | Self::Auth(_) => "Configuration",
            Self::Unavailable(_) | Self::OutOfTime | Self::Queue(_) => "Unavailable",
            Self::Request(_) => "Request",
            Self::NothingToName => "MalformedRecord",
        }
    }
}

impl fmt::Debug for FunctionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
