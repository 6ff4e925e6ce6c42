//! Faults that are about to happen in a run. Steps of the schedule add them, and whoever comes first meets each once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::schedule::{Act, EngineFault, QueueFault};

/// Faults that no call has met yet.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    writes: VecDeque<EngineFault>,
    reads: VecDeque<EngineFault>,
    outage_until: Option<Instant>,
    crashes_before: u32,
    crashes_after: u32,
    lost_answers: u32,
    redeliveries: VecDeque<u8>,
    sends: VecDeque<QueueFault>,
    received_twice: u32,
    reappearances: u32,
    unreadable_ranges: u32,
}

/// Fault of one call of the engine.
pub(crate) enum CallFault {
    Engine(EngineFault),
    CrashBefore,
    CrashAfter,
}

impl CallFault {
    /// Returns the name that it is counted under.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::CrashBefore => "crashes before a write",
            Self::CrashAfter => "crashes after a write",
            Self::Engine(EngineFault::Unreachable) => "requests that do not arrive",
            Self::Engine(EngineFault::AnswerLost) => "lost answers of the engine",
            Self::Engine(EngineFault::Late { .. }) => "late requests",
            Self::Engine(EngineFault::Slow { .. }) => "slow requests",
            Self::Engine(EngineFault::Refused { .. }) => "refused requests",
            Self::Engine(EngineFault::HalfRefused { .. }) => "half refused requests",
            Self::Engine(EngineFault::Outdated) => "outdated reads",
        }
    }
}

impl Faults {
    /// Adds the fault of a step. Other steps add nothing.
    pub(crate) fn add(&self, fault: &Act) {
        let mut waiting = self.waiting();
        match fault {
            // Only reads can be outdated.
            Act::Write(EngineFault::Outdated) => waiting.reads.push_back(EngineFault::Outdated),
            Act::Write(fault) => waiting.writes.push_back(*fault),
            Act::Read(fault) => waiting.reads.push_back(*fault),
            Act::Outage { for_ms } => {
                waiting.outage_until = Some(Instant::now() + Duration::from_millis((*for_ms).into()));
            }
            Act::CrashBefore => waiting.crashes_before += 1,
            Act::CrashAfter => waiting.crashes_after += 1,
            Act::Send(fault) => waiting.sends.push_back(*fault),
            Act::ReceiveTwice => waiting.received_twice += 1,
            Act::Reappear => waiting.reappearances += 1,
            Act::UnreadableRange => waiting.unreadable_ranges += 1,
            Act::LoseAnswer => waiting.lost_answers += 1,
            Act::Redeliver { batches } => waiting.redeliveries.push_back(*batches),
            _ => {}
        }
    }

    /// Forgets all faults that nobody has met.
    pub(crate) fn clear(&self) {
        *self.waiting() = Waiting::default();
    }

    /// Returns whether nobody reaches the engine now.
    pub(crate) fn is_outage(&self) -> bool {
        self.waiting().outage_until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes the fault of the next call of the engine.
    pub(crate) fn next_call(&self, write: bool) -> Option<CallFault> {
        let mut waiting = self.waiting();
        if write && spend(&mut waiting.crashes_before) {
            return Some(CallFault::CrashBefore);
        }
        if write && spend(&mut waiting.crashes_after) {
            return Some(CallFault::CrashAfter);
        }
        let faults = if write { &mut waiting.writes } else { &mut waiting.reads };
        faults.pop_front().map(CallFault::Engine)
    }

    /// Takes the fault of the next send to the queue.
    pub(crate) fn next_send(&self) -> Option<QueueFault> {
        self.waiting().sends.pop_front()
    }

    /// Takes the number of batches that a lane delivers once more.
    pub(crate) fn next_redelivery(&self) -> Option<u8> {
        self.waiting().redeliveries.pop_front()
    }

    /// Returns whether the answer of this invocation is lost.
    pub(crate) fn loses_answer(&self) -> bool {
        spend(&mut self.waiting().lost_answers)
    }

    /// Returns whether the messages that are received now stay visible.
    pub(crate) fn receives_twice(&self) -> bool {
        spend(&mut self.waiting().received_twice)
    }

    /// Returns whether the message that is deleted now reappears.
    pub(crate) fn reappears(&self) -> bool {
        spend(&mut self.waiting().reappearances)
    }

    /// Returns whether the stream cannot be read now.
    pub(crate) fn is_range_unreadable(&self) -> bool {
        spend(&mut self.waiting().unreadable_ranges)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one off a number of faults. Returns `true` if there was one.
fn spend(left: &mut u32) -> bool {
    let some = *left > 0;
    *left -= u32::from(some);
    some
}
