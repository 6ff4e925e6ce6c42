//! Outcomes of changes, OpenSearch's problems, and the error policy. Pure; decides by status, never by text.

mod counts;

use std::sync::Arc;
use std::time::Duration;

pub use counts::OutcomeCounts;

use crate::replication::ShapeError;

/// Class of changes whose document is that of another item.
pub const OTHER_ITEM_CLASS: &str = "other_item";
/// Class of items that have no document under the rules of `REPLICATION`.
pub const SHAPE_CLASS: &str = "replication_rules";

/// Outcome of one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The document is now as this change made it.
    Applied,
    /// The same change was applied before.
    Duplicate,
    /// A newer change was applied before.
    Stale,
    /// Stale by version, but newer than the stored change by more than two seconds of event time. One of the two orders
    /// is wrong, and only the item can tell which. So it becomes a dead letter.
    OrderAnomaly,
    /// Neither version of two changes of one document tells which happened first. The item decides: see
    /// [`Writer::decide`](crate::writer::Writer::decide).
    Unordered,
    /// A newer change of the same batch replaced it, or the stored content was read from the table after it.
    Superseded,
    /// The change can never be applied.
    Rejected(Problem),
    /// The change may be applied later; it is not known to be at fault.
    Failed(Problem),
}

/// Problem that OpenSearch, or the connection to it, reported. Texts may quote items: they do not belong in logs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// No answer: the connection was refused or broken.
    #[error("OpenSearch cannot be reached: {0}")]
    Unreachable(Arc<str>),
    /// No answer within this time. The request may have been carried out.
    #[error("OpenSearch did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// An answer that breaks the API's contract.
    #[error("OpenSearch gave an answer that is not understood: {0}")]
    Protocol(Arc<str>),
    /// A refusal of the whole request.
    #[error("OpenSearch refused the request with {}", .0.status)]
    Request(Refusal),
    /// A refusal of one item of a request.
    #[error("OpenSearch refused the document with {}", .0.status)]
    Item(Refusal),
    /// The engine accepted the document and dropped it, as an ingest pipeline's `drop` processor does.
    #[error("an ingest pipeline dropped the document")]
    Dropped,
    /// The document failed repeatedly, alone and with more time, while other documents were accepted.
    #[error("the document failed {failures} times alone, while OpenSearch took others: {last}")]
    Suspect {
        /// Number of failures in requests of its own.
        failures: u32,
        /// Problem of the last failure.
        last: Box<Problem>,
    },
    /// A refusal by one of the two indexes of a re-index. The other one has ended the change.
    #[error("the index {index} alone refused the document: {problem}")]
    OneIndex {
        /// Name of the physical index.
        index: Arc<str>,
        /// Problem of that index.
        problem: Box<Problem>,
    },
    /// The item has no document under the rules of `REPLICATION`. Quotes no value.
    #[error("REPLICATION gives the item no document: {0}")]
    Shape(Arc<ShapeError>),
    /// The document is that of another item, whose key gives the same id. Quotes no value.
    #[error(
        "the document of this id is that of another item: `id.leave_out` of REPLICATION gives both keys one id; remove one \
         of the items, or give their ids what tells them apart"
    )]
    OtherItem,
    /// The engine answered a probe otherwise than every write relies on. Quotes no item, because a probe has none.
    #[error("{0}")]
    Probe(Arc<str>),
    /// Other writers changed the document first, this many times in a row.
    #[error("the document changed under {0} writes in a row")]
    Contended(u32),
    /// Two changes have no order, and the item that decides could not be read.
    #[error("two changes of the item happened at the same time, and the item could not be read: {0}")]
    Unordered(Arc<str>),
}

/// A refusal in the engine's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// HTTP status of the request or of the item.
    pub status: u16,
    /// The engine's error type, such as `mapper_parsing_exception`.
    pub kind: Arc<str>,
    /// The engine's reason; may quote the item.
    pub reason: Arc<str>,
}

/// Treatment of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Retry: the problem may pass.
    Retry,
    /// Reject: this change can never be applied.
    Reject,
    /// Fail the invocation: no change can be applied until a person fixes the deployment.
    Configuration,
}

impl Problem {
    /// Decides the treatment: the whole error policy.
    #[must_use]
    pub fn treatment(&self) -> Treatment {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Protocol(_) | Self::Contended(_) | Self::Unordered(_) => {
                Treatment::Retry
            }
            Self::Dropped | Self::Suspect { .. } | Self::OneIndex { .. } | Self::Shape(_) | Self::OtherItem => {
                Treatment::Reject
            }
            Self::Probe(_) => Treatment::Configuration,
            Self::Request(refusal) => match refusal.status {
                429 | 500.. => Treatment::Retry,
                _ => Treatment::Configuration,
            },
            Self::Item(refusal) => match refusal.status {
                403 if refusal.is_permission() => Treatment::Configuration,
                // 403 without a permission error is a write block of the index, which is lifted sooner or later.
                403 | 409 | 429 | 500.. => Treatment::Retry,
                401 | 404 => Treatment::Configuration,
                400..500 => Treatment::Reject,
                // No failure has such a status, so nothing can be concluded from it.
                ..400 => Treatment::Retry,
            },
        }
    }

    /// Returns the problem itself, for its finder to handle.
    ///
    /// # Errors
    /// Fails if the problem concerns every change.
    pub fn unless_configuration(self) -> Result<Self, ConfigurationError> {
        match self.treatment() {
            Treatment::Configuration => Err(ConfigurationError::from_problem(&self)),
            Treatment::Retry | Treatment::Reject => Ok(self),
        }
    }

    /// Returns a short name without content, for logs and metrics.
    #[must_use]
    pub fn class(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut(_) => "timed_out",
            Self::Dropped => "dropped",
            Self::Suspect { last, .. } => last.class(),
            Self::OneIndex { problem, .. } => problem.class(),
            Self::Probe(_) => "probe",
            Self::Shape(_) => SHAPE_CLASS,
            Self::OtherItem => OTHER_ITEM_CLASS,
            Self::Protocol(_) => "protocol",
            Self::Contended(_) => "contended",
            Self::Unordered(_) => "unordered",
            Self::Request(refusal) | Self::Item(refusal) => &refusal.kind,
        }
    }

    /// Returns the HTTP status, if there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Request(refusal) | Self::Item(refusal) => Some(refusal.status),
            Self::Suspect { last, .. } => last.status(),
            Self::OneIndex { problem, .. } => problem.status(),
            _ => None,
        }
    }

    /// Returns `true` if the one document that was sent may be the cause: a time-out, or an error of the server's own.
    /// The gateway statuses 502, 503 and 504 say that the engine is away, and do not count.
    #[must_use]
    pub fn may_lie_in_the_document(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Request(refusal) | Self::Item(refusal) => {
                matches!(refusal.status, 500.. if !(502..=504).contains(&refusal.status))
            }
            _ => false,
        }
    }
}

impl Refusal {
    /// Returns `true` if access control refused, and not a block of the index.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        &*self.kind == "security_exception"
    }
}

/// A wrong deployment. The invocation fails loudly, and no record is treated as bad data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A stream without the image that documents are made from.
    #[error(
        "the stream's view type is {view}, which carries no new image: give the table a stream with \
         StreamViewType NEW_IMAGE or NEW_AND_OLD_IMAGES, and point the event source mapping at its new ARN"
    )]
    NoNewImage {
        /// View type that the records name.
        view: String,
    },
    /// A stream that does not say what an expired item held.
    #[error(
        "the stream's view type is {view}, which carries no old image, and `expiry` keeps documents of expired items: give \
         the table a stream with StreamViewType NEW_AND_OLD_IMAGES, and point the event source mapping at its new ARN; \
         or set `then` of `expiry` to \"delete\""
    )]
    NoOldImage {
        /// View type that the records name.
        view: String,
    },
    /// A function behind another kind of trigger.
    #[error("eventSource is `{found}`: this function takes the events of {expected}")]
    EventSource {
        /// Event source that the records name.
        found: String,
        /// Event source of the function.
        expected: &'static str,
    },
    /// A Kinesis stream that carries the changes of another table.
    #[error(
        "a record is of the table `{found}`, and TABLE_ARN is {expected}: give each table a Kinesis stream of its own, or \
         let a filter of the event source mapping pass only this one (data.tableName)"
    )]
    OtherTable {
        /// Table that the record names.
        found: String,
        /// ARN of the function's table.
        expected: String,
    },
    /// A variable that names an attribute which is no key.
    #[error(
        "PARTITION_KEY is `{name}`, but the table's records have no such key: set it to the table's partition key, or remove it"
    )]
    PartitionKey {
        /// Value of the variable.
        name: String,
    },
    /// Rules that spread documents by the partition key, for a table that has nothing else.
    #[error(
        "`routing` of REPLICATION spreads documents by the partition key, and the table has no sort key, so their ids spread \
         them as well: remove `routing`, and choose another INDEX if documents are there"
    )]
    Routing,
    /// An entity with an index of its own that no key tells.
    #[error(
        "the entity `{entity}` of REPLICATION has an index of its own, and its attribute `{attribute}` is no key of the table: \
         an item could move to another index, and its document would stay behind; tell the entity by a key attribute, or \
         remove its `index`"
    )]
    EntityIndex {
        /// Name of the entity.
        entity: String,
        /// Attribute that tells it.
        attribute: String,
    },
    /// An index that driftless did not make.
    #[error("INDEX `{index}`: {problem}")]
    Index {
        /// Value of the variable.
        index: String,
        /// The problem, and the remedy.
        problem: String,
    },
    /// The index that this process has written to is gone, or its aliases moved.
    #[error(
        "{problem}: the index of INDEX, which this process has seen, is gone: restore it, or let a cold start create it \
         anew (with CREATE_INDEX if-missing) and backfill"
    )]
    IndexGone {
        /// Status and error type.
        problem: String,
    },
    /// An index that was made from another source, or with other settings.
    #[error("INDEX `{index}` {problem}")]
    Identity {
        /// Value of the variable.
        index: String,
        /// The contradiction with its variable, and the remedy.
        problem: String,
    },
    /// A document with a generation above the function's own.
    #[error(
        "GENERATION is {own}, and the index holds documents of generation {stored}, next to which every change of ours is \
         old: set GENERATION to {stored} or more"
    )]
    GenerationLowered {
        /// Value of the variable.
        own: u32,
        /// Generation that a document carries.
        stored: u32,
    },
    /// One batch with records of two tables.
    #[error("a batch holds records of the tables {first} and {other}: an index takes the changes of one table")]
    Tables {
        /// ARN of the first record's table.
        first: String,
        /// ARN of another record's table.
        other: String,
    },
    /// An engine that refuses everything.
    #[error("{problem}")]
    Engine {
        /// Status and error type, with the variable to look at.
        problem: String,
    },
}

impl ConfigurationError {
    /// Describes a problem that concerns every change, with the variable to look at.
    #[must_use]
    pub fn from_problem(problem: &Problem) -> Self {
        let refusal = match problem {
            Problem::Probe(said) => return Self::Engine { problem: said.to_string() },
            Problem::Request(refusal) | Problem::Item(refusal) => Some(refusal),
            _ => None,
        };
        let class = problem.class();
        Self::Engine {
            problem: match refusal {
                // Access control names actions and users. So its reason tells who refused, and quotes no item; IAM's
                // does the same.
                Some(refusal) if matches!(refusal.status, 401 | 403) => {
                    let said = if refusal.reason.is_empty() { "without a reason" } else { &refusal.reason };
                    format!("{problem} ({class}: {said}): {}", refusal.remedy())
                }
                Some(Refusal { status: 404, .. }) => {
                    return Self::IndexGone { problem: format!("{problem} ({class})") };
                }
                Some(Refusal { status: 300..400, .. }) => format!(
                    "{problem}, a redirect, and redirects are not followed: set OPENSEARCH_ENDPOINT to where it leads, \
                     if that is your engine"
                ),
                _ => format!(
                    "{problem} ({class}): check that OPENSEARCH_ENDPOINT is an OpenSearch or Elasticsearch endpoint"
                ),
            },
        }
    }
}

impl Refusal {
    /// Error type for an answer with a `Message` instead of an `error`, as IAM and AWS's gateways write it.
    pub const AWS: &str = "aws";

    fn remedy(&self) -> &'static str {
        match &*self.kind {
            "security_exception" => {
                "the engine's own access control refuses: map the function's role, or the user of \
                 OPENSEARCH_SECRET_ARN, to a role with these permissions (docs/deploy.md)"
            }
            Self::AWS => {
                "IAM or the domain's access policy refuses, before the engine is asked: check OPENSEARCH_AUTH, the \
                 function's role and the access policy"
            }
            _ => "check OPENSEARCH_AUTH, the role's permission and the domain's access policy",
        }
    }
}

#[cfg(test)]
mod tests;
