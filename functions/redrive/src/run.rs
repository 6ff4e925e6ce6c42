//! One run: what was asked, how much time is left, which letters are held, and what has come of it so far.

use std::collections::HashMap;
use std::time::Duration;

use driftless::dead_letter::Rejection;
use driftless::outcome::Problem;
use driftless::queue::Received;
use tokio::time::Instant;

use crate::report::Report;
use crate::request::Request;

/// Time kept for giving letters back and answering: a fifth of the invocation's, but no more than this.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// Time kept besides for each letter that is held: several are given back together.
const RELEASE_TIME: Duration = Duration::from_millis(1);
/// Letters in a row that may fail before the run stops: one may be at fault itself, so many show that the engine is.
const FAILURES_IN_A_ROW: u32 = 3;
/// An answer of a gateway that did not want to wait longer: may be one slow document's fault.
const GATEWAY_TIMEOUT: u16 = 504;

/// What is to happen with a letter.
pub(crate) enum End {
    /// Everything in it is done.
    Done,
    /// It stays, for this reason.
    Keep(Rejection),
    /// It stays: what it holds may be applied later.
    Failed(Problem),
}

impl End {
    /// A reason to keep a letter that is no refusal of the engine's.
    pub(crate) fn keep(class: &str, reason: impl Into<String>) -> Self {
        Self::Keep(Rejection { class: class.to_owned(), status: None, reason: reason.into() })
    }
}

/// What is to happen after a letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is off the queue.
    Next,
    /// It is given back at the end.
    Hold,
    /// The same, and the end is now.
    HoldAndStop,
}

/// A run in progress.
pub(crate) struct Run<'q> {
    pub(crate) request: &'q Request,
    pub(crate) report: Report,
    /// Letters that stay in the queue, by the queue's id: hidden until the run ends, so that they are not received again.
    pub(crate) held: HashMap<String, Received>,
    /// When the answer is due.
    pub(crate) end: Instant,
    /// The time for closing, before any letter is held.
    closing: Duration,
    /// The most that closing may take.
    longest_closing: Duration,
    failures: u32,
}

impl<'q> Run<'q> {
    /// Begins a run that must be over at `end`.
    pub(crate) fn new(request: &'q Request, end: Instant) -> Self {
        let time = end.saturating_duration_since(Instant::now());
        Self {
            request,
            report: Report { dry_run: request.dry_run, ..Report::default() },
            held: HashMap::new(),
            end,
            closing: CLOSING_TIME.min(time / 5),
            longest_closing: time / 2,
            failures: 0,
        }
    }

    /// Returns when no letter is begun any more.
    pub(crate) fn stop(&self) -> Instant {
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let closing = (self.closing + RELEASE_TIME.saturating_mul(held)).min(self.longest_closing);
        self.end.checked_sub(closing).unwrap_or(self.end)
    }

    /// Returns whether a further letter may be worked on, and notes where time forbids it.
    pub(crate) fn goes_on(&mut self) -> bool {
        if self.report.letters.received - self.report.letters.skipped >= self.request.max {
            return false;
        }
        self.report.out_of_time = Instant::now() >= self.stop();
        !self.report.out_of_time
    }

    /// Takes out what is held already and came again, because the time of being hidden was over or SQS delivered twice.
    /// Only the newest receipt gives a letter back.
    pub(crate) fn unseen(&mut self, messages: Vec<Received>) -> Vec<Received> {
        let is_unseen = |message: &Received| match self.held.get_mut(&message.id) {
            Some(held) => {
                held.receipt.clone_from(&message.receipt);
                false
            }
            None => true,
        };
        messages.into_iter().filter(is_unseen).collect()
    }

    /// Keeps a letter hidden until the run ends. Its text may have a megabyte, and is not needed to give it back.
    pub(crate) fn hold(&mut self, message: Received) {
        self.held.insert(message.id.clone(), Received { body: String::new(), ..message });
    }

    /// Notes why a letter stays, and says whether the run goes on.
    pub(crate) fn keep(&mut self, message_id: &str, end: End) -> Then {
        match end {
            End::Done => Then::Next,
            End::Keep(why) => {
                self.failures = 0;
                self.report.keep(message_id, why);
                Then::Hold
            }
            End::Failed(problem) => {
                self.failures += 1;
                self.report.keep(message_id, Rejection::from_problem(&problem));
                if self.failures >= FAILURES_IN_A_ROW || is_the_engines(&problem) {
                    Then::HoldAndStop
                } else {
                    Then::Hold
                }
            }
        }
    }

    /// Notes that a letter is done.
    pub(crate) fn done(&mut self) -> Then {
        self.failures = 0;
        let letters = &mut self.report.letters;
        *(if self.request.discard { &mut letters.discarded } else { &mut letters.redriven }) += 1;
        if self.request.dry_run { Then::Hold } else { Then::Next }
    }
}

/// Returns whether a problem concerns every letter, and not the one that met it: the engine refused a whole request.
fn is_the_engines(problem: &Problem) -> bool {
    matches!(problem, Problem::Request(refusal) if refusal.status != GATEWAY_TIMEOUT)
}
