//! Time of one invocation, split into processor time, which depends on the function's memory, and waiting.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Number of the benchmark's row that measures the times.
const ROW: &str = "B7";

/// The times of an invocation with `b` records: `first + (b - 1) × further`, each in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Processor time of an invocation with one record, on a whole core.
    pub cpu_first_ms: f64,
    /// Processor time for each further record.
    pub cpu_further_ms: f64,
    /// Waiting for OpenSearch of an invocation with one record.
    pub engine_first_ms: f64,
    /// Waiting for OpenSearch for each further record.
    pub engine_further_ms: f64,
}

impl Timing {
    /// Times of row B7 on 2 cores of an Intel Xeon at 2.0 GHz, 2026-11-23.
    /// That machine is a third as fast as the one of `docs/benchmark.md`, so they are the careful choice.
    pub const PUBLISHED: Self =
        Self { cpu_first_ms: 0.36, cpu_further_ms: 0.019, engine_first_ms: 1.14, engine_further_ms: 0.105 };

    /// Names of the figures in row B7, in the order of the fields.
    pub const FIGURES: [&'static str; 4] = [
        "processor time, first record",
        "processor time, each further record",
        "waiting for the engine, first record",
        "waiting for the engine, each further record",
    ];

    /// Reads the file that `cargo local bench lane-time --json FILE` wrote.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or has no row B7.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let report: Measured = serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))?;
        let row = report.rows.iter().find(|row| row.id == ROW);
        let row = row.with_context(|| {
            format!("{} has no row B7: run `cargo local bench lane-time --json FILE`", file.display())
        })?;
        let mut values = Self::FIGURES.into_iter().map(|name| {
            let figure = row.figures.iter().find(|figure| figure.name == name);
            figure
                .and_then(|figure| figure.value)
                .with_context(|| format!("row B7 of {} has no figure `{name}`", file.display()))
        });
        let mut next = || values.next().unwrap_or(Ok(f64::NAN));
        Ok(Self {
            cpu_first_ms: next()?,
            cpu_further_ms: next()?,
            engine_first_ms: next()?,
            engine_further_ms: next()?,
        })
    }

    /// Processor time of an invocation with this many records, on a whole core.
    pub fn cpu_ms(&self, records: f64) -> f64 {
        (records - 1.0).max(0.0).mul_add(self.cpu_further_ms, self.cpu_first_ms)
    }

    /// Waiting for OpenSearch of an invocation with this many records.
    pub fn engine_ms(&self, records: f64) -> f64 {
        (records - 1.0).max(0.0).mul_add(self.engine_further_ms, self.engine_first_ms)
    }
}

/// Parts of a benchmark's file that are read.
#[derive(Deserialize)]
struct Measured {
    rows: Vec<MeasuredRow>,
}

#[derive(Deserialize)]
struct MeasuredRow {
    id: String,
    figures: Vec<MeasuredFigure>,
}

#[derive(Deserialize)]
struct MeasuredFigure {
    name: String,
    /// Value in milliseconds, or nothing where none was found.
    value: Option<f64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_from_the_row_of_the_benchmark_that_has_them() {
        let figures = Timing::FIGURES.into_iter().zip([0.5, 0.25, 1.0, 2.0]);
        let figures: Vec<_> = figures.map(|(name, value)| json!({"name": name, "value": value})).collect();
        let empty = json!({"id": "B2", "figures": [{"name": "none", "value": null}]});
        let report = json!({"rows": [empty, {"id": "B7", "figures": figures}]});
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("times.json");
        fs::write(&file, report.to_string()).unwrap();
        let expected = Timing { cpu_first_ms: 0.5, cpu_further_ms: 0.25, engine_first_ms: 1.0, engine_further_ms: 2.0 };
        assert_eq!(Timing::read(&file).unwrap(), expected);
        fs::write(&file, r#"{"rows": []}"#).unwrap();
        assert!(Timing::read(&file).unwrap_err().to_string().contains("has no row B7"));
    }
}
