//! One run: its request, its times, the suspects, and the report so far.
//!
//! The time between two looks is the request's, or twice the lag that documents show if that is longer. A document that
//! was written lately tells by how much its write came after its change.

use std::time::Duration;

use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice};
use driftless::table::Key;
use driftless::target::StoredDocument;
use driftless::time::Timestamp;
use tokio::time::Instant;

use crate::report::VerifyReport;
use crate::request::VerifyRequest;
use crate::suspects::{Look, Suspect, Suspects};

/// Age up to which a document's write shows the present lag.
const RECENT_MS: u64 = 5 * 60 * 1_000;
/// Share of the invocation's time that two looks may be apart because of the lag.
const LAG_SHARE: u32 = 8;

/// A run in progress.
pub(crate) struct VerifyRun<'r> {
    pub(crate) request: &'r VerifyRequest,
    pub(crate) report: VerifyReport,
    pub(crate) suspects: Suspects,
    /// Deadline for what is under way.
    pub(crate) deadline: Instant,
    begun: Instant,
    /// Time after which no page is begun, whatever the settling time.
    slice_stop: Instant,
    /// Time between two looks. It only grows, so that suspects stay in the order of their next looks.
    settle: Duration,
    /// Limit for a settling time from the measured lag.
    longest_settle: Duration,
}

impl<'r> VerifyRun<'r> {
    /// Begins a run.
    ///
    /// # Errors
    /// Fails if the request's settling time leaves no time for a page.
    pub(crate) fn new(request: &'r VerifyRequest, slice: Slice) -> Result<Self, FunctionError> {
        let begun = Instant::now();
        let run = Self {
            request,
            report: VerifyReport { cursor: request.cursor.clone(), ..VerifyReport::default() },
            suspects: Suspects::default(),
            deadline: slice.deadline,
            begun,
            slice_stop: slice.stop,
            settle: request.settle(),
            longest_settle: slice.deadline.saturating_duration_since(begun) / LAG_SHARE,
        };
        if run.stop() <= begun {
            return Err(FunctionError::Request(
                "settle_ms is too long for the function's timeout, which must be more than twice as long".to_owned(),
            ));
        }
        Ok(run)
    }

    /// Returns the time after which no page is begun. What is found last is looked at twice more.
    pub(crate) fn stop(&self) -> Instant {
        let stop = self.deadline.checked_sub(self.settle.saturating_mul(2)).unwrap_or(self.begun);
        stop.min(self.slice_stop)
    }

    /// Returns `true` if another page may be begun.
    pub(crate) fn may_begin(&self) -> bool {
        Instant::now() < self.stop()
    }

    /// Returns the time of the next look at what differs now.
    pub(crate) fn next_look(&self) -> Instant {
        Instant::now() + self.settle
    }

    /// Adds a document that differs for the first time.
    pub(crate) fn suspect(&mut self, id: DocumentId, key: Option<Key>, look: Look) {
        let due = self.next_look();
        self.suspects.push(Suspect { id, key, look, looks: 1, due });
    }

    /// Measures the lag by documents that changes of a stream wrote lately.
    pub(crate) fn note_lag<'d>(&mut self, stored: impl IntoIterator<Item = &'d StoredDocument>, now: Timestamp) {
        for StoredDocument { state, .. } in stored {
            let (Some(event_time), Some(written_at), None) = (state.event_time, state.written_at, state.read_at) else {
                continue;
            };
            let lag = Duration::from_millis(written_at.millis_since(event_time));
            // A longer one is that of a redriven dead letter.
            if now.millis_since(written_at) <= RECENT_MS && lag <= self.longest_settle {
                self.report.lag_ms = self.report.lag_ms.max(written_at.millis_since(event_time));
                self.settle = self.settle.max((lag * 2).min(self.longest_settle));
            }
        }
    }
}
