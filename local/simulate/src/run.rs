//! Runs of many schedules, on all cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::counts::EventCounts;
use crate::generate::generate;
use crate::guard::Missing;
use crate::play::play;
use crate::promise::Broken;
use crate::shrink::shrink;
use crate::{Played, Schedule, SimulatedSource};

/// A run of the schedules of `seed`, `seed + 1` and so on.
#[derive(Clone, Copy, Debug)]
pub struct SimulationRun {
    /// Number of schedules to play.
    pub schedules: u64,
    /// Seed of the first schedule.
    pub seed: u64,
    /// Source of the records.
    pub source: SimulatedSource,
    /// Guards that are taken away in all of them.
    pub missing: Missing,
    /// Number of threads that play them.
    pub jobs: usize,
}

/// Result of a run.
#[derive(Clone, Debug, Default)]
pub struct RunSummary {
    /// Number of schedules played: all, unless a promise was broken.
    pub played: u64,
    /// Numbers of their events.
    pub counts: EventCounts,
    /// Hash of all their traces.
    pub trace: u64,
    /// Seed of the first schedule that broke a promise, and the promise.
    pub broken: Option<(u64, Broken)>,
}

impl SimulationRun {
    /// Plays until all are done or a promise is broken. The same run ends the same, with any number of threads.
    #[must_use]
    pub fn play(&self, done: &AtomicU64) -> RunSummary {
        let next = AtomicU64::new(0);
        let end = AtomicU64::new(self.schedules);
        let summary = Mutex::new(RunSummary::default());
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.play_seeds(&next, &end, done, &summary));
            }
        });
        summary.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn play_seeds(&self, next: &AtomicU64, end: &AtomicU64, done: &AtomicU64, summary: &Mutex<RunSummary>) {
        loop {
            // Seeds are dealt in order, so all before the first broken one are played.
            let nth = next.fetch_add(1, Ordering::SeqCst);
            if nth >= end.load(Ordering::SeqCst) {
                return;
            }
            let seed = self.seed.wrapping_add(nth);
            let played = play(&generate(seed, self.source), self.missing, false);
            done.fetch_add(1, Ordering::Relaxed);
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            summary.add(seed, played);
            if summary.broken.as_ref().is_some_and(|(broken, _)| *broken == seed) {
                end.fetch_min(nth, Ordering::SeqCst);
            }
        }
    }
}

impl RunSummary {
    fn add(&mut self, seed: u64, played: Played) {
        self.played += 1;
        self.counts.merge(&played.counts);
        self.trace ^= played.trace.rotate_left((seed % 64) as u32);
        if let Some(broken) = played.broken
            && self.broken.as_ref().is_none_or(|(first, _)| seed < *first)
        {
            self.broken = Some((seed, broken));
        }
    }
}

/// Returns the smallest schedule found that still breaks a promise. Plays on a thread of its own: the caller may have a
/// runtime.
#[must_use]
pub fn shrunk(schedule: Schedule, missing: Missing) -> Schedule {
    on_own_thread(|| shrink(schedule, missing))
}

/// Plays one schedule, and keeps every line of its log. Plays on a thread of its own.
#[must_use]
pub fn replay(schedule: &Schedule, missing: Missing) -> Played {
    on_own_thread(|| play(schedule, missing, true))
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
