//! One run: its request, the time left, the messages held, and the report so far.

use std::collections::HashMap;
use std::time::Duration;

use driftless::dead_letter::Rejection;
use driftless::outcome::Problem;
use driftless::queue::Received;
use tokio::time::Instant;

use crate::report::RedriveReport;
use crate::request::RedriveRequest;

/// Limit for the time to release messages and answer, which is a fifth of the invocation's.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// Additional time for each held message, because several are released concurrently.
const RELEASE_TIME: Duration = Duration::from_millis(1);
/// Consecutive failures that end the run. One dead letter may be at fault itself; so many point to the engine.
const FAILURES_IN_A_ROW: u32 = 3;
/// Status of a gateway's time-out, which one slow document may have caused.
const GATEWAY_TIMEOUT: u16 = 504;

/// End of one dead letter.
pub(crate) enum End {
    /// All of its changes are done.
    Done,
    /// It stays in the queue for this reason.
    Keep(Rejection),
    /// It stays, because its changes may be applied later.
    Failed(Problem),
}

impl End {
    /// Creates a reason to keep a dead letter, other than a refusal by the engine.
    pub(crate) fn keep(class: &str, reason: impl Into<String>) -> Self {
        Self::Keep(Rejection { class: class.to_owned(), status: None, reason: reason.into() })
    }
}

/// Next step after a dead letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Go on: the message is off the queue.
    Next,
    /// Hold the message, and release it at the end of the run.
    Hold,
    /// Hold the message, and end the run now.
    HoldAndStop,
}

/// A run in progress.
pub(crate) struct RedriveRun<'q> {
    pub(crate) request: &'q RedriveRequest,
    pub(crate) report: RedriveReport,
    /// Messages that stay in the queue, by message id. They are hidden until the run ends, so that it does not receive
    /// them again.
    pub(crate) held: HashMap<String, Received>,
    /// Deadline of the answer.
    pub(crate) end: Instant,
    /// Time for closing the run without held messages.
    closing: Duration,
    /// Limit for the time for closing.
    longest_closing: Duration,
    failures: u32,
}

impl<'q> RedriveRun<'q> {
    /// Starts a run that must be over at `end`.
    pub(crate) fn new(request: &'q RedriveRequest, end: Instant) -> Self {
        let time = end.saturating_duration_since(Instant::now());
        Self {
            request,
            report: RedriveReport::new(request.dry_run),
            held: HashMap::new(),
            end,
            closing: CLOSING_TIME.min(time / 5),
            longest_closing: time / 2,
            failures: 0,
        }
    }

    /// Returns the time after which no dead letter is begun.
    pub(crate) fn stop(&self) -> Instant {
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let closing = (self.closing + RELEASE_TIME.saturating_mul(held)).min(self.longest_closing);
        self.end.checked_sub(closing).unwrap_or(self.end)
    }

    /// Returns `true` if another dead letter may be handled. Notes it in the report if time forbids that.
    pub(crate) fn may_continue(&mut self) -> bool {
        if self.report.letters.received - self.report.letters.skipped >= self.request.max {
            return false;
        }
        self.report.out_of_time = Instant::now() >= self.stop();
        !self.report.out_of_time
    }

    /// Removes messages that are held already. They come again after their visibility timeout, or by a duplicate
    /// delivery of SQS. Only the newest receipt can release a message.
    pub(crate) fn without_held(&mut self, messages: Vec<Received>) -> Vec<Received> {
        let is_new = |message: &Received| match self.held.get_mut(&message.id) {
            Some(held) => {
                held.receipt.clone_from(&message.receipt);
                false
            }
            None => true,
        };
        messages.into_iter().filter(is_new).collect()
    }

    /// Holds a message until the run ends. Drops its body, which may have a megabyte and is not needed to release it.
    pub(crate) fn hold(&mut self, message: Received) {
        self.held.insert(message.id.clone(), Received { body: String::new(), ..message });
    }

    /// Notes a dead letter that the filter passes over.
    pub(crate) fn note_skipped(&mut self) -> Then {
        let letters = &mut self.report.letters;
        (letters.received, letters.skipped) = (letters.received + 1, letters.skipped + 1);
        Then::Hold
    }

    /// Notes the end of a dead letter, and deletes it if it is done.
    pub(crate) async fn conclude(&mut self, id: &str, end: End, delete: impl Future<Output = Result<(), End>>) -> Then {
        if !matches!(end, End::Done) {
            return self.note_kept(id, end);
        }
        if !self.request.dry_run
            && let Err(end) = delete.await
        {
            // Its changes are applied. The next redrive finds that out, and deletes it.
            return self.note_kept(id, end);
        }
        self.note_done()
    }

    /// Notes the reason why a dead letter stays, and returns the next step.
    pub(crate) fn note_kept(&mut self, message_id: &str, end: End) -> Then {
        match end {
            End::Done => Then::Next,
            End::Keep(why) => {
                self.failures = 0;
                self.report.note_kept(message_id, why);
                Then::Hold
            }
            End::Failed(problem) => {
                self.failures += 1;
                self.report.note_kept(message_id, Rejection::from_problem(&problem));
                if self.failures >= FAILURES_IN_A_ROW || is_the_engines(&problem) {
                    Then::HoldAndStop
                } else {
                    Then::Hold
                }
            }
        }
    }

    /// Notes a dead letter that is done.
    fn note_done(&mut self) -> Then {
        self.failures = 0;
        let letters = &mut self.report.letters;
        *(if self.request.discard { &mut letters.discarded } else { &mut letters.redriven }) += 1;
        if self.request.dry_run { Then::Hold } else { Then::Next }
    }
}

/// Returns `true` if the engine refused a whole request: a problem of every dead letter, not of this one.
fn is_the_engines(problem: &Problem) -> bool {
    matches!(problem, Problem::Request(refusal) if refusal.status != GATEWAY_TIMEOUT)
}
