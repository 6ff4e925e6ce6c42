//! Lag of the demo, compared with its limits and as a picture.

use std::path::Path;

use anyhow::{Context, Result};
use driftless_display::chart::{Axis, Chart, Series};
use driftless_display::style;
use driftless_harness::lag::Lag;
use driftless_harness::services::local_dir;

const FILE: &str = "demo-lag.svg";
/// Interval of Lambda's polls.
const POLL_MS: f64 = 250.0;
/// The stream is polled every 250 ms, as Lambda does: a change waits between nothing and all of it.
const POLL_P50_MS: f64 = 125.0;
const POLL_P99_MS: f64 = 247.5;
/// Limit for the lag, as in row B2 of the benchmark.
const LIMIT_P50_MS: f64 = 200.0;
const LIMIT_P99_MS: f64 = 300.0;

/// Draws the lag from the end of the re-index on; returns the path of the file.
///
/// # Errors
/// Where it cannot be drawn or written.
pub fn draw(lag: &Lag) -> Result<String> {
    let series = [("p50", 0.5), ("p99", 0.99)];
    let x = Axis::linear("seconds since the end of the re-index");
    let chart =
        Chart::new("Lag, from the write into the table to OpenSearch's answer", x, Axis::linear("lag of a change, ms"))
            .all_series(series.map(|(name, share)| Series::new(name, lag.over_time_ms(share))))
            .reference("Lambda's poll: 250 ms", POLL_MS)
            .limit("limit of the p99: 300 ms", LIMIT_P99_MS);
    let folder = local_dir();
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let file = folder.join(FILE);
    chart.write(&file)?;
    Ok(shown(&file))
}

/// Shortens the path of a file below the working directory.
pub(crate) fn shown(file: &Path) -> String {
    let folder = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(folder).unwrap_or(file).display().to_string()
}

/// Compares the lag with its limits. `outage` was asked for, and its length is in the lag: then there is no limit.
pub(crate) fn verdict(lag: &Lag, outage: f64) -> String {
    let quantile = |share| lag.quantile_ms(share).unwrap_or(f64::NAN);
    compare(quantile(0.5), quantile(0.99), outage)
}

fn compare(p50: f64, p99: f64, outage: f64) -> String {
    let measured = format!(
        "p50 {p50:.0} ms (limit {LIMIT_P50_MS}, the poll alone {POLL_P50_MS}), p99 {p99:.0} ms (limit {LIMIT_P99_MS}, the poll alone {POLL_P99_MS})"
    );
    if outage > 0.0 {
        return format!(
            "lag with the outage of {outage:.0} s, to which no limit applies: p50 {p50:.0} ms, p99 {p99:.0} ms"
        );
    }
    match p50 < LIMIT_P50_MS && p99 < LIMIT_P99_MS {
        true => format!("lag is {}: {measured}", style::good("WITHIN its limit")),
        false => format!(
            "lag is {}: {measured}; more lanes (--factor) or records per invocation (--batch-size) carry a higher rate",
            style::bad("OVER its limit")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_quantiles_must_be_within() {
        let within = compare(150.0, 260.0, 0.0);
        assert!(within.contains("WITHIN"), "{within}");
        assert!(within.contains("p50 150 ms (limit 200, the poll alone 125), p99 260"), "{within}");
        assert!(compare(150.0, 300.0, 0.0).contains("OVER"));
        assert!(compare(f64::NAN, f64::NAN, 0.0).contains("OVER"), "nothing measured is no success");
    }

    #[test]
    fn an_outage_that_was_asked_for_has_no_limit() {
        let line = compare(9_000.0, 12_000.0, 12.0);
        assert!(line.contains("outage of 12 s") && !line.contains("OVER"), "{line}");
    }
}
