//! Lag of the index: from the writer's clock in each item to the moment when the function has reported its record as
//! done, which is after the engine has acknowledged the write.
//!
//! Removals carry no new image, so their lag is not known; they pass through the same lanes as all others. Poison is
//! delivered, too, but never indexed: it has no lag.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Deserialize;

use super::activity::POISON;
use crate::mapping::Observe;
use crate::mapping::record::StreamRecord;

/// One hour, in microseconds: the longest lag that is told apart.
const LONGEST_US: u64 = 3_600_000_000;

/// Fewest changes of a window of [`windows_ms`]: with fewer, the p99 is the lag of a single change.
const WINDOW_CHANGES: usize = 100;
/// Changes of a window on average: more than the fewest, for they do not come evenly.
const USUAL_WINDOW_CHANGES: f64 = 150.0;

/// Samples that [`Lag::by_the_stream`] keeps: it may run for days.
const KEPT_SAMPLES: usize = 200_000;

/// Collects the lag of every change with a new image.
#[derive(Debug)]
pub struct Lag {
    halves: Mutex<Halves>,
    clock: LagClock,
}

/// Clock that says when a change was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LagClock {
    /// The writer's, which is in each item of a [load](crate::load).
    Writer,
    /// DynamoDB's, which has whole seconds. Removals have a lag, too.
    Stream,
}

#[derive(Debug)]
struct Halves {
    all: Histogram<u64>,
    /// By order of arrival: shows whether the lag grows.
    samples: VecDeque<LagSample>,
}

#[derive(Clone, Copy, Debug)]
struct LagSample {
    written_at_us: u64,
    lag_us: u64,
}

impl Default for Lag {
    fn default() -> Self {
        Self::by(LagClock::Writer)
    }
}

impl Default for Halves {
    fn default() -> Self {
        Self { all: histogram(), samples: VecDeque::new() }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are valid")
}

impl Lag {
    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by(clock: LagClock) -> Self {
        Self { halves: Mutex::default(), clock }
    }

    /// Lag of any table's changes, by DynamoDB's own clock.
    #[must_use]
    pub fn by_the_stream() -> Self {
        Self::by(LagClock::Stream)
    }

    /// The clock that says when a change was written.
    #[must_use]
    pub fn clock(&self) -> LagClock {
        self.clock
    }

    /// Lag of the change that was delivered last, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a lag of 2^53 microseconds is that of no change")]
    pub fn last_ms(&self) -> Option<f64> {
        self.halves().samples.back().map(|sample| sample.lag_us as f64 / 1_000.0)
    }

    /// Two quantiles of each second from `since` on, by when its changes were written: seconds since 1970, and
    /// milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a lag of 2^53 microseconds is that of no change")]
    pub fn each_second_ms(&self, since: u64, quantiles: [f64; 2]) -> Vec<(u64, [f64; 2])> {
        let since_us = since.saturating_mul(1_000_000);
        let mut seconds: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        // Samples are in the order of arrival: all before the first one that arrived too early are too old.
        let halves = self.halves();
        let arrived = halves.samples.iter().rev();
        for sample in arrived.take_while(|sample| sample.written_at_us + sample.lag_us >= since_us) {
            seconds.entry(sample.written_at_us / 1_000_000).or_default().push(sample.lag_us);
        }
        drop(halves);
        let seconds = seconds.into_iter().filter(|(second, _)| *second >= since);
        let told = seconds.map(|(second, mut lags)| {
            lags.sort_unstable();
            (second, quantiles.map(|quantile| lags[nearest_rank(lags.len(), quantile)] as f64 / 1_000.0))
        });
        told.collect()
    }

    /// The lag that this share of changes stays within, in milliseconds; `None` before the first change.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        quantile_ms(&self.halves().all, quantile)
    }

    /// For each second of the run, by when its changes were written, this quantile in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    pub fn over_time_ms(&self, quantile: f64) -> Vec<(f64, f64)> {
        let mut seconds: BTreeMap<u64, Histogram<u64>> = BTreeMap::new();
        let samples = &self.halves().samples;
        let start = samples.iter().map(|sample| sample.written_at_us).min().unwrap_or_default();
        for sample in samples {
            let second = (sample.written_at_us - start) / 1_000_000;
            seconds.entry(second).or_insert_with(histogram).saturating_record(sample.lag_us);
        }
        let told =
            seconds.into_iter().filter_map(|(second, lags)| Some((second as f64, quantile_ms(&lags, quantile)?)));
        told.collect()
    }

    /// Quantile over the time at which changes were written, as [`windows_ms`] has it.
    #[must_use]
    pub fn windows_ms(&self, quantile: f64) -> Vec<(f64, f64)> {
        let samples = &self.halves().samples;
        let start = samples.iter().map(|sample| sample.written_at_us).min().unwrap_or_default();
        let samples: Vec<_> = samples.iter().map(|sample| (sample.written_at_us - start, sample.lag_us)).collect();
        windows_ms(&samples, quantile)
    }

    /// Takes everything so far out: what follows is measured by itself.
    #[must_use]
    pub fn take(&self) -> Self {
        Self { halves: Mutex::new(std::mem::take(&mut *self.halves())), clock: self.clock }
    }

    /// Forgets everything so far: it was a warm-up.
    pub fn forget(&self) {
        *self.halves() = Halves::default();
    }

    /// The greatest lag, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> Option<f64> {
        self.quantile_ms(1.0)
    }

    /// The same quantile of the first half of the changes, and of the second.
    #[must_use]
    pub fn quantile_of_halves_ms(&self, quantile: f64) -> (Option<f64>, Option<f64>) {
        let halves = self.halves();
        let half = halves.samples.len() / 2;
        let of = |samples: Range<usize>| {
            let mut part = histogram();
            halves.samples.range(samples).for_each(|sample| part.saturating_record(sample.lag_us));
            quantile_ms(&part, quantile)
        };
        (of(0..half), of(half..halves.samples.len()))
    }
}

/// Quantile over time: seconds at the middle of each window, and milliseconds.
///
/// Windows are whole seconds, as many as about 150 changes take; those with fewer than 100 changes are left out.
/// `samples` are microseconds since the start of the run, and lags in microseconds.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a run"
)]
pub fn windows_ms(samples: &[(u64, u64)], quantile: f64) -> Vec<(f64, f64)> {
    let end_us = samples.iter().map(|(at_us, _)| *at_us).max().unwrap_or_default();
    let per_second = samples.len() as f64 / (end_us as f64 / 1e6).max(1.0);
    let seconds = (USUAL_WINDOW_CHANGES / per_second).ceil().max(1.0);
    let mut windows: BTreeMap<u64, Histogram<u64>> = BTreeMap::new();
    for (at_us, lag_us) in samples {
        let window = at_us / (seconds as u64 * 1_000_000);
        windows.entry(window).or_insert_with(histogram).saturating_record(*lag_us);
    }
    windows.retain(|_, lags| lags.len() >= WINDOW_CHANGES as u64);
    let places = windows.into_iter();
    places.filter_map(|(nth, lags)| Some(((nth as f64 + 0.5) * seconds, quantile_ms(&lags, quantile)?))).collect()
}

/// Index of a quantile among so many values in their order; there is at least one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the changes of a second"
)]
fn nearest_rank(values: usize, quantile: f64) -> usize {
    ((quantile * values as f64).ceil() as usize).clamp(1, values) - 1
}

fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1_000.0)
}

impl Observe for Lag {
    fn delivered(&self, records: &[StreamRecord]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let written_at_us = |record: &StreamRecord| match self.clock {
            LagClock::Writer => written_at_us(record.json()),
            LagClock::Stream => Some(u64::try_from(record.arrival_ms()).unwrap_or_default() * 1_000),
        };
        let mut halves = self.halves();
        for written_at_us in records.iter().filter_map(written_at_us) {
            let lag_us = now.saturating_sub(written_at_us);
            halves.all.saturating_record(lag_us);
            halves.samples.push_back(LagSample { written_at_us, lag_us });
        }
        if self.clock == LagClock::Stream {
            let surplus = halves.samples.len().saturating_sub(KEPT_SAMPLES);
            halves.samples.drain(..surplus);
        }
    }
}

fn written_at_us(record: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct RecordJson {
        dynamodb: ChangeJson,
    }
    #[derive(Deserialize)]
    struct ChangeJson {
        #[serde(rename = "NewImage")]
        new_image: Option<ImageJson>,
    }
    #[derive(Deserialize)]
    struct ImageJson {
        written_at_us: Option<BTreeMap<String, String>>,
        follow_up: Option<BTreeMap<String, String>>,
    }
    let record: RecordJson = serde_json::from_slice(record).ok()?;
    let image = record.dynamodb.new_image?;
    let poison = image.follow_up.is_some_and(|at| at.get("S").is_some_and(|at| at == POISON));
    if poison { None } else { image.written_at_us?.get("N")?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_window_has_enough_changes_for_its_p99() {
        // 20 changes per second take 8 seconds for a window; the last four seconds are too few.
        let slow: Vec<_> = (0..400).map(|n| (n * 50_000, 1_000 * n)).collect();
        let places = windows_ms(&slow, 1.0);
        assert_eq!(places.iter().map(|place| place.0).collect::<Vec<_>>(), [4.0, 12.0]);
        assert!((places[0].1 - 159.0).abs() < 0.5, "{places:?}");
        assert!(windows_ms(&slow[..50], 0.99).is_empty() && windows_ms(&[], 0.99).is_empty());
    }

    #[test]
    fn the_lag_is_taken_from_the_new_image() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        let record = |image: &str| {
            let json = format!(
                r#"{{"dynamodb":{{"Keys":{{"pk":{{"S":"a"}}}},"SequenceNumber":"1",{image}"OldImage":{{"written_at_us":{{"N":"1"}}}}}}}}"#
            );
            StreamRecord::from_json(Bytes::from(json), "pk").expect("a record")
        };
        let lag = Lag::default();
        assert_eq!(lag.quantile_ms(0.5), None);
        lag.delivered(&[record("")]);
        assert_eq!(lag.quantile_ms(0.5), None, "a removal has no lag");
        lag.delivered(&[record(&format!(r#""NewImage":{{"written_at_us":{{"N":"{}"}}}},"#, now - 100_000))]);
        let half = lag.take().quantile_ms(0.5).expect("a lag");
        assert!((100.0..1_000.0).contains(&half), "{half}");
        assert_eq!(lag.quantile_ms(0.5), None, "it was taken");
    }

    #[test]
    fn each_second_has_its_own_quantiles_and_old_ones_are_left_out() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let lag = Lag::by_the_stream();
        let record = |second: u64| {
            let json = format!(
                r#"{{"dynamodb":{{"ApproximateCreationDateTime":{second},"Keys":{{"pk":{{"S":"a"}}}},"SequenceNumber":"1"}}}}"#
            );
            StreamRecord::from_json(Bytes::from(json), "pk").expect("a record")
        };
        lag.delivered(&[record(now - 60), record(now - 20), record(now - 20), record(now - 5)]);
        let seconds = lag.each_second_ms(now - 30, [0.5, 0.99]);
        assert_eq!(seconds.iter().map(|(second, _)| *second).collect::<Vec<_>>(), [now - 20, now - 5]);
        assert!(seconds.iter().all(|(second, [p50, p99])| {
            let at_least = (now - second) as f64 * 1_000.0;
            p50 <= p99 && (at_least..at_least + 5_000.0).contains(p50)
        }));
        assert!(lag.last_ms().is_some_and(|last| (5_000.0..10_000.0).contains(&last)));
        assert_eq!([1, 2, 100, 101].map(|values| nearest_rank(values, 0.99)), [0, 1, 98, 99]);
    }
}
