//! Faults that are about to happen in a run. Steps of the schedule arm them, and whoever comes first meets each once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::schedule::{Act, EngineFault, QueueFault};

/// Faults that nobody has met yet.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Armed>);

#[derive(Default)]
struct Armed {
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
pub(crate) enum Trouble {
    Engine(EngineFault),
    CrashBefore,
    CrashAfter,
}

impl Trouble {
    /// Name that it is counted under.
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
    /// Arms the fault that a step is; other steps arm nothing.
    pub(crate) fn arm(&self, fault: &Act) {
        let mut armed = self.armed();
        match fault {
            // Only reads can be outdated.
            Act::Write(EngineFault::Outdated) => armed.reads.push_back(EngineFault::Outdated),
            Act::Write(fault) => armed.writes.push_back(*fault),
            Act::Read(fault) => armed.reads.push_back(*fault),
            Act::Outage { for_ms } => {
                armed.outage_until = Some(Instant::now() + Duration::from_millis((*for_ms).into()));
            }
            Act::CrashBefore => armed.crashes_before += 1,
            Act::CrashAfter => armed.crashes_after += 1,
            Act::Send(fault) => armed.sends.push_back(*fault),
            Act::ReceiveTwice => armed.received_twice += 1,
            Act::Reappear => armed.reappearances += 1,
            Act::UnreadableRange => armed.unreadable_ranges += 1,
            Act::LoseAnswer => armed.lost_answers += 1,
            Act::Redeliver { batches } => armed.redeliveries.push_back(*batches),
            _ => {}
        }
    }

    /// Forgets all faults that nobody has met.
    pub(crate) fn disarm(&self) {
        *self.armed() = Armed::default();
    }

    /// Returns whether nobody reaches the engine now.
    pub(crate) fn is_outage(&self) -> bool {
        self.armed().outage_until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes the fault of the next call of the engine.
    pub(crate) fn next_call(&self, write: bool) -> Option<Trouble> {
        let mut armed = self.armed();
        if write && spend(&mut armed.crashes_before) {
            return Some(Trouble::CrashBefore);
        }
        if write && spend(&mut armed.crashes_after) {
            return Some(Trouble::CrashAfter);
        }
        let faults = if write { &mut armed.writes } else { &mut armed.reads };
        faults.pop_front().map(Trouble::Engine)
    }

    /// Takes the fault of sending the next letter.
    pub(crate) fn next_send(&self) -> Option<QueueFault> {
        self.armed().sends.pop_front()
    }

    /// Takes the number of batches that a lane delivers once more.
    pub(crate) fn next_redelivery(&self) -> Option<u8> {
        self.armed().redeliveries.pop_front()
    }

    /// Returns whether the answer of this invocation is lost.
    pub(crate) fn loses_answer(&self) -> bool {
        spend(&mut self.armed().lost_answers)
    }

    /// Returns whether the letters that are received now stay visible.
    pub(crate) fn receives_twice(&self) -> bool {
        spend(&mut self.armed().received_twice)
    }

    /// Returns whether the letter that is deleted now comes back.
    pub(crate) fn reappears(&self) -> bool {
        spend(&mut self.armed().reappearances)
    }

    /// Returns whether the stream cannot be read now.
    pub(crate) fn is_range_unreadable(&self) -> bool {
        spend(&mut self.armed().unreadable_ranges)
    }

    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one of what is left, if any is.
fn spend(left: &mut u32) -> bool {
    let some = *left > 0;
    *left -= u32::from(some);
    some
}
