//! The demo's own lag as a picture, and beside its limit.

use anyhow::{Context, Result};
use driftless_display::chart::{Axis, Chart, Series};
use driftless_harness::lag::Lag;
use driftless_harness::services::local_dir;

const FILE: &str = "demo-lag.svg";
/// Interval of Lambda's polls.
const POLL_MS: f64 = 250.0;
/// The stream is polled every 250 ms, as Lambda does: a change waits between nothing and all of it.
const POLL_P50_MS: f64 = 125.0;
const POLL_P99_MS: f64 = 247.5;
/// What the lag must stay under: row B2 of the benchmark.
const LIMIT_P50_MS: f64 = 200.0;
const LIMIT_P99_MS: f64 = 300.0;

/// Draws it; one line with the file and the comparison.
///
/// # Errors
/// Where it cannot be drawn or written.
pub fn draw(lag: &Lag) -> Result<String> {
    let series = [("p50", 0.5), ("p99", 0.99)];
    let x = Axis::linear("seconds since the first write");
    let chart =
        Chart::new("Lag, from the write into the table to OpenSearch's answer", x, Axis::linear("lag of a change, ms"))
            .all_series(series.map(|(name, share)| Series::new(name, lag.over_time_ms(share))))
            .reference("Lambda's poll: 250 ms", POLL_MS)
            .limit("limit of the p99: 300 ms", LIMIT_P99_MS);
    let folder = local_dir();
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let file = folder.join(FILE);
    chart.write(&file)?;
    let quantile = |share| lag.quantile_ms(share).unwrap_or(f64::NAN);
    Ok(format!("{}; picture: {}", compare(quantile(0.5), quantile(0.99)), file.display()))
}

fn compare(p50: f64, p99: f64) -> String {
    let verdict = if p50 < LIMIT_P50_MS && p99 < LIMIT_P99_MS { "within its limit" } else { "over its limit" };
    format!(
        "lag {verdict}: p50 {p50:.0} ms (limit {LIMIT_P50_MS}, the poll alone {POLL_P50_MS}), p99 {p99:.0} ms (limit {LIMIT_P99_MS}, the poll alone {POLL_P99_MS})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_quantiles_must_be_within() {
        assert!(
            compare(150.0, 260.0)
                .starts_with("lag within its limit: p50 150 ms (limit 200, the poll alone 125), p99 260")
        );
        assert!(compare(150.0, 300.0).starts_with("lag over its limit"));
        assert!(compare(f64::NAN, f64::NAN).starts_with("lag over its limit"), "nothing measured is no success");
    }
}
