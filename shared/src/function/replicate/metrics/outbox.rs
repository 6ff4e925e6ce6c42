//! Metrics that wait: first for the answer of their invocation, then for further invocations.
//!
//! A line per invocation would cost more than the invocation. So a process writes at most one line per second, and
//! aggregates the invocations between two lines. Two kinds are written immediately: records that were not applied, and
//! the first invocation after a quiet second. If a process idles within a second of its last line, its metrics wait for
//! its next invocation or its end. Lambda freezes it, so no timer of its own could help.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Metrics;
use super::line::{self, MOST_VALUES};
use crate::function::clock::now;
use crate::time::Timestamp;

/// Minimum time between two lines that are not urgent.
const PERIOD_MS: u64 = 1_000;
/// Resolution of our metrics in CloudWatch. Invocations of two different minutes need two lines.
const MINUTE_MS: u64 = 60_000;

/// Metrics of a process that are not written yet.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    sums: Vec<Sum>,
    /// Time at which lines were written last.
    written: Option<Timestamp>,
}

/// Aggregate over the invocations of one index in one minute.
#[derive(Debug)]
struct Sum {
    index: String,
    metrics: Metrics,
    invocations: usize,
    /// End of the first invocation.
    at: Timestamp,
}

impl Outbox {
    /// Takes the metrics of an invocation that is about to be answered.
    pub fn put(&self, metrics: Metrics, index: &str) {
        self.waiting().put(metrics, index, now());
    }

    /// Writes the lines that are due to standard output, which Lambda logs. Call it before asking for the next event:
    /// from then on, Lambda may freeze the process.
    pub fn flush(&self) {
        let mut waiting = self.waiting();
        let now = now();
        if waiting.is_due(now) {
            print(&waiting.lines(now));
        }
    }

    /// Writes everything that waits. Call it when the process ends.
    pub fn close(&self) {
        print(&self.waiting().lines(now()));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::print_stdout, reason = "metrics are lines on standard output; the macro lets tests capture them")]
fn print(lines: &[u8]) {
    print!("{}", String::from_utf8_lossy(lines));
}

impl Waiting {
    fn put(&mut self, metrics: Metrics, index: &str, at: Timestamp) {
        match self.sums.last_mut() {
            Some(sum) if sum.takes(index, at) => {
                sum.metrics.add(metrics);
                sum.invocations += 1;
            }
            _ => self.sums.push(Sum { index: index.to_owned(), metrics, invocations: 1, at }),
        }
    }

    /// Returns `true` if some metrics are due.
    fn is_due(&self, now: Timestamp) -> bool {
        let is_quiet_over = self.written.is_none_or(|written| now < written || now.millis_since(written) >= PERIOD_MS);
        match &self.sums[..] {
            [] => false,
            [sum] => is_quiet_over || sum.metrics.is_urgent() || sum.invocations >= MOST_VALUES,
            [_, ..] => true,
        }
    }

    /// Takes everything that waits, as lines.
    fn lines(&mut self, now: Timestamp) -> Vec<u8> {
        self.written = Some(now);
        self.sums.drain(..).flat_map(|sum| line::write(&sum.metrics, &sum.index, sum.at)).collect()
    }
}

impl Sum {
    fn takes(&self, index: &str, at: Timestamp) -> bool {
        let is_same_minute = self.at.as_millis() / MINUTE_MS == at.as_millis() / MINUTE_MS;
        self.invocations < MOST_VALUES && self.index == index && is_same_minute
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::outcome::OutcomeCounts;

    /// A whole minute, in milliseconds since the epoch.
    const MINUTE: u64 = 1_768_469_460_000;

    /// A process whose invocations end at given times after a whole minute.
    #[derive(Default)]
    struct Process(Waiting);

    impl Process {
        /// Ends an invocation. Returns the lines that are written behind its answer.
        fn end(&mut self, after_ms: u64, metrics: Metrics) -> Vec<Value> {
            let at = Timestamp::from_millis(MINUTE + after_ms);
            self.0.put(metrics, "i", at);
            if self.0.is_due(at) { self.written(after_ms) } else { Vec::new() }
        }

        fn written(&mut self, after_ms: u64) -> Vec<Value> {
            let lines = self.0.lines(Timestamp::from_millis(MINUTE + after_ms));
            serde_json::Deserializer::from_slice(&lines).into_iter().map(|line| line.expect("JSON")).collect()
        }
    }

    /// Metrics of an invocation with one record.
    fn ended(outcomes: OutcomeCounts) -> Metrics {
        Metrics { outcomes, ..Metrics::new(1) }
    }

    fn applied() -> Metrics {
        let mut metrics = ended(OutcomeCounts { applied: 1, ..OutcomeCounts::default() });
        metrics.lags_ms = vec![7];
        metrics.engine(Duration::from_micros(400), 1);
        metrics
    }

    fn sums(lines: &[Value], name: &str) -> Vec<u64> {
        lines.iter().filter_map(|line| line[name].as_u64()).collect()
    }

    #[test]
    fn an_invocation_after_a_quiet_second_is_told_at_once() {
        let mut process = Process::default();
        for after_ms in [0, 1_000, 2_500, 50_000] {
            assert_eq!(sums(&process.end(after_ms, applied()), "Applied"), [1], "{after_ms}");
        }
    }

    #[test]
    fn a_busy_process_writes_a_line_per_second_and_loses_none() {
        let mut process = Process::default();
        let mut lines: Vec<Value> = (0..400).flat_map(|nth| process.end(nth * 20, applied())).collect();
        assert_eq!(sums(&lines, "Applied"), [1, 50, 50, 50, 50, 50, 50, 50]);
        lines.extend(process.written(8_000));
        assert_eq!(sums(&lines, "Applied").iter().sum::<u64>(), 400);
        assert_eq!(process.written(9_000), [] as [Value; 0], "nothing is told twice");
    }

    #[test]
    fn no_line_holds_more_values_than_cloudwatch_takes() {
        let mut process = Process::default();
        let lines: Vec<Value> = (0..1_001).flat_map(|_| process.end(10, applied())).collect();
        assert_eq!(sums(&lines, "Applied"), [&[1][..], &[100; 10]].concat());
        for line in &lines[1..] {
            for metric in ["EngineTime", "ReplicationLag"] {
                assert_eq!(line[metric]["Values"].as_array().map(Vec::len), Some(MOST_VALUES));
            }
        }
    }

    #[test]
    fn what_was_not_applied_is_told_at_once_with_all_that_waits() {
        let mut problem = Metrics::new(1);
        problem.problem("mapper_parsing_exception");
        let none = OutcomeCounts::default();
        for (urgent, lines) in [
            (ended(OutcomeCounts { rejected: 1, ..none }), 1),
            (ended(OutcomeCounts { failed: 1, ..none }), 1),
            (ended(OutcomeCounts { order_anomalies: 1, ..none }), 1),
            (problem, 2),
        ] {
            let mut process = Process::default();
            process.end(0, applied());
            assert_eq!(process.end(1, applied()).len(), 0);
            let told = process.end(2, urgent);
            assert_eq!((told.len(), sums(&told, "Records")), (lines, vec![2]));
        }
    }

    #[test]
    fn each_line_has_the_time_of_its_invocations() {
        let mut process = Process::default();
        process.end(59_500, applied());
        assert_eq!(process.end(59_600, applied()).len(), 0);
        // Frozen for an hour: its metrics belong to the minute in which they happened.
        let lines = process.end(3_600_000, applied());
        let times: Vec<_> = lines.iter().map(|line| line["_aws"]["Timestamp"].as_u64()).collect();
        assert_eq!(times, [Some(MINUTE + 59_600), Some(MINUTE + 3_600_000)]);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_up() {
        let mut process = Process::default();
        process.end(30_000, applied());
        assert_eq!(process.end(10, applied()).len(), 1);
    }
}
