//! The arguments of `local bench`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum as _;

use crate::figures::RowId;

/// Measure freshness, throughput, start and memory, each beside its baseline
///
/// The exit code is 1 if a row cannot be measured, or if a figure is worse than in the earlier run.
/// With --strict, it is also 1 if a bound is missed.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Rows by name or number (`one-lane` or B1); all if none is named
    #[arg(value_enum, ignore_case = true)]
    pub rows: Vec<RowId>,
    /// Measure less of everything, each row within a minute, for a first look; figures vary more
    #[arg(long)]
    pub quick: bool,
    /// Number of items that first-load and proof load and compare
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, default_value_if("quick", "true", "50000"))]
    pub items: u64,
    /// Exit with 1 if a bound is missed
    #[arg(long)]
    pub strict: bool,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Compare with the figures of an earlier run; exit with 1 if a bounded figure is worse beyond noise
    #[arg(long, value_name = "FILE", alias = "baseline")]
    pub earlier: Option<PathBuf>,
    /// Write report, charts and figures into this folder, as `benchmark.md` and `benchmark/*`;
    /// rows that are there and are not measured this time stay
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
    /// Measure nothing: write the report again from the figures of an earlier run, and draw its charts again;
    /// rows that are there and are not in the file stay
    #[arg(long, value_name = "FILE", requires = "report", conflicts_with_all = ["rows", "json", "earlier", "newcomer"])]
    pub from: Option<PathBuf>,
    /// Measure nothing: take row B14 from the file that `.ci/newcomer --json FILE` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "command"])]
    pub newcomer: Option<PathBuf>,
    /// Measure this executable instead: anything that speaks the Lambda Runtime API
    #[arg(long, value_name = "FILE")]
    pub command: Option<PathBuf>,
    /// Set a variable of the function; `{endpoint}` and `{index}` in the value stand for the run's own
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Seed of the changes: the same seed writes the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Args {
    /// Returns the rows to measure, in the order of their numbers.
    ///
    /// # Errors
    /// Fails if a row compares two functions of this project, and another executable is to be measured.
    pub(crate) fn rows(&self) -> Result<Vec<RowId>> {
        let is_ours = self.command.is_none();
        let mut rows = self.rows.clone();
        if rows.is_empty() {
            rows =
                RowId::value_variants().iter().filter(|row| is_ours || **row != RowId::KinesisPath).copied().collect();
        }
        ensure!(
            is_ours || !rows.contains(&RowId::KinesisPath),
            "{} compares two functions of this project: leave --command out",
            RowId::KinesisPath
        );
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_row_has_a_name_and_a_number() {
        let rows =
            |words: &[&str]| Command::try_parse_from([&["bench"], words].concat()).map(|parsed| parsed.args.rows);
        let expected = [RowId::OneLane, RowId::Backlog];
        for words in [["one-lane", "backlog"], ["B1", "B4"], ["b1", "Backlog"]] {
            assert_eq!(rows(&words).unwrap(), expected);
        }
        assert!(rows(&["B14"]).is_err(), "a script measures it");
    }

    #[test]
    fn another_executable_has_no_way_through_kinesis() {
        let rows = |words: &[&str]| Command::parse_from([&["bench"], words].concat()).args.rows();
        assert!(rows(&[]).unwrap().contains(&RowId::KinesisPath));
        assert!(!rows(&["--command", "other"]).unwrap().contains(&RowId::KinesisPath));
        let refused = rows(&["B17", "--command", "other"]).unwrap_err().to_string();
        assert!(refused.contains("B17 kinesis-path compares two functions"), "{refused}");
        assert_eq!(rows(&["B4", "B1", "b4"]).unwrap(), [RowId::OneLane, RowId::Backlog]);
    }

    #[test]
    fn an_earlier_run_has_its_old_name_too() {
        for name in ["--earlier", "--baseline"] {
            let parsed = Command::parse_from(["bench", name, "before.json"]);
            assert_eq!(parsed.args.earlier, Some(PathBuf::from("before.json")));
        }
    }
}
