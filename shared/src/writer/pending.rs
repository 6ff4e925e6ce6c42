//! One document in progress: its known state, its open changes, and the conclusions from its failures.

use super::cache::StateCache;
use crate::change::{Change, ChangeKind, Content};
use crate::document_id::DocumentId;
use crate::fold::Folded;
use crate::outcome::{Outcome, Problem};
use crate::target::{Holder, MAX_DOUBLINGS, Position, StoredState, WriteCondition};
use crate::time::Timestamp;
use crate::version::Version;

/// Event time by which a stale change may be newer: DynamoDB cuts event times to the second, at both ends.
const ANOMALY_MS: u64 = 2_000;
/// Time after which a write is on all copies of its shard. An engine removes an unresponsive copy from the shard within
/// minutes. The rest is margin, also for processes' clocks.
const REPLICATION_MS: u64 = 30 * 60 * 1_000;
/// Time by which a change must be older than the read of the stored content to be surely part of it. Event times are
/// cut to the second, and come from another clock. Changes within the margin apply as if nothing had been read.
const READ_MARGIN_MS: u64 = 60_000;
/// Failures in requests of its own after which a document is suspected: time-outs (of twice the time), or errors.
const SUSPECT_AFTER_TIMEOUTS: u32 = 2;
const SUSPECT_AFTER_ERRORS: u32 = 8;
/// Looks at a document of another item before its holder is believed: the change that deletes it may be on its way.
const LOOKS_AT_OTHER_ITEM: u32 = 4;

/// Knowledge of a document's state.
pub(super) enum Known {
    /// Unknown: the document must be read.
    Unread,
    /// The document does not exist, or is presumed not to.
    Absent,
    /// The document exists in this state.
    At(DocumentState),
}

/// State of an existing document.
pub(super) struct DocumentState {
    pub(super) version: Option<Version>,
    event_time: Option<Timestamp>,
    written_at: Option<Timestamp>,
    read_at: Option<Timestamp>,
    pub(super) position: Position,
    /// Item that the document belongs to.
    holder: Holder,
    /// True if the engine acknowledged this very write to this process.
    acknowledged: bool,
}

/// A document with open changes.
pub(super) struct Pending<'c> {
    pub(super) id: &'c DocumentId,
    /// Places of the open changes in the batch, oldest version first. The last one is written.
    pub(super) open: Vec<usize>,
    pub(super) known: Known,
    /// True if the state is remembered or presumed, and was not read in this call.
    presumed: bool,
    /// True after a refusal of the newest open change: the next write carries a probe.
    pub(super) is_in_doubt: bool,
    pub(super) conflicts: u32,
    /// Number of looks that found the document of another item.
    looks_at_other: u32,
    /// Problem of the last try.
    pub(super) problem: Option<Problem>,
    pub(super) retry_plan: RetryPlan,
}

/// Conclusions from a document's failures for its next request.
#[derive(Clone, Copy)]
pub(super) struct RetryPlan {
    /// Maximum number of documents in its request.
    pub(super) share: usize,
    /// Number of times to double its request time-out.
    pub(super) doublings: u32,
    /// Number of failures in requests of its own.
    pub(super) failures: u32,
    /// True if the engine accepted another document since the last failure but one.
    pub(super) engine_is_well: bool,
    /// True after a failure that calls for a probe.
    pub(super) is_suspect: bool,
}

impl RetryPlan {
    fn none(doublings: u32) -> Self {
        Self { share: usize::MAX, doublings, failures: 0, engine_is_well: false, is_suspect: false }
    }

    /// Notes a failure that may lie in the document, in a call of `documents`. `all` is true if each of them failed.
    pub(super) fn note(&mut self, problem: &Problem, documents: usize, all: bool) {
        let timed_out = matches!(problem, Problem::TimedOut(_));
        if documents == 1 {
            self.failures += 1;
            let patience = if timed_out { SUSPECT_AFTER_TIMEOUTS } else { SUSPECT_AFTER_ERRORS };
            self.is_suspect = self.failures >= patience;
        }
        // A quarter, because a target sends half of a large batch in one request. An error names its document.
        self.share = if matches!(problem, Problem::Item(_)) { 1 } else { (documents / 4).max(1) };
        // If others got answers, the document is slow and not the engine. So find it before waiting longer.
        if timed_out && (all || documents == 1) {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
        }
    }
}

impl<'c> Pending<'c> {
    pub(super) fn new(folded: Folded<'c>, changes: &[Change], states: &StateCache, doublings: u32) -> Self {
        let newest = folded.places.last().map(|&place| &changes[place].version);
        let is_newer = |known: &Version| newest.is_some_and(|newest| newest.is_after(known));
        let inserts = folded.places.iter().any(|&place| changes[place].kind == ChangeKind::Insert);
        let known = match states.get(folded.id) {
            Some((version, position)) if is_newer(&version) => Known::At(DocumentState {
                version: Some(version),
                event_time: None,
                written_at: None,
                read_at: None,
                position,
                holder: Holder::Same,
                acknowledged: true,
            }),
            // Not newer by the cache: read it, because a restored index may know less than this process.
            Some(_) => Known::Unread,
            None if inserts => Known::Absent,
            None => Known::Unread,
        };
        let retry_plan = RetryPlan::none(doublings);
        Self {
            id: folded.id,
            open: folded.places,
            known,
            presumed: true,
            is_in_doubt: false,
            conflicts: 0,
            looks_at_other: 0,
            problem: None,
            retry_plan,
        }
    }

    pub(super) fn newest(&self) -> usize {
        *self.open.last().expect("a pending document has an open change")
    }

    pub(super) fn is_unread(&self) -> bool {
        matches!(self.known, Known::Unread)
    }

    /// Returns `true` if the document exists and carries no version.
    pub(super) fn is_unversioned(&self) -> bool {
        matches!(self.known, Known::At(DocumentState { version: None, .. }))
    }

    /// Returns the condition of the next write.
    pub(super) fn condition(&self) -> WriteCondition {
        match &self.known {
            Known::At(state) => WriteCondition::IfUnchanged(state.position),
            Known::Absent | Known::Unread => WriteCondition::IfAbsent,
        }
    }

    /// Takes the result of a read.
    pub(super) fn learn(&mut self, found: Option<StoredState>, states: &StateCache) {
        self.problem = None;
        self.presumed = false;
        let holder = found.as_ref().map_or(Holder::Same, |state| state.holder(self.id));
        self.known = match found {
            None => Known::Absent,
            Some(StoredState { version, event_time, written_at, read_at, position, .. }) => {
                let ours = states.get(self.id);
                let acknowledged = ours.is_some_and(|(ours, at)| Some(&ours) == version.as_ref() && at == position);
                Known::At(DocumentState { version, event_time, written_at, read_at, position, holder, acknowledged })
            }
        };
    }

    pub(super) fn forget(&mut self) {
        self.known = Known::Unread;
    }

    /// Ends the changes if they are no newer than the stored one, and so need no write; and if only the item can tell
    /// which of them is the newest. `now` decides which writes are surely replicated; without it, all are.
    pub(super) fn settle(&mut self, changes: &[Change], now: Option<Timestamp>, outcomes: &mut [Option<Outcome>]) {
        let (state, stored) = match &self.known {
            Known::At(state) => (Some(state), state.version.as_ref()),
            Known::Unread | Known::Absent => (None, None),
        };
        let Some((state, stored)) = state.zip(stored) else {
            if self.is_unordered(changes, None) {
                self.open.drain(..).for_each(|place| outcomes[place] = Some(Outcome::Unordered));
            }
            return;
        };
        if state.holder != Holder::Same {
            return self.settle_beside(changes, now, outcomes);
        }
        // From the newest on, as each of them would be written.
        while let Some(&newest) = self.open.last()
            && state.includes(&changes[newest], stored)
        {
            self.open.pop();
            outcomes[newest] = Some(Outcome::Superseded);
        }
        let Some(&newest) = self.open.last() else { return };
        if self.is_unordered(changes, Some(stored)) {
            self.open.drain(..).for_each(|place| outcomes[place] = Some(Outcome::Unordered));
            return;
        }
        // A newer change is written. An equal one is written once more under the position that was read, if only that
        // acknowledgement makes it durable.
        let is_written =
            changes[newest].version > *stored || (changes[newest].version == *stored && !state.is_durable(now));
        if is_written {
            return;
        }
        for place in self.open.drain(..) {
            outcomes[place] = Some(state.outcome_of(&changes[place], stored));
        }
    }

    /// Ends the changes under a document of another item, which has the same id. A removal has nothing to remove then.
    /// Any other change is rejected: whichever order the versions show, only the table knows which item lives. A newer
    /// change replaces a tombstone.
    fn settle_beside(&mut self, changes: &[Change], now: Option<Timestamp>, outcomes: &mut [Option<Outcome>]) {
        let (Known::At(state), Some(&newest)) = (&self.known, self.open.last()) else { return };
        let is_newer = state.version.as_ref().is_none_or(|stored| changes[newest].version.is_after(stored));
        let is_free = state.holder == Holder::OtherDeleted;
        if is_free && is_newer {
            return;
        }
        if changes[newest].content != Content::Tombstone {
            self.looks_at_other += 1;
            if !is_free && now.is_some() && self.looks_at_other < LOOKS_AT_OTHER_ITEM {
                self.forget();
                self.problem = Some(Problem::OtherItem);
                return;
            }
            self.reject(Problem::OtherItem, outcomes);
        }
        for place in self.open.drain(..) {
            outcomes[place] = Some(if is_free { Outcome::Stale } else { Outcome::Superseded });
        }
    }

    /// Returns `true` if only the item can tell whether the newest open change is newer than the others and than the
    /// stored one. Changes that are all older than the stored one need no decision.
    fn is_unordered(&self, changes: &[Change], stored: Option<&Version>) -> bool {
        let Some((&newest, others)) = self.open.split_last() else { return false };
        let newest = &changes[newest].version;
        if stored.is_some_and(|stored| newest.is_unordered(stored)) {
            return true;
        }
        let mut tied = others.iter().filter(|&&place| newest.is_unordered(&changes[place].version));
        let is_old = |version: &Version| stored.is_some_and(|stored| stored.is_after(version));
        tied.any(|&place| !(is_old(newest) && is_old(&changes[place].version)))
    }

    /// Ends the newest change. The one before it is tried next, so that folding loses nothing that single writes would
    /// keep.
    pub(super) fn reject(&mut self, problem: Problem, outcomes: &mut [Option<Outcome>]) {
        if let Some(newest) = self.open.pop() {
            outcomes[newest] = Some(Outcome::Rejected(problem));
        }
        self.problem = None;
        self.retry_plan = RetryPlan { share: self.retry_plan.share, ..RetryPlan::none(0) };
    }

    /// Takes a refusal of the newest change. An engine parses a document before it checks the condition, so it refuses
    /// a stale change, too. And an index that takes no writes refuses every document. So a refusal is believed only if
    /// the state was read in this call, and a probe went along. Otherwise the document is read, and sent once more with
    /// a probe.
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

    /// Takes note that the engine accepted another document of the same shard just now. If it also did so before the
    /// last failure, the document is at fault.
    pub(super) fn answer_suspicion(&mut self, outcomes: &mut [Option<Outcome>]) {
        if !std::mem::take(&mut self.retry_plan.is_suspect) {
            return;
        }
        if !std::mem::replace(&mut self.retry_plan.engine_is_well, true) {
            return;
        }
        if let Some(last) = self.problem.take() {
            let problem = Problem::Suspect { failures: self.retry_plan.failures, last: Box::new(last) };
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

    /// Ends all open changes with the same failure.
    pub(super) fn fail(&mut self, problem: &Problem, outcomes: &mut [Option<Outcome>]) {
        for place in self.open.drain(..) {
            outcomes[place] = Some(Outcome::Failed(problem.clone()));
        }
    }
}

impl DocumentState {
    /// Returns `true` if the write of this state is certainly on all copies of its shard. A realtime read shows the
    /// primary's state, which may be lost with it before anybody was told.
    fn is_durable(&self, now: Option<Timestamp>) -> bool {
        let Some(now) = now else { return true };
        self.acknowledged || self.written_at.is_some_and(|written| now.millis_since(written) > REPLICATION_MS)
    }

    /// Returns `true` if the stored content was read from the table after this change, although the change is not older
    /// by version: a backfill or a repair stores what it read at a version that hides no change. So does one of two
    /// backfills that read the same item at different times.
    ///
    /// The write of such a state needs no confirmation. Its writer repeats it, with a new read, until the engine
    /// acknowledges it.
    fn includes(&self, change: &Change, stored: &Version) -> bool {
        let is_older_read = matches!((self.read_at, change.read_at), (Some(stored), Some(read)) if stored > read);
        let is_older = stored.is_after(&change.version);
        (!is_older && self.was_read_after(change)) || (change.version == *stored && is_older_read)
    }

    fn was_read_after(&self, change: &Change) -> bool {
        match (change.event_time, self.read_at) {
            (Some(event_time), Some(read_at)) => read_at.millis_since(event_time) > READ_MARGIN_MS,
            _ => false,
        }
    }

    /// Returns the outcome of a change that is no newer than this state, whose version is `stored`.
    fn outcome_of(&self, change: &Change, stored: &Version) -> Outcome {
        if change.version == *stored {
            return Outcome::Duplicate;
        }
        if self.was_read_after(change) {
            return Outcome::Stale;
        }
        if is_anomaly(change.event_time, self.event_time) { Outcome::OrderAnomaly } else { Outcome::Stale }
    }
}

/// Returns `true` if a change that is older by version than the stored one is newer by event time.
pub(super) fn is_anomaly(change: Option<Timestamp>, stored: Option<Timestamp>) -> bool {
    match (change, stored) {
        (Some(change), Some(stored)) => change.millis_since(stored) > ANOMALY_MS,
        _ => false,
    }
}
