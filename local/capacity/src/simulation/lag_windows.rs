//! Lag over time: quantiles of the changes that came within each window.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Windows of a run.
const WINDOWS: f64 = 288.0;
/// Longest lag that is told apart, in microseconds: two days.
const LONGEST_US: u64 = 2 * 86_400 * 1_000_000;
/// Digits of a lag.
const DIGITS: u8 = 2;
/// Changes of a span whose lags are told apart.
const TOLD_APART: u32 = 8;

/// Quantiles of a lag, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LagFigures {
    /// Lag of the median change.
    pub p50_ms: f64,
    /// Lag of 99 % of the changes.
    pub p99_ms: f64,
    /// Lag of the latest change.
    pub max_ms: f64,
}

/// Lag of the changes that came within one window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LagWindow {
    /// Middle of the window, in seconds from the beginning.
    pub at_s: f64,
    /// Changes per second within the window.
    pub rate: f64,
    /// Lag of these changes.
    #[serde(flatten)]
    pub lag: LagFigures,
}

pub(super) struct LagWindows {
    window_us: f64,
    windows: Vec<Histogram<u64>>,
}

impl LagWindows {
    pub(super) fn new(seconds: f64) -> Self {
        let window_s = (seconds / WINDOWS).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the windows")]
        let count = (seconds / window_s).ceil() as usize;
        let empty =
            Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("invariant: the bounds and digits are valid");
        Self { window_us: window_s * 1e6, windows: vec![empty; count.max(1)] }
    }

    /// Records the lags of changes that came evenly from one time to another and were done at a third.
    pub(super) fn record(&mut self, came_at_us: impl Fn(f64) -> f64, changes: u32, done_us: f64) {
        let steps = changes.min(TOLD_APART);
        for step in 0..steps {
            // Changes that stand for this step: the spread is even, the rest goes to the last one.
            let (from, to) = (step * changes / steps, (step + 1) * changes / steps);
            let came_us = came_at_us(f64::from(from + to - 1) / 2.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a run")]
            let (window, lag_us) = ((came_us / self.window_us) as usize, (done_us - came_us).max(1.0) as u64);
            let window = window.min(self.windows.len() - 1);
            self.windows[window].saturating_record_n(lag_us, u64::from(to - from));
        }
    }

    /// Lag of each window with changes.
    pub(super) fn over_time(&self) -> Vec<LagWindow> {
        let window_s = self.window_us / 1e6;
        let windows = self.windows.iter().enumerate().filter(|(_, lags)| !lags.is_empty());
        let window = |(nth, lags): (usize, &Histogram<u64>)| LagWindow {
            at_s: (nth as f64 + 0.5) * window_s,
            rate: lags.len() as f64 / window_s,
            lag: figures(lags),
        };
        windows.map(window).collect()
    }

    /// Lag of all changes, and their number.
    pub(super) fn all(&self) -> (LagFigures, u64) {
        let mut all = self.windows[0].clone();
        for window in &self.windows[1..] {
            all.add(window).expect("invariant: all have the same bounds");
        }
        (figures(&all), all.len())
    }
}

fn figures(lags: &Histogram<u64>) -> LagFigures {
    let at = |share: f64| lags.value_at_quantile(share) as f64 / 1_000.0;
    LagFigures { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: lags.max() as f64 / 1_000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_counts_in_the_window_in_which_its_change_came() {
        let mut lags = LagWindows::new(10.0);
        lags.record(|nth| nth * 1e6, 4, 5e6);
        let windows = lags.over_time();
        let seen: Vec<(f64, f64)> = windows.iter().map(|window| (window.at_s, window.rate)).collect();
        assert_eq!(seen, [(0.5, 1.0), (1.5, 1.0), (2.5, 1.0), (3.5, 1.0)]);
        assert!((windows[1].lag.max_ms / 4_000.0 - 1.0).abs() < 0.01, "{windows:?}");
        let (all, changes) = lags.all();
        assert!(changes == 4 && (all.max_ms / 5_000.0 - 1.0).abs() < 0.01, "{all:?}");
    }

    #[test]
    fn many_changes_are_all_counted() {
        let mut lags = LagWindows::new(1.0);
        lags.record(|nth| nth * 100.0, 1_003, 200_000.0);
        let (all, changes) = lags.all();
        assert_eq!(changes, 1_003);
        assert!((all.p50_ms - 150.0).abs() < 8.0, "{all:?}");
    }
}
