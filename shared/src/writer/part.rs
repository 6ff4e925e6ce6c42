//! One part of a batch in progress: reads states, probes, and writes conditionally, round by round.

use std::time::Duration;

use tokio::time::Instant;

use super::pending::Pending;
use super::{ApplyOptions, Writer};
use crate::backoff::Backoff;
use crate::change::Change;
use crate::document_id::DocumentId;
use crate::fold::Folded;
use crate::outcome::{ConfigurationError, Outcome, Problem, Treatment};
use crate::target::{Call, ConditionalWrite, Target, Written};

/// Consecutive conflicts after which a document is left to Lambda's retry.
const MAX_CONFLICTS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Documents of a batch with their changes, until each change has an outcome.
pub(super) struct Part<'c, T> {
    changes: &'c [Change],
    writer: &'c Writer<T>,
    options: ApplyOptions,
    pending: Vec<Pending<'c>>,
    ended: PartOutcomes,
}

/// Outcomes of a part's changes, and their cost.
#[derive(Default)]
pub(super) struct PartOutcomes {
    /// Outcomes by place in the batch; absent for the changes of other parts.
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// Time spent waiting for the engine.
    pub(super) engine_time: Duration,
    /// Consecutive requests to the engine.
    pub(super) round_trips: u32,
}

impl<'c, T: Target> Part<'c, T> {
    /// Takes the documents in `folded`, whose places count in `changes`.
    pub(super) fn new(
        folded: impl IntoIterator<Item = Folded<'c>>,
        changes: &'c [Change],
        writer: &'c Writer<T>,
        options: ApplyOptions,
    ) -> Self {
        let doublings = writer.doublings();
        let pending = folded.into_iter().map(|folded| Pending::new(folded, changes, &writer.states, doublings));
        let ended = PartOutcomes { outcomes: vec![None; changes.len()], ..PartOutcomes::default() };
        Self { changes, writer, options, pending: pending.collect(), ended }
    }

    /// Gives every change an outcome by the deadline.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(super) async fn apply(mut self) -> Result<PartOutcomes, ConfigurationError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            self.read().await?;
            self.probe().await?;
            self.settle();
            self.write().await?;
            if self.pending.is_empty() {
                break;
            }
            let goes_on = match self.goes_on_immediately() {
                true => Instant::now() < self.options.deadline,
                false => backoff.wait_before(self.options.deadline).await,
            };
            if !goes_on {
                self.give_up();
                break;
            }
        }
        Ok(self.ended)
    }

    /// Reads every document, and gives newer changes the outcome of a write.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(super) async fn preview(mut self) -> Result<PartOutcomes, ConfigurationError> {
        self.pending.iter_mut().for_each(Pending::forget);
        self.read().await?;
        self.presume_written();
        Ok(self.ended)
    }

    /// Returns `true` if the next round needs no pause: after a first conflict, or a refusal under a presumed state.
    fn goes_on_immediately(&self) -> bool {
        !self.pending.iter().any(|pending| pending.problem.is_some() || pending.conflicts > 1)
    }

    /// Reads every document of unknown state.
    async fn read(&mut self) -> Result<(), ConfigurationError> {
        let unread: Vec<&Pending<'_>> = self.pending.iter().filter(|pending| pending.is_unread()).collect();
        if unread.is_empty() {
            return Ok(());
        }
        let ids: Vec<&DocumentId> = unread.iter().map(|pending| pending.id).collect();
        let doublings = unread.iter().map(|pending| pending.retry_plan.doublings).max().unwrap_or_default();
        let call = Call { doublings, ..Call::until(self.options.deadline) };
        let started = Instant::now();
        let answers = self.writer.target.read(&ids, call).await;
        self.count(started);
        assert_eq!(answers.len(), ids.len(), "a target answers every read");
        let all = ids.len();
        let unread = self.pending.iter_mut().filter(|pending| pending.is_unread());
        for (pending, answer) in unread.zip(answers) {
            match answer {
                Ok(found) => {
                    self.writer.check(found.as_ref())?;
                    pending.learn(found, &self.writer.states);
                }
                // A failed read says nothing about the change, so retry whatever it is.
                Err(problem) => {
                    let problem = problem.unless_configuration()?;
                    if matches!(problem, Problem::TimedOut(_)) {
                        pending.retry_plan.note(&problem, all.max(2), true);
                    }
                    pending.problem = Some(problem);
                }
            }
        }
        Ok(())
    }

    /// Probes for single documents: those without a version, and those that fail while others do not.
    async fn probe(&mut self) -> Result<(), ConfigurationError> {
        for at in 0..self.pending.len() {
            let pending = &self.pending[at];
            let unversioned = pending.is_unversioned() && !self.writer.shows_versions();
            if !unversioned && !pending.retry_plan.is_suspect {
                continue;
            }
            let answer = self.writer.target.probe_beside(pending.id, self.options.deadline).await;
            let pending = &mut self.pending[at];
            match answer {
                Ok(()) => {
                    self.writer.versions_are_shown();
                    pending.answer_suspicion(&mut self.ended.outcomes);
                }
                Err(problem) if problem.treatment() == Treatment::Retry => {
                    pending.retry_plan.engine_is_well = false;
                    if unversioned {
                        pending.forget();
                    }
                    pending.problem = Some(problem);
                }
                Err(problem) => return Err(ConfigurationError::from_problem(&problem)),
            }
        }
        self.pending.retain(|pending| !pending.open.is_empty());
        Ok(())
    }

    /// Ends the changes that need no write.
    fn settle(&mut self) {
        let now = Some(self.options.written_at);
        self.pending.iter_mut().for_each(|pending| pending.settle(self.changes, now, &mut self.ended.outcomes));
        self.pending.retain(|pending| !pending.open.is_empty());
    }

    /// Writes the newest open change of every document of known state. Documents in trouble go in requests of their
    /// own.
    async fn write(&mut self) -> Result<(), ConfigurationError> {
        let known = self.pending.iter().filter(|pending| !pending.is_unread());
        let mut shares: Vec<usize> = known.map(|pending| pending.retry_plan.share).collect();
        shares.sort_unstable_by(|a, b| b.cmp(a));
        shares.dedup();
        for share in shares {
            self.write_sharing(share).await?;
        }
        self.pending.retain(|pending| !pending.open.is_empty());
        Ok(())
    }

    async fn write_sharing(&mut self, share: usize) -> Result<(), ConfigurationError> {
        let is_due = |pending: &Pending<'_>| {
            pending.retry_plan.share == share && !pending.is_unread() && !pending.open.is_empty()
        };
        let due: Vec<usize> = (0..self.pending.len()).filter(|&at| is_due(&self.pending[at])).collect();
        let doublings = due.iter().map(|&at| self.pending[at].retry_plan.doublings).max().unwrap_or_default();
        let with_probe = due.iter().any(|&at| self.pending[at].is_in_doubt);
        let call = Call { deadline: self.options.deadline, max_documents: share, doublings, with_probe };
        let started = Instant::now();
        let answers = {
            let writes: Vec<_> = due.iter().map(|&at| self.conditional_write(&self.pending[at])).collect();
            self.writer.target.write(&writes, call).await
        };
        self.count(started);
        assert_eq!(answers.len(), due.len(), "a target answers every write");
        let documents = share.min(due.len());
        let all_failed = answers.iter().all(|answer| matches!(answer, Err(Problem::TimedOut(_))));
        self.writer.note_answers(all_failed.then_some(doublings));
        for (at, answer) in due.into_iter().zip(answers) {
            if let Err(problem) = &answer
                && problem.may_lie_in_the_document()
            {
                self.pending[at].retry_plan.note(problem, documents, all_failed);
            }
            self.conclude(at, answer)?;
        }
        Ok(())
    }

    fn conditional_write<'b>(&'b self, pending: &'b Pending<'c>) -> ConditionalWrite<'b> {
        let change = &self.changes[pending.newest()];
        ConditionalWrite {
            id: pending.id,
            condition: pending.condition(),
            content: &change.content,
            version: &change.version,
            event_time: change.event_time,
            written_at: self.options.written_at,
            read_at: change.read_at,
        }
    }

    fn conclude(&mut self, at: usize, answer: Result<Written, Problem>) -> Result<(), ConfigurationError> {
        let (pending, outcomes) = (&mut self.pending[at], &mut self.ended.outcomes[..]);
        match answer {
            Ok(Written::Done(position)) => {
                let change = &self.changes[pending.newest()];
                match change.read_at {
                    None => self.writer.states.remember(pending.id, &change.version, position),
                    // The version alone does not tell which changes the content includes, so it is read next time.
                    Some(_) => self.writer.states.forget(pending.id),
                }
                pending.conclude(self.changes, outcomes);
            }
            Ok(Written::Conflict) => {
                self.writer.states.forget(pending.id);
                pending.forget();
                pending.conflicts += 1;
                if pending.conflicts >= MAX_CONFLICTS {
                    pending.fail(&Problem::Contended(pending.conflicts), outcomes);
                }
            }
            Err(problem) => match problem.treatment() {
                Treatment::Configuration => return Err(ConfigurationError::from_problem(&problem)),
                Treatment::Retry => pending.problem = Some(problem),
                Treatment::Reject => pending.refuse(problem, outcomes),
            },
        }
        Ok(())
    }

    /// Ends all open changes as if they were written. Those of unread documents have failed.
    fn presume_written(&mut self) {
        for pending in &mut self.pending {
            pending.settle(self.changes, None, &mut self.ended.outcomes);
            match pending.problem.take() {
                Some(problem) => pending.fail(&problem, &mut self.ended.outcomes),
                None if pending.open.is_empty() => {}
                None => pending.conclude(self.changes, &mut self.ended.outcomes),
            }
        }
        self.pending.clear();
    }

    /// Ends all open changes as failed.
    fn give_up(&mut self) {
        for mut pending in self.pending.drain(..) {
            let problem = pending.problem.take().unwrap_or(Problem::Contended(pending.conflicts));
            pending.fail(&problem, &mut self.ended.outcomes);
        }
    }

    fn count(&mut self, started: Instant) {
        self.ended.engine_time += started.elapsed();
        self.ended.round_trips += 1;
    }
}
