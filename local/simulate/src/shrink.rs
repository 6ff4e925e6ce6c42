//! Shrinks a failing schedule: leaves out steps without which it still fails.

use crate::guard::Missing;
use crate::play::play;
use crate::schedule::{KinesisSettings, Schedule, Step};

/// Maximum number of plays of one shrinking.
const PLAYS: u32 = 4_000;

/// Returns the smallest schedule found that still breaks a promise, or the schedule itself if it breaks none.
#[must_use]
pub fn shrink(schedule: Schedule, missing: Missing) -> Schedule {
    let mut shrinking = Shrinking { best: schedule, missing, plays: 0 };
    loop {
        let before = shrinking.best.clone();
        shrinking.leave_out_steps();
        shrinking.simplify();
        if shrinking.best == before || shrinking.plays >= PLAYS {
            return shrinking.best;
        }
    }
}

fn simplify_kinesis(schedule: &mut Schedule, simplify: impl Fn(&mut KinesisSettings)) {
    schedule.scenario.kinesis.iter_mut().for_each(simplify);
}

struct Shrinking {
    best: Schedule,
    missing: Missing,
    plays: u32,
}

impl Shrinking {
    /// Keeps a candidate if it still fails.
    fn offer(&mut self, candidate: Schedule) -> bool {
        if candidate == self.best || self.plays >= PLAYS {
            return false;
        }
        self.plays += 1;
        let fails = play(&candidate, self.missing, false).broken.is_some();
        if fails {
            self.best = candidate;
        }
        fails
    }

    /// Leaves out ever smaller runs of steps, with the time that they took or without.
    fn leave_out_steps(&mut self) {
        let mut length = self.best.steps.len().div_ceil(2);
        while length > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let end = (at + length).min(self.best.steps.len());
                let mut without = self.best.clone();
                let gone: Vec<Step> = without.steps.drain(at..end).collect();
                let mut waiting = without.clone();
                if let Some(next) = waiting.steps.get_mut(at) {
                    next.after_ms += gone.iter().map(|step| step.after_ms).sum::<u32>();
                }
                if !self.offer(without) && !self.offer(waiting) {
                    at += length;
                }
            }
            length /= 2;
        }
    }

    /// Sets everything that is left to the simplest value that still fails.
    fn simplify(&mut self) {
        let simpler: [fn(&mut Schedule); 14] = [
            |schedule| schedule.initial.clear(),
            |schedule| schedule.scenario.lanes = 1,
            |schedule| schedule.scenario.retries = 0,
            |schedule| schedule.scenario.bisect = false,
            |schedule| schedule.scenario.maximum_age_ms = None,
            |schedule| schedule.scenario.parents_first = true,
            |schedule| schedule.scenario.in_order = true,
            |schedule| schedule.scenario.skew_ms = 0,
            |schedule| schedule.scenario.batch_size = 1,
            |schedule| simplify_kinesis(schedule, |kinesis| kinesis.late_percent = 0),
            |schedule| simplify_kinesis(schedule, |kinesis| kinesis.repeated_percent = 0),
            |schedule| simplify_kinesis(schedule, |kinesis| kinesis.same_time_percent = 0),
            |schedule| simplify_kinesis(schedule, |kinesis| kinesis.any_shard = false),
            |schedule| simplify_kinesis(schedule, |kinesis| kinesis.milliseconds = false),
        ];
        for simplify in simpler {
            let mut candidate = self.best.clone();
            simplify(&mut candidate);
            self.offer(candidate);
        }
        for at in 0..self.best.steps.len() {
            for shorter in [0, self.best.steps[at].after_ms / 10 * 10, self.best.steps[at].after_ms / 2] {
                let mut candidate = self.best.clone();
                candidate.steps[at].after_ms = shorter;
                if self.offer(candidate) {
                    break;
                }
            }
        }
    }
}
