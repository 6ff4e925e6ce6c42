//! One document on its way: what is known of its state, which of its changes are open, and what its failures say.

use super::cache::StateCache;
use crate::change::{Change, ChangeKind};
use crate::document_id::DocumentId;
use crate::fold::Folded;
use crate::outcome::{Outcome, Problem};
use crate::target::{Guard, Position, Stored};
use crate::time::Timestamp;
use crate::version::Version;

/// The event time by which a stale change may be newer: DynamoDB's is cut to the second, at both ends.
const ANOMALY_MS: u64 = 2_000;
/// How long a write may be on its way to the copies of its shard. An engine takes a copy that does not answer out of the
/// shard within minutes; the rest is margin, for processes' clocks too.
const REPLICATION_MS: u64 = 30 * 60 * 1_000;
/// Failures alone after which a document is suspected: with twice the time, or of errors over some seconds of pauses.
const SUSPECT_AFTER_TIMEOUTS: u32 = 2;
const SUSPECT_AFTER_ERRORS: u32 = 8;
/// The most by which the time for one answer is doubled.
const MAX_DOUBLINGS: u32 = 6;

/// What is known of a document's state.
pub(super) enum Known {
    /// Nothing: it must be read.
    Unread,
    /// It does not exist, or is presumed so.
    Absent,
    /// It exists in this state.
    At(State),
}

/// A state of a document.
pub(super) struct State {
    pub(super) version: Option<Version>,
    event_time: Option<Timestamp>,
    written_at: Option<Timestamp>,
    pub(super) position: Position,
    /// The engine has acknowledged this very write to this process.
    acknowledged: bool,
}

/// A document with changes that have not ended.
pub(super) struct Pending<'c> {
    pub(super) id: &'c DocumentId,
    /// Places of its open changes in the batch, oldest version first; the last one is written.
    pub(super) open: Vec<usize>,
    pub(super) known: Known,
    /// The state is remembered or presumed, and was not read in this call.
    presumed: bool,
    /// The engine refused the newest open change: a probe goes along next time.
    pub(super) is_in_doubt: bool,
    pub(super) conflicts: u32,
    /// Why the last try did not succeed.
    pub(super) problem: Option<Problem>,
    pub(super) trouble: Trouble,
}

/// What a document's failures say of how to send it next.
#[derive(Clone, Copy)]
pub(super) struct Trouble {
    /// Most documents that share its request.
    pub(super) share: usize,
    /// How often the time for its answer is doubled.
    pub(super) doublings: u32,
    /// Failures in requests of its own.
    pub(super) failures: u32,
    /// The engine took another document since the last but one failure.
    pub(super) engine_is_well: bool,
    /// A failure that the engine is to be asked about.
    pub(super) is_suspect: bool,
}

impl Trouble {
    fn none(doublings: u32) -> Self {
        Self { share: usize::MAX, doublings, failures: 0, engine_is_well: false, is_suspect: false }
    }

    /// Notes a failure that may lie in the document, in a call of `documents` of which `all` failed or not.
    pub(super) fn note(&mut self, problem: &Problem, documents: usize, all: bool) {
        let timed_out = matches!(problem, Problem::TimedOut(_));
        if documents == 1 {
            self.failures += 1;
            let patience = if timed_out { SUSPECT_AFTER_TIMEOUTS } else { SUSPECT_AFTER_ERRORS };
            self.is_suspect = self.failures >= patience;
        }
        // A quarter, for a target sends half of a large batch in one request. An error names its document.
        self.share = if matches!(problem, Problem::Item(_)) { 1 } else { (documents / 4).max(1) };
        // Where others had their answers, it is not the engine that is slow: the document is found first.
        if timed_out && (all || documents == 1) {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
        }
    }
}

impl<'c> Pending<'c> {
    pub(super) fn new(folded: Folded<'c>, changes: &[Change], states: &StateCache, doublings: u32) -> Self {
        let newest = folded.places.last().map(|&place| &changes[place].version);
        let inserts = folded.places.iter().any(|&place| changes[place].kind == ChangeKind::Insert);
        let known = match states.get(folded.id) {
            Some((version, position)) if newest > Some(&version) => Known::At(State {
                version: Some(version),
                event_time: None,
                written_at: None,
                position,
                acknowledged: true,
            }),
            // Stale by the cache: the engine is asked, for a restored index may know less than this process.
            Some(_) => Known::Unread,
            None if inserts => Known::Absent,
            None => Known::Unread,
        };
        let trouble = Trouble::none(doublings);
        Self {
            id: folded.id,
            open: folded.places,
            known,
            presumed: true,
            is_in_doubt: false,
            conflicts: 0,
            problem: None,
            trouble,
        }
    }

    pub(super) fn newest(&self) -> usize {
        *self.open.last().expect("a pending document has an open change")
    }

    pub(super) fn is_unread(&self) -> bool {
        matches!(self.known, Known::Unread)
    }

    /// Returns whether the document is there, and carries no version.
    pub(super) fn is_unversioned(&self) -> bool {
        matches!(self.known, Known::At(State { version: None, .. }))
    }

    /// The state that its next write is guarded by.
    pub(super) fn guard(&self) -> Guard {
        match &self.known {
            Known::At(state) => Guard::At(state.position),
            Known::Absent | Known::Unread => Guard::Absent,
        }
    }

    /// Takes what a read found.
    pub(super) fn learn(&mut self, found: Option<Stored>, states: &StateCache) {
        self.problem = None;
        self.presumed = false;
        self.known = match found {
            None => Known::Absent,
            Some(Stored { version, event_time, written_at, position }) => {
                let ours = states.get(self.id);
                let acknowledged = ours.is_some_and(|(ours, at)| Some(&ours) == version.as_ref() && at == position);
                Known::At(State { version, event_time, written_at, position, acknowledged })
            }
        };
    }

    pub(super) fn forget(&mut self) {
        self.known = Known::Unread;
    }

    /// Ends the changes if they need no write, being no newer than what stands in the index. `now` decides which writes are
    /// surely replicated; without it, all are.
    pub(super) fn settle(&mut self, changes: &[Change], now: Option<Timestamp>, outcomes: &mut [Option<Outcome>]) {
        let (Known::At(state), Some(&newest)) = (&self.known, self.open.last()) else { return };
        let Some(stored) = &state.version else { return };
        // A newer one is written; and an equal one once more, under the position that was read, where that
        // acknowledgement is what makes it durable.
        let is_written =
            changes[newest].version > *stored || (changes[newest].version == *stored && !state.is_durable(now));
        if is_written {
            return;
        }
        for place in self.open.drain(..) {
            outcomes[place] = Some(state.outcome_of(&changes[place], stored));
        }
    }

    /// Ends the newest change. The one before it is tried next, so that folding loses nothing that single writes would keep.
    pub(super) fn reject(&mut self, problem: Problem, outcomes: &mut [Option<Outcome>]) {
        if let Some(newest) = self.open.pop() {
            outcomes[newest] = Some(Outcome::Rejected(problem));
        }
        self.problem = None;
        self.trouble = Trouble { share: self.trouble.share, ..Trouble::none(0) };
    }

    /// Takes a refusal of the newest change. It is believed only where the state was read in this call, for an engine parses
    /// a document before it looks at its guard, and refuses a stale change, too; and where a probe went along, for an index
    /// that takes no writes refuses every document. Else the document is read, and sent once more with a probe.
    pub(super) fn refuse(&mut self, problem: Problem, outcomes: &mut [Option<Outcome>]) {
        if self.is_in_doubt && !self.presumed {
            self.reject(problem, outcomes);
            return;
        }
        self.is_in_doubt = true;
        self.problem = None;
        if self.presumed {
            self.forget();
        }
    }

    /// Takes it that the engine has just taken another document of the same shard. If it had done so before the last failure,
    /// too, the fault is the document's.
    pub(super) fn answer_suspicion(&mut self, outcomes: &mut [Option<Outcome>]) {
        if !std::mem::take(&mut self.trouble.is_suspect) {
            return;
        }
        if !std::mem::replace(&mut self.trouble.engine_is_well, true) {
            return;
        }
        if let Some(last) = self.problem.take() {
            let problem = Problem::Suspect { failures: self.trouble.failures, last: Box::new(last) };
            self.reject(problem, outcomes);
        }
    }

    /// Ends all open changes: the newest is in the index, acknowledged.
    pub(super) fn conclude(&mut self, changes: &[Change], outcomes: &mut [Option<Outcome>]) {
        let newest = self.newest();
        let version = &changes[newest].version;
        let had = matches!(&self.known, Known::At(state) if state.version.as_ref() == Some(version));
        for place in self.open.drain(..) {
            let same = changes[place].version == *version;
            outcomes[place] = Some(match same {
                true if place == newest && !had => Outcome::Applied,
                true => Outcome::Duplicate,
                false => Outcome::Superseded,
            });
        }
    }

    /// Ends all open changes alike.
    pub(super) fn fail(&mut self, problem: &Problem, outcomes: &mut [Option<Outcome>]) {
        for place in self.open.drain(..) {
            outcomes[place] = Some(Outcome::Failed(problem.clone()));
        }
    }
}

impl State {
    /// Returns whether the write that left it is on all copies of its shard for certain. A realtime read shows what the
    /// primary has; what nobody was told of may be lost with it.
    fn is_durable(&self, now: Option<Timestamp>) -> bool {
        let Some(now) = now else { return true };
        self.acknowledged || self.written_at.is_some_and(|written| now.millis_since(written) > REPLICATION_MS)
    }

    /// The outcome of a change that is no newer than this state, whose version is `stored`.
    fn outcome_of(&self, change: &Change, stored: &Version) -> Outcome {
        if change.version == *stored {
            return Outcome::Duplicate;
        }
        match (change.event_time, self.event_time) {
            (Some(change), Some(stored)) if change.millis_since(stored) > ANOMALY_MS => Outcome::OrderAnomaly,
            _ => Outcome::Stale,
        }
    }
}
