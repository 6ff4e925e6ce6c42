//! What becomes of a change, and what the engine's problems mean for it. Pure; decided by status, never by text.

use std::sync::Arc;

/// How one change ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The document now is what this change made it.
    Applied,
    /// This very change had been applied before.
    Duplicate,
    /// A newer change had been applied before.
    Stale,
    /// Stale by version, and yet newer by event time than the change that stands in the index, by more than two seconds:
    /// one of the two orders is wrong. It becomes a dead letter, for only the item itself can tell which.
    OrderAnomaly,
    /// A newer change of the same batch made it needless.
    Superseded,
    /// It can never be applied.
    Rejected(Problem),
    /// It may be applied later; nothing is known to be wrong with it.
    Failed(Problem),
}

/// What the engine, or the way to it, said. The texts may hold item content: they do not belong in logs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// No answer: refused, cut, or out of time.
    #[error("OpenSearch cannot be reached: {0}")]
    Unreachable(Arc<str>),
    /// An answer that is not what the API promises.
    #[error("OpenSearch gave an answer that is not understood: {0}")]
    Protocol(Arc<str>),
    /// The whole request was refused.
    #[error("OpenSearch refused the request with {}", .0.status)]
    Request(Refusal),
    /// One item of a request was refused.
    #[error("OpenSearch refused the document with {}", .0.status)]
    Item(Refusal),
    /// Other writers were faster, time after time.
    #[error("the document changed under {0} writes in a row")]
    Contended(u32),
}

/// A refusal as the engine words it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// HTTP status, of the request or of the item.
    pub status: u16,
    /// The engine's error type, such as `mapper_parsing_exception`.
    pub kind: Arc<str>,
    /// The engine's words; may quote the item.
    pub reason: Arc<str>,
}

/// What to do about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It may pass: try again.
    Retry,
    /// This change can never be applied.
    Reject,
    /// No change can be applied until a person mends the deployment.
    Configuration,
}

impl Problem {
    /// The error policy.
    #[must_use]
    pub fn treatment(&self) -> Treatment {
        match self {
            Self::Unreachable(_) | Self::Protocol(_) | Self::Contended(_) => Treatment::Retry,
            Self::Request(refusal) => match refusal.status {
                429 | 500.. => Treatment::Retry,
                _ => Treatment::Configuration,
            },
            Self::Item(refusal) => match refusal.status {
                // 403 is a write block: a matter of the index, lifted sooner or later.
                403 | 409 | 429 | 500.. => Treatment::Retry,
                401 | 404 => Treatment::Configuration,
                400..500 => Treatment::Reject,
                // No failure has such a status: nothing can be concluded from it.
                ..400 => Treatment::Retry,
            },
        }
    }

    /// A short name without content, for logs and metrics.
    #[must_use]
    pub fn class(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Protocol(_) => "protocol",
            Self::Contended(_) => "contended",
            Self::Request(refusal) | Self::Item(refusal) => &refusal.kind,
        }
    }

    /// The HTTP status, where there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Request(refusal) | Self::Item(refusal) => Some(refusal.status),
            _ => None,
        }
    }
}

/// The deployment is wrong: the invocation fails loudly, and nothing is treated as if it were bad data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// The stream does not carry what a document is made from.
    #[error(
        "the stream's view type is {view}, which carries no new image: give the table a stream with \
         StreamViewType NEW_IMAGE or NEW_AND_OLD_IMAGES, and point the event source mapping at its new ARN"
    )]
    NoNewImage {
        /// The view type that the records name.
        view: String,
    },
    /// The function is behind another kind of trigger.
    #[error("eventSource is `{found}`: this function takes the events of DynamoDB Streams (aws:dynamodb)")]
    EventSource {
        /// The event source that the records name.
        found: String,
    },
    /// The variable names an attribute that is no key.
    #[error(
        "PARTITION_KEY is `{name}`, but the table's records have no such key: set it to the table's partition key, or remove it"
    )]
    PartitionKey {
        /// The variable's value.
        name: String,
    },
    /// The index is not one that driftless made.
    #[error("INDEX `{index}`: {problem}")]
    Index {
        /// The variable's value.
        index: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The index that this process has written to is gone.
    #[error("{problem}: the index of INDEX is gone: restore it, or let a cold start create it anew and backfill")]
    IndexGone {
        /// Status and error type.
        problem: String,
    },
    /// The engine refuses everything.
    #[error("{problem}")]
    Engine {
        /// Status and error type, with the variable to look at.
        problem: String,
    },
}

impl ConfigurationError {
    /// Words a problem that concerns every change, with the variable to look at.
    #[must_use]
    pub fn from_problem(problem: &Problem) -> Self {
        let remedy = match problem.status() {
            Some(401 | 403) => "check OPENSEARCH_AUTH, the role's permission and the domain's access policy",
            Some(404) => return Self::IndexGone { problem: format!("{problem} ({})", problem.class()) },
            _ => "check that OPENSEARCH_ENDPOINT is an OpenSearch or Elasticsearch endpoint",
        };
        Self::Engine { problem: format!("{problem} ({}): {remedy}", problem.class()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_decided_by_status() {
        use Treatment::{Configuration, Reject, Retry};
        let refusal = |status| Refusal { status, kind: "any".into(), reason: "".into() };
        for (status, item, request) in [
            (200, Retry, Configuration),
            (302, Retry, Configuration),
            (400, Reject, Configuration),
            (401, Configuration, Configuration),
            (403, Retry, Configuration),
            (404, Configuration, Configuration),
            (409, Retry, Configuration),
            (413, Reject, Configuration),
            (418, Reject, Configuration),
            (429, Retry, Retry),
            (500, Retry, Retry),
            (503, Retry, Retry),
            (599, Retry, Retry),
        ] {
            assert_eq!(Problem::Item(refusal(status)).treatment(), item, "item {status}");
            assert_eq!(Problem::Request(refusal(status)).treatment(), request, "request {status}");
        }
        for problem in [Problem::Unreachable("".into()), Problem::Protocol("".into()), Problem::Contended(1)] {
            assert_eq!(problem.treatment(), Retry);
        }
    }
}
