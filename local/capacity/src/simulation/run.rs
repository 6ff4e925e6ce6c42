//! The event loop of a simulated run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bottleneck::{Bottlenecks, LimitKind};
use super::chance::RandomCounts;
use super::cluster::SearchCluster;
use super::concurrency::{Executions, Started};
use super::experiment::Experiment;
use super::lag_windows::LagWindows;
use super::result::SimulatedRun;
use super::shard::SimulatedShard;
use super::span::{Arrived, WaitingChanges};
use crate::limits::{PARTITION_WRITE_UNITS, PAYLOAD_BYTES, POLL_BYTES, POLL_RECORDS, POLLS_PER_SECOND};

const MS_US: f64 = 1_000.0;
const SECOND_US: f64 = 1e6;
const POLL_US: f64 = SECOND_US / POLLS_PER_SECOND;
/// Time of a read of the stream: a full page is followed by the next read.
const READ_US: f64 = 20.0 * MS_US;
/// Pauses before a throttled invocation is tried again, as the local event source mapping makes them.
const THROTTLED_MS: (f64, f64) = (200.0, 10_000.0);
/// Pauses of the function before it sends refused documents again.
const REFUSED_MS: (f64, f64) = (40.0, 2_000.0);
/// Factor on its measured time from which a bulk request is late.
const LATE: f64 = 10.0;
/// Most calls of `progress` in a run.
const STEPS: f64 = 500.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A minute of the run begins.
    Minute,
    /// Lambda's poll of a shard.
    Poll(usize),
    /// A lane invokes the function.
    Invoke(usize),
    /// The function of a lane sends its bulk request.
    Send(usize),
    /// The function of a lane answers.
    Answer(usize),
}

#[derive(Default)]
struct SimulatedLane {
    waiting: WaitingChanges,
    /// Changes of the invocation.
    batch: Vec<Arrived>,
    /// Documents that are not written yet, as a count.
    unwritten: f64,
    is_busy: bool,
    /// Tries of the same invocation, and of the same request, that did not succeed.
    throttled: i32,
    refused: i32,
}

/// Simulates a run. `progress` is called with the share that is done.
pub fn simulate_load(experiment: &Experiment, progress: impl FnMut(f64)) -> SimulatedRun {
    Run::new(experiment).play(progress)
}

/// State of a run.
struct Run<'a> {
    experiment: &'a Experiment,
    shards: Vec<SimulatedShard>,
    lanes: Vec<SimulatedLane>,
    cluster: SearchCluster,
    executions: Executions,
    happenings: BinaryHeap<Reverse<(u64, Happening)>>,
    lags: LagWindows,
    bottlenecks: Bottlenecks,
    random: RandomCounts,
    invocations: u64,
    /// Changes that were read and are not applied.
    unapplied: u64,
    /// Last time at which a change was applied.
    applied_us: f64,
    /// Most records of a poll, of an invocation, and of the lanes of a shard together.
    poll: u64,
    batch: u32,
    read_ahead: u64,
}

impl<'a> Run<'a> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of records")]
    fn new(experiment: &'a Experiment) -> Self {
        let Experiment { scenario, batch_size, factor, .. } = experiment;
        let record_bytes = scenario.record_bytes();
        let payload = (PAYLOAD_BYTES / record_bytes).max(1.0);
        let poll = POLL_RECORDS.min(POLL_BYTES / (2.0 * scenario.item_bytes as f64)).max(1.0) as u64;
        let mut run = Self {
            experiment,
            shards: Vec::new(),
            lanes: Vec::new(),
            cluster: SearchCluster::new(experiment.cluster, &experiment.timing),
            executions: Executions::new(scenario.concurrency),
            happenings: BinaryHeap::new(),
            lags: LagWindows::new(experiment.seconds),
            bottlenecks: Bottlenecks::default(),
            random: RandomCounts::new(experiment.seed),
            invocations: 0,
            unapplied: 0,
            applied_us: 0.0,
            poll,
            batch: (*batch_size as f64).min(payload) as u32,
            read_ahead: (payload * (*factor + 2) as f64) as u64,
        };
        for shard in 0..experiment.shards {
            let lanes = run.add_lanes(1);
            run.shards.push(SimulatedShard::new(lanes, experiment.shards, shard == 0));
            // Shards are polled at different times.
            let first_us = run.random.share() * POLL_US;
            run.happen(first_us, Happening::Poll(shard as usize));
        }
        run.happen(60.0 * SECOND_US, Happening::Minute);
        run
    }

    /// Plays until all changes are applied, or as long again as changes came.
    fn play(mut self, mut progress: impl FnMut(f64)) -> SimulatedRun {
        let end_us = self.experiment.seconds * SECOND_US;
        let mut next_step_us = 0.0;
        while let Some(Reverse((at_us, happening))) = self.happenings.pop() {
            let now_us = at_us as f64;
            if now_us >= next_step_us {
                progress((now_us / end_us).min(1.0));
                next_step_us += end_us / STEPS;
            }
            let is_drained = self.unapplied == 0 && self.shards.iter().all(|shard| shard.unread() == 0);
            if now_us > 2.0 * end_us || (now_us > end_us + POLL_US && is_drained) {
                break;
            }
            match happening {
                Happening::Minute => {
                    self.executions.next_minute();
                    self.happen(now_us + 60.0 * SECOND_US, Happening::Minute);
                }
                Happening::Poll(shard) => self.poll(shard, now_us, end_us),
                Happening::Invoke(lane) => self.invoke(lane, now_us),
                Happening::Send(lane) => self.send(lane, now_us),
                Happening::Answer(lane) => self.answer(lane, now_us),
            }
        }
        self.result()
    }

    fn result(self) -> SimulatedRun {
        let Experiment { scenario, course, batch_size, factor, shards, cluster, seconds, .. } = self.experiment;
        let (lag, changes) = self.lags.all();
        let open = self.shards.iter().filter(|shard| shard.children.is_none()).count() as u64;
        let processors_us = f64::from(cluster.nodes * cluster.processors) * self.applied_us;
        let is_drained = self.unapplied == 0 && self.shards.iter().all(|shard| shard.unread() == 0);
        SimulatedRun {
            course: *course,
            rate: scenario.rate,
            batch_size: *batch_size,
            factor: *factor,
            shards: [*shards, open],
            nodes: cluster.nodes,
            processors: cluster.processors,
            changes,
            invocations: self.invocations,
            highest_concurrency: self.executions.highest,
            busy_nodes: self.cluster.used_us / processors_us.max(1.0),
            lag,
            drained_s: is_drained.then_some((self.applied_us / SECOND_US - seconds).max(0.0)),
            bound: self.bottlenecks.bound(),
            windows: self.lags.over_time(),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of a run")]
    fn happen(&mut self, at_us: f64, happening: Happening) {
        self.happenings.push(Reverse((at_us.round() as u64, happening)));
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most ten lanes of each shard")]
    fn add_lanes(&mut self, shards: usize) -> std::ops::Range<usize> {
        let first = self.lanes.len();
        let count = self.experiment.factor as usize * shards;
        self.lanes.resize_with(first + count, SimulatedLane::default);
        first..first + count
    }

    fn poll(&mut self, shard: usize, now_us: f64, end_us: f64) {
        self.write(shard, now_us.min(end_us));
        let lanes = self.shards[shard].lanes.clone();
        let late_us = self.experiment.scenario.lag_ms * MS_US;
        let is_late = |lane: &SimulatedLane| lane.waiting.oldest_us().is_some_and(|oldest| now_us - oldest > late_us);
        let late = self.lanes[lanes.clone()].iter().filter(|lane| is_late(lane)).count();
        if late > 0 {
            self.bottlenecks.note(LimitKind::Lanes, now_us, late as u64);
        }
        let waiting: u64 = self.lanes[lanes.clone()].iter().map(|lane| lane.waiting.count()).sum();
        let most = self.poll.min(self.read_ahead.saturating_sub(waiting));
        let read = self.shards[shard].read(most, |lane, arrived| self.lanes[lane].waiting.push(arrived));
        self.unapplied += read;
        for lane in lanes.clone() {
            if !self.lanes[lane].is_busy && self.lanes[lane].waiting.count() > 0 {
                self.lanes[lane].is_busy = true;
                self.happen(now_us, Happening::Invoke(lane));
            }
        }
        if self.shards[shard].is_read() && lanes.clone().all(|lane| !self.lanes[lane].is_busy) {
            for child in self.shards[shard].children.clone().unwrap_or_default() {
                self.happen(now_us, Happening::Poll(child));
            }
            return;
        }
        let is_full = read == self.poll;
        if is_full {
            self.bottlenecks.note(LimitKind::Poll, now_us, 1);
        }
        self.happen(now_us + if is_full { READ_US } else { POLL_US }, Happening::Poll(shard));
    }

    /// Draws the writes of a shard since its last poll, and splits it where DynamoDB would.
    fn write(&mut self, shard: usize, now_us: f64) {
        let Experiment { scenario, course, .. } = self.experiment;
        let (at_s, most) = (now_us / SECOND_US, PARTITION_WRITE_UNITS / scenario.write_units());
        let load = course.load(at_s, scenario.rate, most);
        let refused = self.shards[shard].write(load, most, now_us, &mut self.random);
        if refused > 0 {
            self.bottlenecks.note(LimitKind::PartitionWrites, now_us, refused);
        }
        if self.shards[shard].is_hot(now_us) {
            self.bottlenecks.note(LimitKind::ParentShard, now_us, 1);
            let (first, lanes) = (self.shards.len(), self.add_lanes(2));
            let children = self.shards[shard].split(first, lanes, now_us);
            self.shards.extend(children);
        }
    }

    fn invoke(&mut self, number: usize, now_us: f64) {
        let Experiment { scenario, timing, cold_start_ms, .. } = self.experiment;
        let lane = &mut self.lanes[number];
        let started = match self.executions.start(now_us) {
            Ok(started) => started,
            Err(limit) => {
                self.bottlenecks.note(limit, now_us, 1);
                let pause_us = pause_ms(THROTTLED_MS, lane.throttled, self.random.share()) * MS_US;
                lane.throttled += 1;
                return self.happen(now_us + pause_us, Happening::Invoke(number));
            }
        };
        (lane.throttled, lane.refused) = (0, 0);
        let records = f64::from(lane.waiting.take(self.batch, &mut lane.batch));
        lane.unwritten = records;
        self.invocations += 1;
        let cold_ms = if started == Started::Cold { *cold_start_ms } else { 0.0 };
        let until_request_ms = scenario.overhead_ms + cold_ms + scenario.work_ms(timing.cpu_ms(records), 0.0, records);
        self.happen(until_request_ms.mul_add(MS_US, now_us), Happening::Send(number));
    }

    fn send(&mut self, number: usize, now_us: f64) {
        let Experiment { timing, course, .. } = self.experiment;
        self.cluster.slow_down_one(course.slowness(now_us / SECOND_US));
        let (lane, first) = (&mut self.lanes[number], self.random.below(self.cluster.len()));
        let answer = self.cluster.bulk(lane.unwritten, first, now_us);
        if answer.at_us - now_us > LATE * timing.engine_ms(lane.unwritten) * MS_US {
            self.bottlenecks.note(LimitKind::NodeProcessors, now_us, 1);
        }
        if answer.refused <= 0.0 {
            return self.happen(answer.at_us, Happening::Answer(number));
        }
        self.bottlenecks.note(LimitKind::NodeQueue, now_us, 1);
        lane.unwritten *= answer.refused;
        let pause_us = pause_ms(REFUSED_MS, lane.refused, self.random.share()) * MS_US;
        lane.refused += 1;
        self.happen(answer.at_us + pause_us, Happening::Send(number));
    }

    fn answer(&mut self, number: usize, now_us: f64) {
        self.executions.end();
        self.applied_us = now_us;
        let lane = &mut self.lanes[number];
        for arrived in lane.batch.drain(..) {
            self.lags.record(|nth| arrived.at_us(nth), arrived.changes, now_us);
            self.unapplied -= u64::from(arrived.changes);
        }
        lane.is_busy = lane.waiting.count() > 0;
        if lane.is_busy {
            self.happen(now_us, Happening::Invoke(number));
        }
    }
}

/// Pause before the next try: it doubles up to the longest, and loses up to a half at random.
fn pause_ms((first, longest): (f64, f64), tries: i32, random: f64) -> f64 {
    (first * 2_f64.powi(tries.min(30))).min(longest) * (0.5 + random / 2.0)
}
