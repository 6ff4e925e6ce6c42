//! Contents of the page: one JSON object, which the page asks for every half second.
//!
//! Counts, times, classes and names of fields. The content of an item is in none of them.

use driftless_harness::mapping::MappingStats;
use driftless_harness::outcomes::FunctionCounts;
use driftless_harness::slices::verify::VerifySummary;
use serde::Serialize;

use crate::clock::epoch_seconds;
use crate::journal::JournalEntry;
use crate::trouble::Trouble;

/// Everything that the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct PageView {
    /// Command that serves the page.
    pub command: String,
    /// Name of the table.
    pub table: String,
    /// The index's public name.
    pub index: String,
    /// The server's clock, in seconds since 1970.
    pub now: f64,
    /// Time since the page was opened, in seconds.
    pub seconds: f64,
    /// State of the run, in words.
    pub phase: String,
    /// Writes of the load, if there is one.
    pub written: Option<u64>,
    /// Lag of the changes that are done.
    pub lag: LagView,
    /// Changes that were read and are not done.
    pub waiting: WaitingView,
    /// Records by how they ended, as the function counts them.
    pub outcomes: FunctionCounts,
    /// Work of the event source mapping.
    pub mapping: MappingView,
    /// Number of items and of documents.
    pub sides: SidesView,
    /// Last proof by verify.
    pub proof: Option<ProofView>,
    /// Dead letters that wait, if there is a queue.
    pub letters: Option<LettersView>,
    /// Buttons of the page.
    pub troubles: Vec<TroubleView>,
    /// Lines of the journal, the oldest first.
    pub journal: Vec<JournalEntry>,
    /// Verdict at the end of the run.
    pub verdict: Option<VerdictView>,
}

/// Lag of changes, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LagView {
    /// Median of all changes so far.
    pub p50_ms: Option<f64>,
    /// The 99th percentile of all changes so far.
    pub p99_ms: Option<f64>,
    /// Longest lag of all changes so far.
    pub max_ms: Option<f64>,
    /// True if the clock of the changes has whole seconds.
    pub whole_seconds: bool,
    /// Seconds that the curve covers.
    pub window: u64,
    /// Second since 1970, with median and 99th percentile of the changes that were written in it.
    pub points: Vec<(u64, f64, f64)>,
}

/// Changes that wait, and the age of the oldest in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WaitingView {
    /// Number of the changes that wait.
    pub changes: usize,
    /// Age of the oldest one, to the second.
    pub oldest: u64,
}

/// Counts of the event source mapping.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct MappingView {
    /// Records whose delivery succeeded, each counted once.
    pub delivered: u64,
    /// Invocations, failed ones included.
    pub invocations: u64,
    /// Deliveries again after a failure.
    pub retries: u64,
    /// Processes that were killed on purpose.
    pub killed: u64,
    /// Batches that were delivered again on purpose.
    pub again: u64,
    /// Number of on-failure messages.
    pub given_up: u64,
    /// Records that were lost, for want of a queue or because they were trimmed.
    pub lost: u64,
}

/// Number of items and of documents; none where the side does not answer.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SidesView {
    /// Items of the table.
    pub items: Option<u64>,
    /// True if DynamoDB estimates them, as it does every six hours.
    pub estimated: bool,
    /// Documents that searches see.
    pub documents: Option<u64>,
}

/// Result of a verify.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProofView {
    /// End of the verify, in seconds since 1970.
    pub at: f64,
    /// True if both sides are proven equal; none if something was undecided.
    pub equal: Option<bool>,
    /// Items that were compared.
    pub items: u64,
    /// Documents that were compared.
    pub documents: u64,
    /// Items and documents that are not the same in the other.
    pub differences: u64,
    /// Items that kept changing, and are undecided.
    pub in_motion: u64,
}

/// Dead letters in the queue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LettersView {
    /// Number of messages that can be received.
    pub waiting: u64,
    /// Counts by class, status and field.
    pub causes: Vec<String>,
}

/// Button of the page, and its state.
#[derive(Clone, Debug, Serialize)]
pub struct TroubleView {
    /// Trouble that the button injects.
    pub name: Trouble,
    /// Text of the button.
    pub label: &'static str,
    /// Sentences below the button.
    pub explanation: &'static str,
    /// True while the trouble or its proof is at work.
    pub running: bool,
    /// Reason why it cannot be ordered now.
    pub refusal: Option<String>,
}

/// Verdict at the end of a whole run.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictView {
    /// True if the run succeeded.
    pub good: bool,
    /// Verdict in a sentence for people.
    pub text: String,
}

impl From<&MappingStats> for MappingView {
    fn from(stats: &MappingStats) -> Self {
        Self {
            delivered: stats.records_delivered,
            invocations: stats.invocations,
            retries: stats.retries,
            killed: stats.faults,
            again: stats.redelivered_batches,
            given_up: stats.dead_letters,
            lost: stats.records_lost + stats.trimmed,
        }
    }
}

impl From<&VerifySummary> for ProofView {
    fn from(summary: &VerifySummary) -> Self {
        Self {
            at: epoch_seconds(),
            equal: summary.equal,
            items: summary.items,
            documents: summary.documents,
            differences: summary.differences(),
            in_motion: summary.in_motion,
        }
    }
}
