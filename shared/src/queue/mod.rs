//! The door to the dead-letter queue.
//!
//! What every queue keeps: a message is stored when `send` says so; a received one is hidden for a while and comes back
//! unless it is deleted; nothing is ever taken off by receiving. Order and single delivery are not promised.

#[cfg(any(test, feature = "memory"))]
pub mod memory;
#[cfg(feature = "sqs")]
pub mod sqs;

use std::future::Future;

use tokio::time::Instant;

use crate::dead_letter::message::Message;
use crate::time::Timestamp;

/// Why a queue did not do what it was asked, by what an operator would do. Never holds a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue refuses this message, and would refuse it again: it is too large for the queue, or holds what no queue takes.
    #[error("the dead-letter queue refused the message with {0}: check MaximumMessageSize, which must allow 1 MiB")]
    Message(String),
    /// The queue refuses every call of this kind until somebody mends the queue, its key or the role.
    #[error(
        "the dead-letter queue refused with {0}: check DEAD_LETTER_QUEUE_URL, and the role's permission on the queue"
    )]
    Refused(String),
    /// The queue gave no answer: the call may succeed later.
    #[error("the dead-letter queue {0}")]
    Unreachable(String),
}

impl QueueError {
    /// Returns whether the same call may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Message(_) => false,
            Self::Refused(_) | Self::Unreachable(_) => true,
        }
    }
}

/// A message of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The message, as long as it lives.
    pub id: String,
    /// This receipt of it: what deletes or releases it.
    pub receipt: String,
    /// Its text.
    pub body: String,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
}

/// A queue of dead letters.
pub trait Queue: Send + Sync {
    /// Stores a message.
    fn send(&self, message: &Message, deadline: Instant) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Takes up to ten messages; none where none is there, or none that is not hidden.
    fn receive(&self, deadline: Instant) -> impl Future<Output = Result<Vec<Received>, QueueError>> + Send;

    /// Removes a message for good.
    fn delete(&self, message: &Received, deadline: Instant) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Gives a message back at once, so that the next receiver finds it.
    fn release(&self, message: &Received, deadline: Instant) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// About how many messages wait to be received.
    fn waiting(&self, deadline: Instant) -> impl Future<Output = Result<u64, QueueError>> + Send;
}
