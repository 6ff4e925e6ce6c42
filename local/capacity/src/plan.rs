//! The formula: from a load and the time of an invocation to lanes, lag and cost. `docs/capacity.md` explains it.

use serde::Serialize;

use crate::limits::{
    CONCURRENT_EXECUTIONS, MEMORY_OF_ONE_PROCESSOR_MB, PARALLELIZATION_FACTOR, PARTITION_BYTES, PARTITION_WRITE_UNITS,
    PAYLOAD_BYTES, POLL_BYTES, POLL_RECORDS, POLLS_PER_SECOND, TABLE_WRITE_UNITS, WRITE_UNIT_BYTES,
};
use crate::price::{Cost, Prices};
use crate::timing::Timing;

/// Batch sizes that are considered where none is asked for.
const BATCH_SIZES: [u64; 4] = [1, 10, 100, 1_000];
/// How much of its time a lane may be busy: the rest is for uneven keys, retries and catching up.
const BUSY: f64 = 0.8;
/// Bytes of a line of metrics beside the values of single invocations, as row B13 of the benchmark sees them. Lambda's own
/// lines of successful invocations are switched off.
const LOG_BYTES: f64 = 750.0;
/// Bytes that an invocation adds to a line: its values of two metrics.
const VALUE_BYTES: f64 = 14.0;
/// Invocations that one line holds at most; a busy process writes a line per second.
const INVOCATIONS_PER_LINE: f64 = 100.0;
/// A record carries the old and the new image, and each byte of an item becomes about 1.5 in DynamoDB's JSON.
const RECORD_BYTES_PER_ITEM_BYTE: f64 = 2.0 * 1.5;
/// Bytes of a record beside its images.
const RECORD_ENVELOPE_BYTES: f64 = 500.0;

/// A load, and where it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Writes per second at the peak.
    pub rate: f64,
    /// Writes per second on average.
    pub average: f64,
    /// Items in the table.
    pub items: u64,
    /// Bytes of an item.
    pub item_bytes: u64,
    /// Open shards, where known.
    pub shards: Option<u64>,
    /// The only batch size to consider.
    pub batch_size: Option<u64>,
    /// The lag to stay under, in milliseconds.
    pub lag_ms: f64,
    /// Memory of the function.
    pub memory_mb: u64,
    /// What Lambda adds between two invocations of a lane.
    pub overhead_ms: f64,
    /// What a request to the engine takes more than measured.
    pub round_trip_ms: f64,
    /// Share of changes that are read first.
    pub unseen: f64,
    /// Bytes of a line of metrics, without the values of single invocations.
    pub log_bytes: f64,
    /// Concurrent executions that are left.
    pub concurrency: f64,
}

impl Default for Setting {
    /// As the command line has it, at one write per second.
    fn default() -> Self {
        Self {
            rate: 1.0,
            average: 1.0,
            items: 0,
            item_bytes: 1_000,
            shards: None,
            batch_size: None,
            lag_ms: 1_000.0,
            memory_mb: 256,
            overhead_ms: 5.0,
            round_trip_ms: 2.0,
            unseen: 0.5,
            log_bytes: LOG_BYTES,
            concurrency: CONCURRENT_EXECUTIONS,
        }
    }
}

impl Setting {
    /// What an invocation takes on Lambda that takes `cpu_ms` of a whole processor, and waits for the engine for `engine_ms`,
    /// without the network between them.
    pub fn work_ms(&self, cpu_ms: f64, engine_ms: f64, records: f64) -> f64 {
        let processor = (self.memory_mb as f64 / MEMORY_OF_ONE_PROCESSOR_MB).min(1.0);
        // One bulk; and one read before it where one of the records is of a document that is not known.
        let requests = 2.0 - (1.0 - self.unseen).powf(records);
        cpu_ms / processor + engine_ms + self.round_trip_ms * requests
    }
}

/// What one batch size asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Writes per second at the peak.
    pub rate: f64,
    /// Records of one invocation at most.
    pub batch_size: u64,
    /// Open shards of the stream.
    pub shards: u64,
    /// Lanes per shard: the parallelization factor.
    pub factor: u64,
    /// Lanes, and so concurrent executions.
    pub concurrency: u64,
    /// Records of one invocation at the peak, on average.
    pub records_per_invocation: f64,
    /// How long a lane is taken by one invocation, in milliseconds.
    pub lane_ms: f64,
    /// Which share of its time a lane is busy at the peak. Above 1, the lag grows without end.
    pub busy: f64,
    /// Lag of the median change at the peak, in milliseconds.
    pub lag_p50_ms: f64,
    /// Lag of 99 % of the changes at the peak, in milliseconds.
    pub lag_p99_ms: f64,
    /// GB-seconds per second, on average.
    pub gb_seconds_per_second: f64,
    /// US dollars per month, on average.
    pub cost: Cost,
    /// Every limit, the one that binds first in front: which share of it the peak needs.
    pub limits: Vec<LimitUse>,
    /// Whether it keeps up, is fresh enough, and within all limits that nobody raises.
    pub fits: bool,
    /// Whether this is the one to take.
    pub recommended: bool,
}

/// Which share of a limit is needed.
#[derive(Clone, Debug, Serialize)]
pub struct LimitUse {
    /// What is limited, and by how much.
    pub name: String,
    /// Above 1, it does not fit.
    pub used: f64,
    /// Whether AWS raises it on request.
    pub adjustable: bool,
}

/// One plan per batch size. The recommended one is the smallest that fits: a batch of one keeps each change's retry, its
/// bisection and its dead letter to itself.
pub fn plans(setting: &Setting, timing: &Timing, prices: &Prices) -> Vec<Plan> {
    let sizes = setting.batch_size.map_or_else(|| BATCH_SIZES.to_vec(), |size| vec![size]);
    let mut plans: Vec<Plan> = sizes.into_iter().map(|size| plan(setting, timing, prices, size)).collect();
    if let Some(first) = plans.iter_mut().find(|plan| plan.fits) {
        first.recommended = true;
    }
    plans
}

fn plan(setting: &Setting, timing: &Timing, prices: &Prices, batch_size: u64) -> Plan {
    let shards = shards(setting);
    let of_factor = |factor| Lanes::new(setting, timing, setting.rate, shards * factor, batch_size);
    let wanted = (1..=PARALLELIZATION_FACTOR)
        .find(|&factor| of_factor(factor).busy <= BUSY && of_factor(factor).lag_ms(0.99) < setting.lag_ms);
    let factor = wanted.unwrap_or(PARALLELIZATION_FACTOR);
    let peak = of_factor(factor);
    let concurrency = shards * factor;
    let on_average = Lanes::new(setting, timing, setting.average, concurrency, batch_size);
    let invocations = on_average.invocations_per_poll * POLLS_PER_SECOND * concurrency as f64;
    // Lambda charges whole milliseconds, and nothing for what lies between two invocations.
    let billed_s = (on_average.invocation_ms - setting.overhead_ms).ceil() / 1_000.0;
    let gb_seconds_per_second = invocations * billed_s * setting.memory_mb as f64 / 1_024.0;
    let log_bytes_per_second = log_bytes(setting, invocations / concurrency as f64) * concurrency as f64;
    let limits = limits(setting, &peak, shards, concurrency, factor);
    let (lag_p50_ms, lag_p99_ms) = (peak.lag_ms(0.5), peak.lag_ms(0.99));
    let fits = peak.busy <= BUSY
        && lag_p99_ms < setting.lag_ms
        && limits.iter().all(|limit| limit.adjustable || limit.used <= 1.0);
    Plan {
        rate: setting.rate,
        batch_size,
        shards,
        factor,
        concurrency,
        records_per_invocation: peak.records_per_invocation,
        lane_ms: peak.invocation_ms,
        busy: peak.busy,
        lag_p50_ms,
        lag_p99_ms,
        gb_seconds_per_second,
        cost: prices.month(invocations, gb_seconds_per_second, log_bytes_per_second),
        limits,
        fits,
        recommended: false,
    }
}

/// What one process logs per second: a line for each invocation at low rates, a line per second or per hundred at others.
fn log_bytes(setting: &Setting, invocations: f64) -> f64 {
    invocations.min(1.0).max(invocations / INVOCATIONS_PER_LINE) * setting.log_bytes + invocations * VALUE_BYTES
}

/// As many shards as the table has partitions at least: for its writes, or for its bytes.
fn shards(setting: &Setting) -> u64 {
    let for_writes = setting.rate * write_units(setting) / PARTITION_WRITE_UNITS;
    let for_bytes = setting.items as f64 * setting.item_bytes as f64 / PARTITION_BYTES;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least one, and checked to be small"
    )]
    let least = for_writes.max(for_bytes).ceil().max(1.0) as u64;
    setting.shards.unwrap_or(least)
}

/// Of one write.
fn write_units(setting: &Setting) -> f64 {
    (setting.item_bytes as f64 / WRITE_UNIT_BYTES).ceil()
}

/// What lanes do at a rate.
struct Lanes {
    invocation_ms: f64,
    records_per_invocation: f64,
    invocations_per_poll: f64,
    busy: f64,
}

impl Lanes {
    fn new(setting: &Setting, timing: &Timing, rate: f64, lanes: u64, batch_size: u64) -> Self {
        // What a lane gets from one poll.
        let records = rate / POLLS_PER_SECOND / lanes as f64;
        // A poll that returns anything makes one invocation at least; how many return something at a low rate, chance decides (Poisson).
        let invocations_per_poll = (records / batch_size as f64).max(1.0 - (-records).exp());
        let records_per_invocation = if records > 0.0 { records / invocations_per_poll } else { 1.0 };
        let (cpu_ms, engine_ms) = (timing.cpu_ms(records_per_invocation), timing.engine_ms(records_per_invocation));
        let invocation_ms = setting.overhead_ms + setting.work_ms(cpu_ms, engine_ms, records_per_invocation);
        let busy = invocations_per_poll * invocation_ms * POLLS_PER_SECOND / 1_000.0;
        Self { invocation_ms, records_per_invocation, invocations_per_poll, busy }
    }

    /// A change waits for the poll, the longer the earlier in the interval it came; then for those before it in its lane,
    /// the longer the later it came; then for its own invocation.
    fn lag_ms(&self, share: f64) -> f64 {
        let interval_ms = 1_000.0 / POLLS_PER_SECOND;
        let waits = if self.busy > 1.0 { f64::INFINITY } else { share + (1.0 - share) * self.busy };
        interval_ms * waits + self.invocation_ms
    }
}

fn limits(setting: &Setting, peak: &Lanes, shards: u64, concurrency: u64, factor: u64) -> Vec<LimitUse> {
    let record_bytes = setting.item_bytes as f64 * RECORD_BYTES_PER_ITEM_BYTE + RECORD_ENVELOPE_BYTES;
    let per_shard = setting.rate / shards as f64;
    let units = write_units(setting);
    // More lanes than there are would be needed where the greatest factor does not do.
    let lanes = factor as f64 * if peak.busy > BUSY { peak.busy / BUSY } else { 1.0 };
    let limit = |name: &str, used: f64, adjustable| LimitUse { name: name.to_owned(), used, adjustable };
    let mut limits = vec![
        limit("1,000 write units/s per partition", per_shard * units / PARTITION_WRITE_UNITS, false),
        limit("40,000 write units/s per table", setting.rate * units / TABLE_WRITE_UNITS, true),
        limit("10 lanes per shard", lanes / PARALLELIZATION_FACTOR as f64, false),
        limit(
            &format!("{:.0} concurrent executions", setting.concurrency),
            concurrency as f64 / setting.concurrency,
            true,
        ),
        limit("6 MB per event", peak.records_per_invocation * record_bytes / PAYLOAD_BYTES, false),
        limit("1,000 records per poll", per_shard / POLLS_PER_SECOND / POLL_RECORDS, false),
        limit("1 MB per poll", per_shard / POLLS_PER_SECOND * setting.item_bytes as f64 * 2.0 / POLL_BYTES, false),
    ];
    limits.sort_by(|a, b| b.used.total_cmp(&a.used));
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing =
        Timing { cpu_first_ms: 1.0, cpu_further_ms: 0.01, engine_first_ms: 1.0, engine_further_ms: 0.05 };

    fn setting(rate: f64) -> Setting {
        Setting {
            rate,
            average: rate,
            items: 0,
            item_bytes: 1_000,
            shards: None,
            batch_size: None,
            lag_ms: 1_000.0,
            memory_mb: 1_769,
            overhead_ms: 5.0,
            round_trip_ms: 0.0,
            unseen: 0.0,
            log_bytes: 1_000.0,
            concurrency: 1_000.0,
        }
    }

    fn planned(setting: &Setting) -> Vec<Plan> {
        plans(setting, &TIMING, &Prices::PUBLISHED)
    }

    #[test]
    fn a_lane_serves_as_many_as_fit_into_its_time() {
        // 7 ms per change: 114 per second fill 80 % of a lane.
        assert_eq!(planned(&setting(114.0))[0].factor, 1);
        assert_eq!(planned(&setting(115.0))[0].factor, 2);
        assert_eq!(planned(&setting(1_000.0))[0].factor, 9);
        let plan = &planned(&setting(114.0))[0];
        assert!((plan.lane_ms - 7.0).abs() < 1e-9 && (plan.busy - 0.798).abs() < 1e-3, "{plan:?}");
        // Half of the interval, and 79.8 % of the other half behind others; then its own 7 ms.
        assert!((plan.lag_p50_ms - (125.0 + 125.0 * 0.798 + 7.0)).abs() < 0.1, "{plan:?}");
    }

    #[test]
    fn less_memory_is_a_smaller_share_of_a_processor() {
        let half = Setting { memory_mb: 884, ..setting(10.0) };
        assert!((planned(&half)[0].lane_ms - 8.0).abs() < 0.01);
        let twice = Setting { memory_mb: 3_538, ..setting(10.0) };
        assert!((planned(&twice)[0].lane_ms - 7.0).abs() < 0.01, "one thread fills one processor");
    }

    #[test]
    fn shards_follow_the_table() {
        assert_eq!(planned(&setting(1_001.0))[0].shards, 2);
        assert_eq!(planned(&Setting { item_bytes: 3_000, ..setting(1_000.0) })[0].shards, 3);
        assert_eq!(planned(&Setting { items: 100_000_000, ..setting(10.0) })[0].shards, 10);
        assert_eq!(planned(&Setting { shards: Some(7), ..setting(10.0) })[0].shards, 7);
    }

    #[test]
    fn the_smallest_batch_that_fits_is_recommended() {
        let recommended =
            |setting: &Setting| planned(setting).into_iter().find(|plan| plan.recommended).unwrap().batch_size;
        assert_eq!(recommended(&setting(1_000.0)), 1);
        // One shard cannot serve 1,000 per second one at a time where each takes 15 ms.
        assert_eq!(recommended(&Setting { round_trip_ms: 8.0, ..setting(1_000.0) }), 10);
    }

    #[test]
    fn the_limit_that_binds_first_stands_in_front() {
        let first = |setting: &Setting| planned(setting)[0].limits[0].clone();
        assert_eq!(first(&setting(100_000.0)).name, "40,000 write units/s per table");
        assert!((first(&setting(100_000.0)).used - 2.5).abs() < 1e-9);
        let hot = Setting { shards: Some(1), ..setting(3_000.0) };
        assert!(planned(&hot).iter().all(|plan| !plan.fits), "no batch size mends a partition that is too hot");
        let slow = Setting { overhead_ms: 100.0, shards: Some(1), ..setting(500.0) };
        assert_eq!(first(&slow).name, "10 lanes per shard");
    }

    #[test]
    fn a_quiet_stream_makes_few_invocations_whatever_the_batch_size() {
        let quiet = planned(&setting(1.0));
        // 0.25 records per poll: 0.2212 of the polls find some.
        assert!((quiet[2].records_per_invocation - 0.25 / 0.2212).abs() < 1e-3, "{quiet:?}");
        assert!(quiet[0].cost.total() > quiet[2].cost.total());
        let none = Setting { average: 0.0, ..setting(1.0) };
        assert!(planned(&none)[0].cost.total().abs() < 1e-9);
    }

    #[test]
    fn a_busy_process_logs_a_line_per_second_and_a_quiet_one_a_line_per_invocation() {
        let per_invocation = |rate: f64| log_bytes(&setting(1.0), rate) / rate - VALUE_BYTES;
        for (rate, expect) in [(0.01, 1_000.0), (1.0, 1_000.0), (20.0, 50.0), (100.0, 10.0), (400.0, 10.0)] {
            assert!((per_invocation(rate) - expect).abs() < 1e-6, "{rate}: {}", per_invocation(rate));
        }
        assert!(log_bytes(&setting(1.0), 0.0).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_keep_up_has_no_lag_to_tell() {
        let plan = &planned(&Setting { overhead_ms: 500.0, ..setting(1_000.0) })[0];
        assert!(plan.busy > 1.0 && plan.lag_p99_ms.is_infinite() && !plan.fits, "{plan:?}");
    }
}
