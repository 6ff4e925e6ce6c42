//! Lag of the index: from the writer's clock in each item to the moment when the function has reported its record as
//! done, which is after the engine has acknowledged the write.
//!
//! Removals carry no new image, so their lag is not known; they pass through the same lanes as all others. Poison is
//! delivered, too, but never indexed: it has no lag.

use std::collections::BTreeMap;
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

/// Collects the lag of every change with a new image.
#[derive(Debug)]
pub struct Lag(Mutex<Halves>);

#[derive(Debug)]
struct Halves {
    all: Histogram<u64>,
    /// By order of arrival: shows whether the lag grows.
    samples: Vec<LagSample>,
}

#[derive(Clone, Copy, Debug)]
struct LagSample {
    written_at_us: u64,
    lag_us: u64,
}

impl Default for Lag {
    fn default() -> Self {
        Self(Mutex::new(Halves { all: histogram(), samples: Vec::new() }))
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are valid")
}

impl Lag {
    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self(Mutex::new(std::mem::replace(&mut *self.halves(), Halves { all: histogram(), samples: Vec::new() })))
    }

    /// Forgets everything so far: it was a warm-up.
    pub fn forget(&self) {
        *self.halves() = Halves { all: histogram(), samples: Vec::new() };
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
        let (first, second) = halves.samples.split_at(halves.samples.len() / 2);
        let of = |samples: &[LagSample]| {
            let mut part = histogram();
            samples.iter().for_each(|sample| part.saturating_record(sample.lag_us));
            quantile_ms(&part, quantile)
        };
        (of(first), of(second))
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

fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1_000.0)
}

impl Observe for Lag {
    fn delivered(&self, records: &[StreamRecord]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let mut halves = self.halves();
        for written_at_us in records.iter().filter_map(|record| written_at_us(record.json())) {
            let lag_us = now.saturating_sub(written_at_us);
            halves.all.saturating_record(lag_us);
            halves.samples.push(LagSample { written_at_us, lag_us });
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
}
