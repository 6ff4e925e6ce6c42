//! Interface to the dead-letter queue.
//!
//! Contract of every queue: a message is stored once `send` returns success. A received message is hidden for the
//! visibility timeout, and comes back unless it is deleted. Receiving never removes a message. Order and exactly-once
//! delivery are not promised.

#[cfg(any(test, feature = "testing"))]
pub mod memory;
#[cfg(feature = "sqs")]
pub mod sqs;

use std::future::Future;

use tokio::time::Instant;

use crate::dead_letter::message::Message;
use crate::time::Timestamp;

/// Error of a queue, by the operator's remedy. Never holds a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// A permanent refusal of this message: it is too large for the queue, or holds characters that no queue takes.
    #[error("the dead-letter queue refused the message with {0}: check MaximumMessageSize, which must allow 1 MiB")]
    Message(String),
    /// A refusal of every such call, until somebody fixes the queue, its key or the role.
    #[error(
        "the dead-letter queue refused with {0}: check DEAD_LETTER_QUEUE_URL, and the role's permission on the queue"
    )]
    Refused(String),
    /// No answer: the call may succeed later.
    #[error("the dead-letter queue {0}")]
    Unreachable(String),
}

impl QueueError {
    /// Returns `true` if the same call may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Message(_) => false,
            Self::Refused(_) | Self::Unreachable(_) => true,
        }
    }
}

/// A message with the receipt of this delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Id of the message, for as long as it exists.
    pub id: String,
    /// Receipt of this delivery, for deleting or releasing the message.
    pub receipt: String,
    /// Body of the message.
    pub body: String,
    /// Time at which it was sent.
    pub sent_at: Option<Timestamp>,
}

/// A queue of dead letters.
pub trait Queue: Send + Sync {
    /// Stores a message durably.
    fn send(&self, message: &Message, deadline: Instant) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Receives up to ten messages; none if the queue is empty or all are hidden.
    fn receive(&self, deadline: Instant) -> impl Future<Output = Result<Vec<Received>, QueueError>> + Send;

    /// Removes a message for good.
    fn delete(&self, message: &Received, deadline: Instant) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Makes a message visible immediately, for the next receiver.
    fn release(&self, message: &Received, deadline: Instant) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Returns the approximate number of visible messages.
    fn waiting(&self, deadline: Instant) -> impl Future<Output = Result<u64, QueueError>> + Send;
}
