//! Generator of schedules from seeds. With few keys and short delays, everything meets everything.

use fastrand::Rng;

use crate::schedule::{Act, EngineFault, KinesisSettings, QueueFault, RunSettings, Schedule, SimulatedSource, Step};

/// Statuses that may pass, the last two of them as if the deployment were wrong for a moment.
const STATUSES: [u16; 6] = [429, 503, 500, 403, 404, 401];

/// Seed of the part that only schedules through Kinesis have: other numbers, so that the schedules of streams stay.
const KINESIS_SEED: u64 = 0x6b69_6e65_7369_7300;

/// Generates the schedule of a seed.
#[must_use]
pub fn generate(seed: u64, source: SimulatedSource) -> Schedule {
    let schedule = through_streams(seed);
    match source {
        SimulatedSource::Streams => schedule,
        SimulatedSource::Kinesis => through_kinesis(schedule),
    }
}

/// Turns a schedule into one that begins with Kinesis.
fn through_kinesis(mut schedule: Schedule) -> Schedule {
    let mut rng = Rng::with_seed(schedule.seed ^ KINESIS_SEED);
    let mut percent = |most: u8| if rng.u8(..4) == 0 { 0 } else { rng.u8(..=most) };
    schedule.scenario.kinesis = Some(KinesisSettings {
        late_percent: percent(60),
        repeated_percent: percent(40),
        same_time_percent: percent(60),
        any_shard: rng.u8(..3) == 0,
        milliseconds: rng.u8(..4) == 0,
    });
    for step in &mut schedule.steps {
        match step.act {
            Act::Split if rng.bool() => step.act = Act::Merge,
            Act::RaiseGeneration | Act::RecreateStream if rng.bool() => step.act = Act::SwitchSource,
            _ => {}
        }
    }
    for _ in 0..rng.u8(..4) {
        let act = if rng.u8(..3) == 0 { Act::AddSource } else { Act::SwitchPrecision };
        let after_ms = if rng.bool() { 0 } else { rng.u32(0..20) };
        schedule.steps.insert(rng.usize(..=schedule.steps.len()), Step { after_ms, act });
    }
    schedule
}

fn through_streams(seed: u64) -> Schedule {
    let mut rng = Rng::with_seed(seed);
    let keys = rng.u8(1..=6);
    let scenario = scenario(&mut rng);
    let initial = if rng.u8(..3) == 0 { (0..keys).filter(|_| rng.bool()).collect() } else { Vec::new() };
    let mut generator = Generator { keys, poison: rng.u8(..3) == 0, others: rng.u8(0..=8), numbers: 0, rng };
    let length = generator.rng.usize(12..=40);
    let mut steps = Vec::with_capacity(length);
    while steps.len() < length {
        generator.add_step(&mut steps);
    }
    if !initial.is_empty() {
        let at = generator.rng.usize(..=steps.len());
        steps.insert(at, Step { after_ms: generator.rng.u32(0..50), act: Act::Backfill });
    }
    Schedule { seed, scenario, initial, steps }
}

fn scenario(rng: &mut Rng) -> RunSettings {
    RunSettings {
        batch_size: rng.usize(1..=8),
        lanes: rng.usize(1..=3),
        retries: rng.u32(0..=3),
        bisect: rng.bool(),
        maximum_age_ms: (rng.u8(..4) == 0).then(|| rng.u32(300..3_000)),
        parents_first: rng.u8(..4) != 0,
        in_order: rng.u8(..4) != 0,
        skew_ms: if rng.bool() { 0 } else { rng.u32(1..600_000) },
        kinesis: None,
    }
}

struct Generator {
    keys: u8,
    poison: bool,
    /// Number of steps in twenty that are no writes.
    others: u8,
    numbers: u32,
    rng: Rng,
}

impl Generator {
    fn add_step(&mut self, steps: &mut Vec<Step>) {
        let act = if self.rng.u8(..20) < self.others { self.other_act() } else { self.write() };
        let (settled, discarded) = (act == Act::Settle, act == Act::Discard);
        let after_ms = self.pause();
        steps.push(Step { after_ms, act });
        if settled && self.rng.bool() {
            // Now a purge has work, and what it removes may just be written again.
            steps.push(Step { after_ms: self.rng.u32(0..20), act: Act::Purge });
            let key = self.key();
            let put = self.put(key, false);
            steps.push(Step { after_ms: self.rng.u32(0..200), act: put });
        }
        if discarded && self.rng.bool() {
            // The next steps of a person who has discarded a message. Others may wait in the queue.
            steps.push(Step { after_ms: self.rng.u32(0..20), act: Act::Mend });
            steps.push(Step { after_ms: self.rng.u32(0..200), act: Act::Repair });
        }
    }

    fn pause(&mut self) -> u32 {
        match self.rng.u8(..10) {
            0..=5 => self.rng.u32(0..5),
            6..=8 => self.rng.u32(0..60),
            _ => self.rng.u32(0..800),
        }
    }

    fn key(&mut self) -> u8 {
        // The first key is hot.
        if self.rng.bool() { 0 } else { self.rng.u8(..self.keys) }
    }

    fn put(&mut self, key: u8, poison: bool) -> Act {
        self.numbers += 1;
        Act::Put { key, number: self.numbers, poison }
    }

    fn write(&mut self) -> Act {
        let key = self.key();
        if self.rng.u8(..4) == 0 {
            return Act::Delete { key };
        }
        let poison = self.poison && self.rng.u8(..5) == 0;
        self.put(key, poison)
    }

    fn other_act(&mut self) -> Act {
        match self.rng.u8(..52) {
            0..=1 => Act::Split,
            2 => Act::RecreateStream,
            3 => Act::RaiseGeneration,
            4..=5 => Act::SecondMapping,
            6..=7 => Act::Backfill,
            8..=10 => Act::Purge,
            11..=12 => Act::Settle,
            13..=18 => Act::Write(self.engine_fault()),
            19..=21 => Act::Read(self.engine_fault()),
            22 => Act::Outage { for_ms: self.rng.u32(50..2_500) },
            23..=24 => Act::CrashBefore,
            25..=26 => Act::CrashAfter,
            27..=28 => Act::LoseAnswer,
            29..=32 => Act::Redrive,
            33 => Act::Mend,
            34..=36 => Act::Send(self.queue_fault()),
            37 => Act::ReceiveTwice,
            38 => Act::Reappear,
            39 => Act::UnreadableRange,
            40..=43 => Act::FailOver,
            44 => Act::Close { for_ms: self.rng.u32(20..1_500) },
            45..=47 => Act::Discard,
            48 => Act::Repair,
            _ => Act::Redeliver { batches: self.rng.u8(1..=4) },
        }
    }

    fn queue_fault(&mut self) -> QueueFault {
        match self.rng.u8(..4) {
            0 => QueueFault::AnswerLost,
            1 => QueueFault::CrashBefore,
            2 => QueueFault::CrashAfter,
            _ => QueueFault::Refused,
        }
    }

    fn engine_fault(&mut self) -> EngineFault {
        let status = STATUSES[self.rng.usize(..STATUSES.len())];
        match self.rng.u8(..10) {
            0 => EngineFault::Unreachable,
            1..=2 => EngineFault::AnswerLost,
            3..=4 => EngineFault::Late { by_ms: self.rng.u32(100..2_500) },
            5 => EngineFault::Slow { by_ms: self.rng.u32(20..400) },
            6 => EngineFault::Refused { status },
            7 => EngineFault::HalfRefused { status },
            _ => EngineFault::Outdated,
        }
    }
}
