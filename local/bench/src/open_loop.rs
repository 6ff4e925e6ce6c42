//! An open loop: changes come at their times, whatever became of those before them.
//! Their lag is counted from the moment when they were due.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use driftless::change::kinesis;
use driftless_harness::function::Launch;
use driftless_harness::lag::windows_ms;
use driftless_harness::load::{Load, Mix, WriteKind, WriteSchedule};
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::stream::{ChangeStream as _, StreamKind};
use driftless_harness::mapping::{EventSourceMapping, MappingConfig, MemoryStream, Observe};
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use crate::changes;
use crate::processes::peak_resident_mb;
use crate::sample::{Sampler, Seen};
use crate::test_bed::TestBed;
use crate::timed_process::{histogram, quantile_ms};

/// Longest time for the stream to drain after the last change: enough for a backlog as long as the run.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);

/// Interval of Lambda's polls of a shard, in seconds.
pub(crate) const POLL_S: f64 = 0.25;

/// A load on a stream that is generated in memory.
#[derive(Clone, Debug)]
pub(crate) struct OpenLoop {
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    pub(crate) factor: usize,
    /// Share of the changes that are of one key.
    pub(crate) hot_share: f64,
    pub(crate) seed: u64,
    /// Seconds before the first change counts: lanes, connections and OpenSearch's code get warm.
    pub(crate) warm_up: f64,
}

/// Lag of the changes of one run.
pub(crate) struct Lags {
    samples: Vec<Sample>,
    /// Peak resident memory of a process of the function.
    pub(crate) peak_resident_mb: f64,
    /// Result of realtime reads of a sample, if the index is known.
    pub(crate) seen: Option<Seen>,
}

#[derive(Clone, Copy)]
struct Sample {
    /// Time at which the change was due, in microseconds since the first one.
    at_us: u64,
    lag_us: u64,
    hot: bool,
}

/// Runs the load through the function. If `index` is given, a sample of the changes is looked for there.
pub(crate) async fn run(
    bed: &TestBed,
    load: &OpenLoop,
    function: Arc<dyn Launch>,
    index: Option<&str>,
) -> Result<Lags> {
    run_from(MemoryStream::new(changes::TABLE, changes::KEY), bed, load, function, index).await
}

/// The same from this stream, which is empty.
pub(crate) async fn run_from(
    stream: MemoryStream,
    bed: &TestBed,
    load: &OpenLoop,
    function: Arc<dyn Launch>,
    index: Option<&str>,
) -> Result<Lags> {
    let stream = Arc::new(stream);
    let samples = Arc::new(Samples { kind: stream.kind(), collected: Mutex::default() });
    if let Some(index) = index {
        samples.lock().sampler = Some(Sampler::start(&bed.endpoint, index).await?);
    }
    let config = MappingConfig {
        batch_size: 1,
        parallelization_factor: load.factor,
        report_batch_item_failures: true,
        ..MappingConfig::default()
    };
    let observer = Some(Arc::clone(&samples) as Arc<dyn Observe>);
    let mapping =
        EventSourceMapping::start_observed(config, Arc::clone(&stream) as _, function, None, observer).await?;
    generate(load, &stream, &samples).await?;
    mapping.wait_until_drained(DRAIN_LIMIT).await.context("the lanes do not keep up")?;
    let peak_resident_mb = peak_resident_mb(bed.subject.binary());
    let stats = mapping.shutdown().await;
    ensure!(stats.dead_lettered_records == 0 && stats.records_lost == 0, "records were given up: {stats:?}");
    // Taken out and not unwrapped: tasks that were told to end may hold the observer a moment longer.
    let Collected { samples, sampler, .. } = std::mem::take(&mut *samples.lock());
    let seen = match sampler {
        Some(sampler) => Some(sampler.end().await?),
        None => None,
    };
    ensure!(!samples.is_empty(), "no change was delivered");
    Ok(Lags { samples, peak_resident_mb, seen })
}

/// Pushes each change at its time. The first ones warm up, and do not count.
async fn generate(open_loop: &OpenLoop, stream: &MemoryStream, samples: &Samples) -> Result<()> {
    let warm_up = Load { seconds: open_loop.warm_up, rate: open_loop.rate.min(200.0), ..load_of(open_loop) };
    push_all(&warm_up, open_loop, stream, KEYS).await?;
    sleep_until(Instant::now() + Duration::from_secs(1)).await;
    let now = now_us();
    samples.lock().counted_from_us = Some(now);
    push_all(&load_of(open_loop), open_loop, stream, 0).await
}

/// Number of keys of a load.
pub(crate) const KEYS: u64 = 20_000;

fn load_of(open_loop: &OpenLoop) -> Load {
    let OpenLoop { rate, seconds, seed, .. } = *open_loop;
    let mix = Mix { insert: 40, modify: 55, remove: 5 };
    Load { rate, seconds, keys: KEYS, mix, skew: 0.6, seed, max_in_flight: 1 }
}

async fn push_all(load: &Load, open_loop: &OpenLoop, stream: &MemoryStream, first_key: u64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(open_loop.seed);
    let mut revisions = vec![0_u64; usize::try_from(KEYS).unwrap_or_default()];
    let mut hot_revision = 0..;
    let (start, start_us) = (Instant::now(), now_us());
    for write in WriteSchedule::new(load) {
        sleep_until(start + write.at).await;
        let due_us = start_us + u64::try_from(write.at.as_micros()).unwrap_or_default();
        let change = if random.random_bool(open_loop.hot_share) {
            changes::put(changes::HOT, hot_revision.next().unwrap_or_default(), due_us)
        } else {
            let (key, revision) =
                (first_key + write.key, &mut revisions[usize::try_from(write.key).unwrap_or_default()]);
            // An item that was removed comes anew.
            *revision = if write.kind == WriteKind::Modify { *revision + 1 } else { 0 };
            match write.kind {
                WriteKind::Insert | WriteKind::Modify => changes::put(key, *revision, due_us),
                WriteKind::Remove => changes::remove(key),
            }
        };
        stream.push(&change)?;
    }
    Ok(())
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Collects the lag of every change with a new image.
#[derive(Default)]
pub(crate) struct Samples {
    kind: StreamKind,
    collected: Mutex<Collected>,
}

#[derive(Default)]
struct Collected {
    counted_from_us: Option<u64>,
    samples: Vec<Sample>,
    sampler: Option<Sampler>,
}

impl Samples {
    /// Returns the record that DynamoDB made.
    fn change_json<'r>(&self, record: &'r StreamRecord) -> Option<Cow<'r, str>> {
        let text = std::str::from_utf8(record.json()).ok()?;
        match self.kind {
            StreamKind::DynamoDb => Some(text.into()),
            StreamKind::Kinesis => kinesis::inner(text).map(Cow::Owned),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct TimedRecord<'a> {
    #[serde(borrow)]
    dynamodb: TimedChange<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimedChange<'a> {
    #[serde(borrow)]
    new_image: Option<Image<'a>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow)]
    id: TextAttribute<'a>,
    due_us: NumberAttribute<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct TextAttribute<'a> {
    s: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct NumberAttribute<'a> {
    n: &'a str,
}

impl Observe for Samples {
    fn delivered(&self, records: &[StreamRecord]) {
        let now = now_us();
        let mut collected = self.lock();
        let Some(from) = collected.counted_from_us else { return };
        for record in records {
            let Some(json) = self.change_json(record) else { continue };
            let Ok(TimedRecord { dynamodb: TimedChange { new_image: Some(image) } }) = serde_json::from_str(&json)
            else {
                continue;
            };
            let Ok(due) = image.due_us.n.parse::<u64>() else { continue };
            if due < from {
                continue;
            }
            if let Some(sampler) = &collected.sampler {
                sampler.done(collected.samples.len() as u64, image.id.s, due);
            }
            let hot = image.id.s == changes::id(changes::HOT);
            collected.samples.push(Sample { at_us: due - from, lag_us: now.saturating_sub(due), hot });
        }
    }
}

impl Lags {
    /// Share of the sample that a realtime read showed, if there was a sample.
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    pub(crate) fn share_seen(&self) -> Option<f64> {
        self.seen.map(|seen| seen.found as f64 / seen.looked_for as f64)
    }

    /// Lags of all keys but the hot one.
    pub(crate) fn of_others(&self) -> Histogram<u64> {
        lags(self.samples.iter().filter(|sample| !sample.hot))
    }

    /// Lags of all changes.
    pub(crate) fn all(&self) -> Histogram<u64> {
        lags(&self.samples)
    }

    /// Median of the last quarter of the run over that of the first: above 1 if a backlog grows.
    pub(crate) fn growth(&self) -> f64 {
        let end = self.samples.iter().map(|sample| sample.at_us).max().unwrap_or_default();
        let of = |from: u64, to: u64| {
            let part = self.samples.iter().filter(|sample| (from..=to).contains(&sample.at_us));
            quantile_ms(&lags(part), 0.5)
        };
        of(end / 4 * 3, end) / of(0, end / 4)
    }

    /// Quantile over time, in seconds and milliseconds: one place per window with enough changes.
    pub(crate) fn over_time(&self, share: f64) -> Vec<(f64, f64)> {
        let samples: Vec<(u64, u64)> = self.samples.iter().map(|sample| (sample.at_us, sample.lag_us)).collect();
        windows_ms(&samples, share)
    }
}

fn lags<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Histogram<u64> {
    let mut lags = histogram();
    samples.into_iter().for_each(|sample| lags.saturating_record(sample.lag_us.max(1)));
    lags
}

#[cfg(test)]
mod tests {
    use driftless_harness::mapping::ShardChoice;

    use super::*;

    fn lags(pairs: &[(u64, u64, bool)]) -> Lags {
        let samples = pairs.iter().map(|&(at_us, lag_us, hot)| Sample { at_us, lag_us, hot }).collect();
        Lags { samples, peak_resident_mb: 1.0, seen: None }
    }

    #[test]
    fn growth_compares_the_last_quarter_with_the_first() {
        let growing: Vec<_> = (0..100).map(|n| (n * 100_000, 10_000 + n * 1_000, false)).collect();
        let growth = super::Lags::growth(&lags(&growing));
        assert!((4.0..5.5).contains(&growth), "22 ms at first, 97 ms at last: {growth}");
        let level: Vec<_> = (0..100).map(|n| (n * 100_000, 10_000, false)).collect();
        assert!((lags(&level).growth() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_hot_key_is_told_apart_and_time_is_cut_into_windows() {
        let few = lags(&[(0, 1_000, false), (900_000, 3_000, false), (1_500_000, 50_000, true)]);
        assert_eq!((few.all().len(), few.of_others().len()), (3, 2));
        let second = |nth: u64| (0..200).map(move |n| (nth * 1_000_000 + n * 5_000, 1_000 + nth, false));
        let many = lags(&(0..2).flat_map(second).collect::<Vec<_>>());
        assert_eq!(many.over_time(1.0).iter().map(|point| point.0).collect::<Vec<_>>(), [0.5, 1.5]);
    }

    #[test]
    fn the_lag_is_counted_from_when_the_change_was_due() {
        the_lag_is_counted(&MemoryStream::new("t", changes::KEY));
        the_lag_is_counted(&MemoryStream::kinesis("t", changes::KEY, ShardChoice::ByKey));
    }

    fn the_lag_is_counted(stream: &MemoryStream) {
        let samples = Samples { kind: stream.kind(), ..Samples::default() };
        let deliver = |due: u64, key: u64| {
            let records = futures::executor::block_on(changes::push(stream, [changes::put(key, 0, due)])).unwrap();
            samples.delivered(&records);
        };
        deliver(now_us(), 1);
        assert!(samples.lock().samples.is_empty(), "warm-up does not count");
        let from = now_us() - 500_000;
        samples.lock().counted_from_us = Some(from);
        deliver(from + 100_000, changes::HOT);
        let sample = samples.lock().samples[0];
        assert!((400_000..2_000_000).contains(&sample.lag_us), "{}", sample.lag_us);
        assert!(sample.hot && sample.at_us == 100_000);
    }
}
