//! One batch on its way: which documents are pending, what is known of each, and how each change ended.

use std::time::Duration;

use tokio::time::Instant;

use super::cache::StateCache;
use super::{Limits, Report};
use crate::change::{Change, ChangeKind};
use crate::document_id::DocumentId;
use crate::fold::{Folded, fold};
use crate::guards;
use crate::outcome::{ConfigurationError, Outcome, Problem, Treatment};
use crate::target::{Guard, GuardedWrite, Position, Stored, Target, Written};
use crate::time::Timestamp;
use crate::version::Version;

/// Conflicts in a row after which a document is left to Lambda's retry.
const MAX_CONFLICTS: u32 = 16;
/// The event time by which a stale change may be newer: DynamoDB's is cut to the second, at both ends.
const ANOMALY_MS: u64 = 2_000;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is known of a document's state.
enum Known {
    /// Nothing: it must be read.
    Unread,
    /// It does not exist, or is presumed so.
    Absent,
    /// It exists in this state.
    At { version: Option<Version>, event_time: Option<Timestamp>, position: Position },
}

/// A document with changes that have not ended.
struct Pending<'c> {
    id: &'c DocumentId,
    /// Places of its open changes in the batch, oldest version first; the last one is written.
    open: Vec<usize>,
    known: Known,
    conflicts: u32,
    /// Why the last try did not succeed.
    problem: Option<Problem>,
}

pub(super) struct Batch<'c> {
    changes: &'c [Change],
    states: &'c StateCache,
    limits: Limits,
    pending: Vec<Pending<'c>>,
    outcomes: Vec<Option<Outcome>>,
    engine_time: Duration,
    round_trips: u32,
}

impl<'c> Batch<'c> {
    pub(super) fn new(changes: &'c [Change], states: &'c StateCache, limits: Limits) -> Self {
        let pending = fold(changes).into_iter().map(|folded| Pending::new(folded, changes, states)).collect();
        Self {
            changes,
            states,
            limits,
            pending,
            outcomes: vec![None; changes.len()],
            engine_time: Duration::ZERO,
            round_trips: 0,
        }
    }

    /// The same with every document to be read first.
    pub(super) fn unknown(changes: &'c [Change], states: &'c StateCache, limits: Limits) -> Self {
        let mut batch = Self::new(changes, states, limits);
        for pending in &mut batch.pending {
            pending.known = Known::Unread;
        }
        batch
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Reads every document of which nothing is known.
    pub(super) async fn read(&mut self, target: &impl Target) -> Result<(), ConfigurationError> {
        let unread = |pending: &&Pending<'c>| matches!(pending.known, Known::Unread);
        let ids: Vec<&DocumentId> = self.pending.iter().filter(unread).map(|pending| pending.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let answers = target.read(&ids, self.limits.deadline).await;
        self.count(started);
        assert_eq!(answers.len(), ids.len(), "a target answers every read");
        let unread = self.pending.iter_mut().filter(|pending| matches!(pending.known, Known::Unread));
        for (pending, answer) in unread.zip(answers) {
            pending.problem = None;
            match answer {
                Ok(None) => pending.known = Known::Absent,
                Ok(Some(stored)) => pending.known = stored.into(),
                Err(problem) if problem.treatment() == Treatment::Configuration => {
                    return Err(ConfigurationError::from_problem(&problem));
                }
                // A read says nothing about the change: whatever it is, try again.
                Err(problem) => pending.problem = Some(problem),
            }
        }
        Ok(())
    }

    /// Ends the changes that are no newer than what stands in the index.
    pub(super) fn settle_by_version(&mut self) {
        if !guards::stands(guards::Guard::VersionCompare) {
            return;
        }
        let Self { changes, outcomes, pending, .. } = self;
        pending.retain_mut(|pending| {
            let Known::At { version: Some(stored), event_time, .. } = &pending.known else {
                return true;
            };
            if pending.open.last().is_some_and(|&newest| changes[newest].version > *stored) {
                return true;
            }
            for place in pending.open.drain(..) {
                let change = &changes[place];
                outcomes[place] = Some(if change.version == *stored {
                    Outcome::Duplicate
                } else if is_anomaly(change.event_time, *event_time) {
                    Outcome::OrderAnomaly
                } else {
                    Outcome::Stale
                });
            }
            false
        });
    }

    /// Writes the newest open change of every document whose state is known.
    pub(super) async fn write(&mut self, target: &impl Target) -> Result<(), ConfigurationError> {
        let written: Vec<usize> =
            (0..self.pending.len()).filter(|&at| !matches!(self.pending[at].known, Known::Unread)).collect();
        if written.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let answers = {
            let writes: Vec<_> = written.iter().map(|&at| self.guarded_write(&self.pending[at])).collect();
            target.write(&writes, self.limits.deadline).await
        };
        self.count(started);
        assert_eq!(answers.len(), written.len(), "a target answers every write");
        for (at, answer) in written.into_iter().zip(answers) {
            self.conclude(at, answer)?;
        }
        self.pending.retain(|pending| !pending.open.is_empty());
        Ok(())
    }

    fn guarded_write<'b>(&'b self, pending: &'b Pending<'c>) -> GuardedWrite<'b> {
        let change = &self.changes[pending.newest()];
        let guard = match &pending.known {
            Known::At { position, .. } => Guard::At(position),
            Known::Absent | Known::Unread => Guard::Absent,
        };
        GuardedWrite {
            id: pending.id,
            guard,
            content: &change.content,
            version: &change.version,
            event_time: change.event_time,
            written_at: self.limits.written_at,
        }
    }

    fn conclude(&mut self, at: usize, answer: Result<Written, Problem>) -> Result<(), ConfigurationError> {
        let pending = &mut self.pending[at];
        let newest = pending.newest();
        match answer {
            Ok(Written::Done(position)) => {
                let version = &self.changes[newest].version;
                self.states.remember(pending.id, version, position);
                for place in pending.open.drain(..) {
                    let same = self.changes[place].version == *version;
                    let outcome = if same { Outcome::Duplicate } else { Outcome::Superseded };
                    self.outcomes[place] = Some(if place == newest { Outcome::Applied } else { outcome });
                }
            }
            Ok(Written::Conflict) => {
                self.states.forget(pending.id);
                pending.known = Known::Unread;
                pending.conflicts += 1;
                if pending.conflicts >= MAX_CONFLICTS {
                    let problem = Problem::Contended(pending.conflicts);
                    for place in pending.open.drain(..) {
                        self.outcomes[place] = Some(Outcome::Failed(problem.clone()));
                    }
                }
            }
            Err(problem) => match problem.treatment() {
                Treatment::Configuration => return Err(ConfigurationError::from_problem(&problem)),
                Treatment::Retry => pending.problem = Some(problem),
                Treatment::Reject => {
                    // The one before it is tried next, so that folding loses nothing that single writes would keep.
                    pending.open.pop();
                    self.outcomes[newest] = Some(Outcome::Rejected(problem));
                    if !guards::stands(guards::Guard::FoldFallback) {
                        for place in pending.open.drain(..) {
                            self.outcomes[place] = Some(Outcome::Superseded);
                        }
                    }
                }
            },
        }
        Ok(())
    }

    /// How long to wait before the next round: nothing after a first conflict or a rejection, then more and more, with jitter.
    pub(super) fn pause(&self, round: u32) -> Duration {
        let troubled = |pending: &Pending<'_>| pending.problem.is_some() || pending.conflicts > 1;
        if !self.pending.iter().any(troubled) {
            return Duration::ZERO;
        }
        let longest = FIRST_PAUSE.saturating_mul(1 << round.min(10)).min(LONGEST_PAUSE);
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Ends everything that is still open as if it had been written; what could not be read has failed.
    pub(super) fn presume_written(&mut self) {
        for pending in self.pending.drain(..) {
            let newest = pending.newest();
            for place in pending.open {
                self.outcomes[place] = Some(match &pending.problem {
                    Some(problem) => Outcome::Failed(problem.clone()),
                    None if place == newest => Outcome::Applied,
                    None => Outcome::Superseded,
                });
            }
        }
    }

    /// Ends everything that is still open as failed.
    pub(super) fn give_up(&mut self) {
        for pending in self.pending.drain(..) {
            let problem = pending.problem.unwrap_or(Problem::Contended(pending.conflicts));
            for place in pending.open {
                self.outcomes[place] = Some(Outcome::Failed(problem.clone()));
            }
        }
    }

    pub(super) fn into_report(self) -> Report {
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.expect("every change has ended"));
        Report { outcomes: outcomes.collect(), engine_time: self.engine_time, round_trips: self.round_trips }
    }

    fn count(&mut self, started: Instant) {
        self.engine_time += started.elapsed();
        self.round_trips += 1;
    }
}

impl<'c> Pending<'c> {
    fn new(folded: Folded<'c>, changes: &[Change], states: &StateCache) -> Self {
        let newest = folded.places.last().map(|&place| &changes[place].version);
        let inserts = folded.places.iter().any(|&place| changes[place].kind == ChangeKind::Insert);
        let known = match states.get(folded.id) {
            Some((version, position)) if newest > Some(&version) => {
                Known::At { version: Some(version), event_time: None, position }
            }
            // Stale by the cache: the engine is asked, for a restored index may know less than this process.
            Some(_) => Known::Unread,
            None if inserts => Known::Absent,
            None => Known::Unread,
        };
        Self { id: folded.id, open: folded.places, known, conflicts: 0, problem: None }
    }

    fn newest(&self) -> usize {
        *self.open.last().expect("a pending document has an open change")
    }
}

impl From<Stored> for Known {
    fn from(stored: Stored) -> Self {
        Self::At { version: stored.version, event_time: stored.event_time, position: stored.position }
    }
}

pub(super) fn is_anomaly(change: Option<Timestamp>, stored: Option<Timestamp>) -> bool {
    match (change, stored) {
        (Some(change), Some(stored)) => change.millis_since(stored) > ANOMALY_MS,
        _ => false,
    }
}
