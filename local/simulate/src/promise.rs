//! Promises that a run holds, as what breaks them.

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Table and index differ in the end.
    #[error("the index is not what the table is: {0}")]
    Differs(String),
    /// A change was reported as done, or its letter deleted, and is neither in the index nor in the queue.
    #[error("lost without a report: {0}")]
    Lost(String),
    /// A letter names a change that was no one's to reject.
    #[error("a letter without need: {0}")]
    NeedlessLetter(String),
    /// The stream does not drain, or letters stay.
    #[error("blocked: {0}")]
    Blocked(String),
    /// Something panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}
