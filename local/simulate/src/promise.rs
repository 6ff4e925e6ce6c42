//! Promises, each as the error that breaks it.

/// A promise that a schedule broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Table and index differ in the end.
    #[error("the index is not what the table is: {0}")]
    Differs(String),
    /// A change was reported as done, or its message deleted, and is neither in the index nor in the queue.
    #[error("lost without a report: {0}")]
    Lost(String),
    /// A dead letter names a change that need not be rejected.
    #[error("a needless dead letter: {0}")]
    NeedlessDeadLetter(String),
    /// The stream does not drain, or messages stay in the queue.
    #[error("blocked: {0}")]
    Blocked(String),
    /// An activity of the run panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}
