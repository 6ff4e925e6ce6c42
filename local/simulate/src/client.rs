//! Client of one process for the index: adds delays, faults and the process's own clock to an index that keeps its
//! contract.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driftless::change::Content;
use driftless::document_id::DocumentId;
use driftless::function::clock;
use driftless::outcome::{Problem, Refusal};
use driftless::target::{Call, ConditionalWrite, StoredState, Target, WriteCondition, Written};
use driftless::time::Timestamp;
use driftless::version::Version;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::faults::CallFault;
use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::owned_write::OwnedWrite;
use crate::schedule::EngineFault;
use crate::world::World;

/// Time that a client waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(600);

/// Target that one process writes through.
pub(crate) struct Client<I> {
    world: Arc<World<I>>,
    process: u64,
    killed: Arc<Notify>,
    /// True for a missing guard: writes ignore the documents' states.
    forced: bool,
    calls: AtomicU64,
    skew_ms: i64,
    /// Documents whose last write was refused. Without a guard, they are not read.
    refused: Mutex<BTreeSet<DocumentId>>,
}

impl<I: SimulatedIndex> Client<I> {
    pub(crate) fn new(world: Arc<World<I>>, process: u64, killed: Arc<Notify>, forced: bool) -> Self {
        let skew = i64::from(world.scenario.skew_ms);
        let chance = world.chance(process, u64::MAX, 2 * u64::from(world.scenario.skew_ms) + 1);
        let skew_ms = i64::try_from(chance).unwrap_or_default() - skew;
        Self { world, process, killed, forced, calls: AtomicU64::new(0), skew_ms, refused: Mutex::default() }
    }

    /// Returns the travel time of a request: mostly short, and now and then long enough to be overtaken.
    fn travel(&self) -> Duration {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        let chance = self.world.chance(self.process, nth, 1_000);
        Duration::from_millis(match chance % 10 {
            0..=5 => chance % 4,
            6..=8 => chance % 25,
            _ => chance % 200,
        })
    }

    /// Returns the time by this process's clock.
    fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.world.clock.now_ms().saturating_add_signed(self.skew_ms))
    }

    fn next_fault(&self, write: bool) -> Option<CallFault> {
        if self.world.faults.is_outage() {
            return Some(CallFault::Engine(EngineFault::Unreachable));
        }
        let fault = self.world.faults.next_call(write)?;
        self.world.count(fault.name(), 1);
        Some(fault)
    }

    /// Kills the process. Those that wait for it are told, and this never returns.
    async fn die(&self) -> ! {
        self.killed.notify_one();
        std::future::pending().await
    }

    /// Carries out writes. If `answered`, they are then on all copies of the index. Others are still on their way.
    async fn perform(
        &self,
        writes: &[ConditionalWrite<'_>],
        call: Call,
        answered: bool,
    ) -> Vec<Result<Written, Problem>> {
        let written_at = self.clock();
        let stamped: Vec<_> = writes
            .iter()
            .map(|write| {
                // A function decides by the real clock, which is not the run's.
                let decided_at = || self.world.ledger().decided_at(self.process, write.id);
                let read_at = write.read_at.map(|read_at| decided_at().unwrap_or(read_at));
                ConditionalWrite { written_at, read_at, ..*write }
            })
            .collect();
        let index = &self.world.index;
        let forced = self.forced || !self.world.stands(Guard::AtomicWrite);
        let answers = match (forced, answered) {
            (true, _) => self.force(&stamped, call).await,
            (false, true) => index.write(&stamped, call).await,
            (false, false) => index.write_to_primary(&stamped, call).await,
        };
        if !self.world.stands(Guard::Tombstone) {
            self.delete_tombstones(writes, &answers).await;
        }
        if !answered {
            self.replicate_later(writes, &answers);
        }
        self.note_refusals(writes, &answers);
        for (write, answer) in writes.iter().zip(&answers) {
            let what = match answer {
                Ok(Written::Done(_)) => "written",
                Ok(Written::Conflict) => "conflicts",
                Err(_) => "refused",
            };
            self.world.note(format_args!("p{} {what} {} {}", self.process, write.id, write.version));
            self.world.count(what, 1);
            if matches!(answer, Ok(Written::Done(_))) {
                let mut ledger = self.world.ledger();
                if write.read_at.is_some() {
                    ledger.note_written_read(write.id);
                }
                ledger.seen(write.id, write.version);
                if answered {
                    ledger.acknowledge(write.id, write.version);
                }
            }
        }
        answers
    }

    /// Writes on the condition of the documents' present states. It always holds, so it guards nothing.
    async fn force(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let index = &self.world.index;
        let ids: Vec<_> = writes.iter().map(|write| write.id).collect();
        let states = index.read(&ids, call).await.into_iter().map(|state| state.ok().flatten());
        let condition = |state: Option<StoredState>| {
            state.map_or(WriteCondition::IfAbsent, |state| WriteCondition::IfUnchanged(state.position))
        };
        let forced =
            writes.iter().zip(states).map(|(write, state)| ConditionalWrite { condition: condition(state), ..*write });
        index.write(&forced.collect::<Vec<_>>(), call).await
    }

    /// Deletes each tombstone that was just written, as if there were none.
    async fn delete_tombstones(&self, writes: &[ConditionalWrite<'_>], answers: &[Result<Written, Problem>]) {
        for (write, answer) in writes.iter().zip(answers) {
            if let Ok(Written::Done(position)) = answer
                && *write.content == Content::Tombstone
            {
                self.world.index.delete(write.id, *position).await;
            }
        }
    }

    /// Brings unacknowledged writes to the copies of the index after a while.
    fn replicate_later(&self, writes: &[ConditionalWrite<'_>], answers: &[Result<Written, Problem>]) {
        for (write, answer) in writes.iter().zip(answers) {
            let Ok(Written::Done(position)) = answer else { continue };
            let (world, id, position) = (Arc::clone(&self.world), write.id.clone(), *position);
            let nth = self.calls.fetch_add(1, Ordering::Relaxed);
            let time = Duration::from_millis(world.chance(self.process, nth, 1_500));
            self.world.activities.spawn(async move {
                sleep(time).await;
                world.index.replicate(&id, position);
            });
        }
    }

    fn note_refusals(&self, writes: &[ConditionalWrite<'_>], answers: &[Result<Written, Problem>]) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (write, answer) in writes.iter().zip(answers) {
            if answer.is_err() {
                refused.insert(write.id.clone());
            }
        }
    }

    /// Returns a document's state as the process sees it. `written_at` is on the function's own clock, not the model's.
    fn shown(&self, id: &DocumentId, found: Option<StoredState>) -> Option<StoredState> {
        let was_refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if was_refused && !self.world.stands(Guard::ReadBeforeReject) {
            return None;
        }
        let age_ms = |written: Timestamp| {
            if self.world.stands(Guard::ConfirmedDuplicate) { self.clock().millis_since(written) } else { u64::MAX }
        };
        let on_its_clock = |age_ms: u64| Timestamp::from_millis(clock::now().as_millis().saturating_sub(age_ms));
        // Everything is newer than the lowest version.
        let version = |version: Version| {
            if self.world.stands(Guard::VersionCompare) { version } else { Version::from_stored(String::new()) }
        };
        found.map(|stored| StoredState {
            version: stored.version.map(version),
            written_at: stored.written_at.map(age_ms).map(on_its_clock),
            read_at: stored.read_at.filter(|_| self.world.stands(Guard::ReadAt)),
            ..stored
        })
    }

    /// Delivers a request when nobody waits for its answer any more.
    fn send_late(&self, writes: &[ConditionalWrite<'_>], by: Duration) {
        let writes: Vec<OwnedWrite> = writes.iter().map(OwnedWrite::from).collect();
        let late = Self::new(Arc::clone(&self.world), self.process, Arc::clone(&self.killed), self.forced);
        self.world.activities.spawn(async move {
            sleep(by).await;
            let writes: Vec<_> = writes.iter().map(OwnedWrite::borrow).collect();
            late.perform(&writes, Call::until(Instant::now() + REQUEST_TIMEOUT), false).await;
        });
    }
}

impl<I: SimulatedIndex> Target for Client<I> {
    async fn read(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        if self.forced {
            return vec![Ok(None); ids.len()];
        }
        let limit = call.deadline.min(Instant::now() + REQUEST_TIMEOUT * (1 << call.doublings));
        let (there, back) = (self.travel(), self.travel());
        let mut outdated = false;
        match self.next_fault(false) {
            Some(CallFault::Engine(EngineFault::Unreachable)) => {
                sleep(there).await;
                return vec![Err(unreachable("refused")); ids.len()];
            }
            Some(CallFault::Engine(EngineFault::Refused { status } | EngineFault::HalfRefused { status })) => {
                sleep(there).await;
                return vec![Err(Problem::Request(refusal(status))); ids.len()];
            }
            Some(CallFault::Engine(EngineFault::AnswerLost | EngineFault::Late { .. })) => {
                sleep_until(limit).await;
                return vec![Err(unreachable("timed out")); ids.len()];
            }
            Some(CallFault::Engine(EngineFault::Slow { by_ms })) => sleep(Duration::from_millis(by_ms.into())).await,
            Some(CallFault::Engine(EngineFault::Outdated)) => {
                self.world.ledger().note_outdated_read();
                outdated = true;
            }
            Some(CallFault::CrashBefore | CallFault::CrashAfter) | None => {}
        }
        sleep(there).await;
        let index = &self.world.index;
        let answers = if outdated { index.read_outdated(ids, call).await } else { index.read(ids, call).await };
        let answers: Vec<_> =
            ids.iter().zip(answers).map(|(id, answer)| answer.map(|found| self.shown(id, found))).collect();
        for (id, answer) in ids.iter().zip(&answers) {
            if let Ok(Some(StoredState { version: Some(version), .. })) = answer {
                self.world.ledger().seen(id, version);
            }
        }
        sleep(back).await;
        if Instant::now() > limit { vec![Err(unreachable("timed out")); ids.len()] } else { answers }
    }

    async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let limit = call.deadline.min(Instant::now() + REQUEST_TIMEOUT * (1 << call.doublings));
        let sent = Instant::now();
        let call = Call { with_probe: call.with_probe && self.world.stands(Guard::Probe), ..call };
        let lost = || vec![Err(Problem::TimedOut(sent.elapsed())); writes.len()];
        let (there, back) = (self.travel(), self.travel());
        let fault = self.next_fault(true);
        sleep(there).await;
        match fault {
            Some(CallFault::CrashBefore) => self.die().await,
            Some(CallFault::CrashAfter) => {
                self.perform(writes, call, false).await;
                self.die().await
            }
            Some(CallFault::Engine(EngineFault::Unreachable)) => vec![Err(unreachable("refused")); writes.len()],
            Some(CallFault::Engine(EngineFault::Refused { status })) => {
                vec![Err(Problem::Request(refusal(status))); writes.len()]
            }
            Some(CallFault::Engine(EngineFault::HalfRefused { status })) => {
                let kept: Vec<_> = writes.iter().step_by(2).copied().collect();
                let mut answers = self.perform(&kept, call, true).await.into_iter();
                let refused = || Err(Problem::Item(refusal(status)));
                let answer = |at| if at % 2 == 0 { answers.next().unwrap_or_else(refused) } else { refused() };
                (0..writes.len()).map(answer).collect()
            }
            Some(CallFault::Engine(EngineFault::Late { by_ms })) => {
                self.send_late(writes, Duration::from_millis(by_ms.into()));
                sleep_until(limit).await;
                lost()
            }
            Some(CallFault::Engine(EngineFault::AnswerLost)) => {
                self.perform(writes, call, false).await;
                sleep_until(limit).await;
                lost()
            }
            Some(CallFault::Engine(EngineFault::Slow { by_ms })) => {
                sleep(Duration::from_millis(by_ms.into())).await;
                let answers = self.perform(writes, call, true).await;
                sleep(back).await;
                if Instant::now() > limit { lost() } else { answers }
            }
            Some(CallFault::Engine(EngineFault::Outdated)) | None => {
                let answers = self.perform(writes, call, true).await;
                sleep(back).await;
                if Instant::now() > limit { lost() } else { answers }
            }
        }
    }

    async fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> Result<(), Problem> {
        sleep(self.travel()).await;
        self.world.index.probe_beside(beside, deadline).await
    }
}

fn unreachable(how: &str) -> Problem {
    Problem::Unreachable(how.into())
}

fn refusal(status: u16) -> Refusal {
    Refusal { status, kind: "scripted".into(), reason: "scripted".into() }
}
