//! One run: its request, its times, the suspects, and the report so far.
//!
//! The time between two looks is the request's, or twice the lag that documents show if that is longer. A document that
//! was written lately tells by how much its write came after its change. If that is more than two looks can be apart,
//! the stream is behind. Then nothing that differs is named, because the change that ends it may still be pending.

use std::time::Duration;

use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice};
use driftless::table::Key;
use driftless::target::StoredState;
use driftless::time::Timestamp;
use tokio::time::Instant;

use crate::report::VerifyReport;
use crate::request::VerifyRequest;
use crate::suspects::{Look, Suspect, Suspects};

/// Age up to which a document's write shows that there are changes, and the time that they take.
const RECENT_MS: u64 = 5 * 60 * 1_000;
/// Age up to which a document's write shows that the stream is behind now. A redrive looks like that for this time.
const PRESENT_MS: u64 = 30 * 1_000;
/// Lag from which on a document shows a redriven dead letter: no stream keeps a record longer.
const RETENTION_MS: u64 = 24 * 60 * 60 * 1_000;
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
    /// Longest time that a page or a further look took.
    slowest_step: Duration,
    /// True once a document shows a longer lag than two looks are apart.
    is_behind: bool,
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
            report: VerifyReport { cursor: request.items.cursor.clone(), ..VerifyReport::default() },
            suspects: Suspects::default(),
            deadline: slice.deadline,
            begun,
            slice_stop: slice.stop,
            settle: request.settle(),
            longest_settle: slice.deadline.saturating_duration_since(begun) / LAG_SHARE,
            slowest_step: Duration::ZERO,
            is_behind: false,
        };
        if run.stop() <= begun {
            return Err(FunctionError::Request(
                "settle_ms is too long for the function's timeout, which must be more than twice as long".to_owned(),
            ));
        }
        Ok(run)
    }

    /// Returns the time after which no page is begun. What the page shows is looked at once more at least, and would
    /// else stay undecided. So a slow side ends the slice earlier.
    pub(crate) fn stop(&self) -> Instant {
        let step = self.settle.saturating_add(self.slowest_step);
        let stop = self.deadline.checked_sub(step.saturating_mul(2)).unwrap_or(self.begun);
        stop.min(self.slice_stop)
    }

    /// Notes the time of a page, or of a further look.
    pub(crate) fn note_step(&mut self, begun: Instant) {
        self.slowest_step = self.slowest_step.max(begun.elapsed());
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

    /// Notes the longest lags of some documents.
    pub(crate) fn note_lag(&mut self, lag: Option<Lag>) {
        let Some(lag) = lag else { return };
        self.report.lag_ms = self.report.lag_ms.max(lag.recent_ms);
        if Duration::from_millis(lag.present_ms) > self.longest_settle.max(self.settle) {
            self.is_behind = true;
        } else {
            self.settle = self.settle.max((Duration::from_millis(lag.recent_ms) * 2).min(self.longest_settle));
        }
    }

    /// Returns `true` if what differs may only be pending in the stream.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Returns `true` if something differs, or did.
    pub(crate) fn has_found(&self) -> bool {
        self.report.counts.differences() > 0 || !self.suspects.is_empty()
    }

    /// Counts documents that differ and are not decided.
    pub(crate) fn leave_undecided(&mut self, documents: u64) {
        self.report.counts.in_motion += documents;
        if self.is_behind {
            self.report.counts.pending += documents;
        }
    }

    /// Ends the run, and draws the conclusions from its counts.
    pub(crate) fn conclude(mut self) -> VerifyReport {
        self.leave_undecided(self.suspects.len() as u64);
        // They were named before the lag showed. What was repaired was a difference.
        if self.is_behind && !self.request.repair {
            self.report.take_back();
        }
        self.report.conclude(self.request.sample);
        self.report
    }
}

/// Longest times in milliseconds from a change to its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    /// Time of documents that were written in the last minutes.
    pub(crate) recent_ms: u64,
    /// Time of documents that were written in the last seconds; 0 if there are none.
    pub(crate) present_ms: u64,
}

impl Lag {
    /// Returns the longer lags of two.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { recent_ms: self.recent_ms.max(other.recent_ms), present_ms: self.present_ms.max(other.present_ms) }
    }
}

/// Returns the longest lags of documents that changes of a stream wrote lately.
pub(crate) fn longest_lag<'d>(states: impl IntoIterator<Item = &'d StoredState>, now: Timestamp) -> Option<Lag> {
    let lag = |state: &StoredState| {
        let (Some(event_time), Some(written_at), None) = (state.event_time, state.written_at, state.read_at) else {
            return None;
        };
        let (age, lag_ms) = (now.millis_since(written_at), written_at.millis_since(event_time));
        let is_present = age <= PRESENT_MS;
        let lag = Lag { recent_ms: lag_ms, present_ms: if is_present { lag_ms } else { 0 } };
        (age <= RECENT_MS && lag_ms <= RETENTION_MS).then_some(lag)
    };
    states.into_iter().filter_map(lag).reduce(Lag::max)
}

#[cfg(test)]
mod tests {
    use driftless::target::Position;

    use super::*;

    #[test]
    fn a_stream_that_has_caught_up_is_not_behind() {
        let at = |second: u64| Timestamp::from_millis(second * 1_000);
        let state = |changed: u64, written: u64| StoredState {
            version: None,
            event_time: Some(at(changed)),
            written_at: Some(at(written)),
            read_at: None,
            expired_at: None,
            key: None,
            deleted: false,
            position: Position { seq_no: 1, primary_term: 1 },
        };
        let lag = |now: u64| longest_lag(&[state(1_000, 1_060), state(1_059, 1_061)], at(now));
        assert_eq!(lag(1_062), Some(Lag { recent_ms: 60_000, present_ms: 60_000 }));
        assert_eq!(lag(1_095), Some(Lag { recent_ms: 60_000, present_ms: 0 }), "nothing was written for half a minute");
        assert_eq!(lag(1_091), Some(Lag { recent_ms: 60_000, present_ms: 2_000 }), "the latest write came in time");
        assert_eq!(lag(2_000), None);
    }
}
