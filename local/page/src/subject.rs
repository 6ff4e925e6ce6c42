//! Additions of a command to its page: counts, troubles, and the proof.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, ensure};
use driftless_harness::mapping::MappingStats;
use driftless_harness::slices::verify::VerifySummary;
use tokio::time::{Instant, sleep};

use crate::journal::PageJournal;
use crate::trouble::Trouble;

/// Time between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

/// Counts of a command, as they are now.
#[derive(Clone, Debug, Default)]
pub struct SubjectFigures {
    /// Counts of all mappings of the run.
    pub mapping: MappingStats,
    /// Writes of the load, if there is one.
    pub written: Option<u64>,
}

/// A run that a page shows.
pub trait PageSubject {
    /// Returns the counts so far.
    fn figures(&self) -> SubjectFigures;

    /// Injects a trouble, and waits until it is over as far as the command has to do with it.
    ///
    /// # Errors
    /// Where a service refuses.
    fn inject(&self, trouble: Trouble, journal: &PageJournal) -> impl Future<Output = Result<()>>;

    /// Waits until all changes before are done, and compares table and index.
    ///
    /// # Errors
    /// Where the changes are not done in time, or verify fails.
    fn prove(&self, after: Trouble, journal: &PageJournal) -> impl Future<Output = Result<VerifySummary>>;
}

/// Waits until a condition holds.
///
/// # Errors
/// Says what was waited for, if it does not hold after `limit`.
pub async fn until(what: &str, limit: Duration, condition: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !condition() {
        ensure!(begun.elapsed() < limit, "waited {} s, and {what} is still to come", limit.as_secs());
        sleep(POLL).await;
    }
    Ok(())
}
