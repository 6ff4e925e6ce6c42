//! Why an invocation fails as a whole, in words for the person who runs the function.

use std::fmt;

use driftless::environment::Misconfigured;
use driftless::opensearch::AuthError;
use driftless::outcome::{ConfigurationError, Problem};
use lambda_runtime::Diagnostic;

/// Why an invocation fails as a whole. Its `Debug` is its `Display`: the runtime logs it, and what the sources say may
/// quote an item.
#[derive(thiserror::Error)]
pub enum HandlerError {
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
    /// The target broke its deadline.
    #[error("the engine did not answer in time; the batch is retried")]
    OutOfTime,
    /// A failed record cannot be named.
    #[error(
        "a malformed record has no readable dynamodb.SequenceNumber, nor has one before it: the batch is retried as a whole"
    )]
    NothingToName,
}

impl HandlerError {
    /// The error type that Lambda shows.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Misconfigured(_) | Self::Configuration(_) | Self::Auth(_) => "Configuration",
            Self::Unavailable(_) | Self::OutOfTime => "Unavailable",
            Self::NothingToName => "MalformedRecord",
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
