//! The formula: from a load and the time of an invocation to lanes, lag and cost. `docs/capacity.md` explains it.

use serde::Serialize;

use crate::lanes::Lanes;
use crate::limits::{
    INVOCATIONS_PER_EXECUTION, PARALLELIZATION_FACTOR, PARTITION_WRITE_UNITS, PAYLOAD_BYTES, POLL_BYTES, POLL_RECORDS,
    POLLS_PER_SECOND, TABLE_WRITE_UNITS,
};
use crate::price::{Cost, Prices};
use crate::scenario::Scenario;
use crate::timing::Timing;

/// Batch sizes that are considered if none is asked for.
const BATCH_SIZES: [u64; 4] = [1, 10, 100, 1_000];
/// Share of its time that a lane may be busy: the rest is for uneven keys, retries and catching up.
const BUSY: f64 = 0.8;

/// Capacity that one batch size asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Writes per second at the peak.
    pub rate: f64,
    /// Most records of one invocation.
    pub batch_size: u64,
    /// Number of open shards of the stream.
    pub shards: u64,
    /// Lanes per shard: the parallelization factor.
    pub factor: u64,
    /// Lanes, and so concurrent executions.
    pub concurrency: u64,
    /// Records of one invocation at the peak, on average.
    pub records_per_invocation: f64,
    /// Time that one invocation takes from a lane, in milliseconds.
    pub lane_ms: f64,
    /// Share of its time that a lane is busy at the peak. Above 1, the lag grows without end.
    pub busy: f64,
    /// Lag of the median change at the peak, in milliseconds.
    pub lag_p50_ms: f64,
    /// Lag of 99 % of the changes at the peak, in milliseconds.
    pub lag_p99_ms: f64,
    /// GB-seconds per second, on average.
    pub gb_seconds_per_second: f64,
    /// US dollars per month, on average.
    pub cost: Cost,
    /// Share of every limit that the peak needs; the limit that binds first comes first.
    pub limits: Vec<LimitUse>,
    /// True if the plan keeps up, is fresh enough, and stays within all limits that AWS does not raise.
    pub fits: bool,
    /// True for the plan to take.
    pub recommended: bool,
}

/// Share of a limit that is needed.
#[derive(Clone, Debug, Serialize)]
pub struct LimitUse {
    /// The limit in words, with its number.
    pub name: String,
    /// Share of the limit; above 1, the plan does not fit.
    pub used: f64,
    /// True if AWS raises the limit on request.
    pub adjustable: bool,
}

/// Returns one plan per batch size.
///
/// The recommended one is the smallest that fits.
/// A batch of one keeps each change's retry, bisection and dead letter to itself.
pub fn plans(scenario: &Scenario, timing: &Timing, prices: &Prices) -> Vec<Plan> {
    let sizes = scenario.batch_size.map_or_else(|| BATCH_SIZES.to_vec(), |size| vec![size]);
    let mut plans: Vec<Plan> = sizes.into_iter().map(|size| plan(scenario, timing, prices, size)).collect();
    if let Some(first) = plans.iter_mut().find(|plan| plan.fits) {
        first.recommended = true;
    }
    plans
}

fn plan(scenario: &Scenario, timing: &Timing, prices: &Prices, batch_size: u64) -> Plan {
    let shards = scenario.open_shards();
    let of_factor = |factor| Lanes::new(scenario, timing, scenario.rate, shards * factor, batch_size);
    let wanted = (1..=PARALLELIZATION_FACTOR)
        .find(|&factor| of_factor(factor).busy <= BUSY && of_factor(factor).lag_ms(0.99) < scenario.lag_ms);
    let factor = wanted.unwrap_or(PARALLELIZATION_FACTOR);
    let peak = of_factor(factor);
    let concurrency = shards * factor;
    let on_average = Lanes::new(scenario, timing, scenario.average, concurrency, batch_size);
    let invocations = on_average.invocations_per_poll * POLLS_PER_SECOND * concurrency as f64;
    // Lambda charges whole milliseconds, and nothing for the time between two invocations.
    let billed_s = (on_average.invocation_ms - scenario.overhead_ms).ceil() / 1_000.0;
    let gb_seconds_per_second = invocations * billed_s * scenario.memory_mb as f64 / 1_024.0;
    let log_bytes_per_second = scenario.log_bytes_per_second(invocations / concurrency as f64) * concurrency as f64;
    let limits = limits(scenario, &peak, shards, concurrency, factor);
    let (lag_p50_ms, lag_p99_ms) = (peak.lag_ms(0.5), peak.lag_ms(0.99));
    let fits = peak.busy <= BUSY
        && lag_p99_ms < scenario.lag_ms
        && limits.iter().all(|limit| limit.adjustable || limit.used <= 1.0);
    Plan {
        rate: scenario.rate,
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

fn limits(scenario: &Scenario, peak: &Lanes, shards: u64, concurrency: u64, factor: u64) -> Vec<LimitUse> {
    let per_shard = scenario.rate / shards as f64;
    let units = scenario.write_units();
    // If the greatest factor is not enough, more lanes than a shard can have would be needed.
    let lanes = factor as f64 * if peak.busy > BUSY { peak.busy / BUSY } else { 1.0 };
    let invocations = peak.invocations_per_poll * POLLS_PER_SECOND * concurrency as f64;
    let invocations_limit = scenario.concurrency * INVOCATIONS_PER_EXECUTION;
    let limit = |name: &str, used: f64, adjustable| LimitUse { name: name.to_owned(), used, adjustable };
    let mut limits = vec![
        limit("1,000 write units/s per partition", per_shard * units / PARTITION_WRITE_UNITS, false),
        limit("40,000 write units/s per table", scenario.rate * units / TABLE_WRITE_UNITS, true),
        limit("10 lanes per shard", lanes / PARALLELIZATION_FACTOR as f64, false),
        limit(
            &format!("{:.0} concurrent executions", scenario.concurrency),
            concurrency as f64 / scenario.concurrency,
            true,
        ),
        limit("10 invocations/s per concurrent execution", invocations / invocations_limit, true),
        limit("6 MB per event", peak.records_per_invocation * scenario.record_bytes() / PAYLOAD_BYTES, false),
        limit("1,000 records per poll", per_shard / POLLS_PER_SECOND / POLL_RECORDS, false),
        limit("1 MB per poll", per_shard / POLLS_PER_SECOND * scenario.item_bytes as f64 * 2.0 / POLL_BYTES, false),
    ];
    limits.sort_by(|a, b| b.used.total_cmp(&a.used));
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::VALUE_BYTES;

    const TIMING: Timing =
        Timing { cpu_first_ms: 1.0, cpu_further_ms: 0.01, engine_first_ms: 1.0, engine_further_ms: 0.05 };

    fn scenario(rate: f64) -> Scenario {
        Scenario {
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

    fn planned(scenario: &Scenario) -> Vec<Plan> {
        plans(scenario, &TIMING, &Prices::PUBLISHED)
    }

    #[test]
    fn a_lane_serves_as_many_as_fit_into_its_time() {
        // 7 ms per change: 114 per second fill 80 % of a lane.
        assert_eq!(planned(&scenario(114.0))[0].factor, 1);
        assert_eq!(planned(&scenario(115.0))[0].factor, 2);
        assert_eq!(planned(&scenario(1_000.0))[0].factor, 9);
        let plan = &planned(&scenario(114.0))[0];
        assert!((plan.lane_ms - 7.0).abs() < 1e-9 && (plan.busy - 0.798).abs() < 1e-3, "{plan:?}");
        // Half of the interval, and 79.8 % of the other half behind others; then its own 7 ms.
        assert!((plan.lag_p50_ms - (125.0 + 125.0 * 0.798 + 7.0)).abs() < 0.1, "{plan:?}");
    }

    #[test]
    fn less_memory_is_a_smaller_share_of_a_processor() {
        let half = Scenario { memory_mb: 884, ..scenario(10.0) };
        assert!((planned(&half)[0].lane_ms - 8.0).abs() < 0.01);
        let twice = Scenario { memory_mb: 3_538, ..scenario(10.0) };
        assert!((planned(&twice)[0].lane_ms - 7.0).abs() < 0.01, "one thread fills one processor");
    }

    #[test]
    fn shards_follow_the_table() {
        assert_eq!(planned(&scenario(1_001.0))[0].shards, 2);
        assert_eq!(planned(&Scenario { item_bytes: 3_000, ..scenario(1_000.0) })[0].shards, 3);
        assert_eq!(planned(&Scenario { items: 100_000_000, ..scenario(10.0) })[0].shards, 10);
        assert_eq!(planned(&Scenario { shards: Some(7), ..scenario(10.0) })[0].shards, 7);
    }

    #[test]
    fn the_smallest_batch_that_fits_is_recommended() {
        let recommended =
            |scenario: &Scenario| planned(scenario).into_iter().find(|plan| plan.recommended).unwrap().batch_size;
        assert_eq!(recommended(&scenario(1_000.0)), 1);
        // One shard cannot serve 1,000 per second one at a time where each takes 15 ms.
        assert_eq!(recommended(&Scenario { round_trip_ms: 8.0, ..scenario(1_000.0) }), 10);
    }

    #[test]
    fn the_limit_that_binds_first_stands_in_front() {
        let first = |scenario: &Scenario| planned(scenario)[0].limits[0].clone();
        let tenths = Scenario { batch_size: Some(100), ..scenario(100_000.0) };
        assert_eq!(first(&tenths).name, "40,000 write units/s per table");
        assert!((first(&tenths).used - 2.5).abs() < 1e-9);
        // Batches of one are 100,000 invocations; an account with 1,000 executions starts 10,000 per second.
        assert_eq!(first(&scenario(100_000.0)).name, "10 invocations/s per concurrent execution");
        assert!((first(&scenario(100_000.0)).used - 10.0).abs() < 1e-9);
        let hot = Scenario { shards: Some(1), ..scenario(3_000.0) };
        assert!(planned(&hot).iter().all(|plan| !plan.fits), "no batch size mends a partition that is too hot");
        let slow = Scenario { overhead_ms: 100.0, shards: Some(1), ..scenario(500.0) };
        assert_eq!(first(&slow).name, "10 lanes per shard");
    }

    #[test]
    fn a_quiet_stream_makes_few_invocations_whatever_the_batch_size() {
        let quiet = planned(&scenario(1.0));
        // 0.25 records per poll: 0.2212 of the polls find some.
        assert!((quiet[2].records_per_invocation - 0.25 / 0.2212).abs() < 1e-3, "{quiet:?}");
        assert!(quiet[0].cost.total() > quiet[2].cost.total());
        let none = Scenario { average: 0.0, ..scenario(1.0) };
        assert!(planned(&none)[0].cost.total().abs() < 1e-9);
    }

    #[test]
    fn a_busy_process_logs_a_line_per_second_and_a_quiet_one_a_line_per_invocation() {
        let per_invocation = |rate: f64| scenario(1.0).log_bytes_per_second(rate) / rate - VALUE_BYTES;
        for (rate, expect) in [(0.01, 1_000.0), (1.0, 1_000.0), (20.0, 50.0), (100.0, 10.0), (400.0, 10.0)] {
            assert!((per_invocation(rate) - expect).abs() < 1e-6, "{rate}: {}", per_invocation(rate));
        }
        assert!(scenario(1.0).log_bytes_per_second(0.0).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_keep_up_has_no_lag_to_tell() {
        let plan = &planned(&Scenario { overhead_ms: 500.0, ..scenario(1_000.0) })[0];
        assert!(plan.busy > 1.0 && plan.lag_p99_ms.is_infinite() && !plan.fits, "{plan:?}");
    }
}
