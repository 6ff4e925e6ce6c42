//! The arguments of `local bench`.

use std::path::PathBuf;

use crate::figures::RowId;

/// Measure freshness, throughput, start and memory, each beside its bare limit
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which rows; all where none is named
    #[arg(value_enum, ignore_case = true)]
    pub rows: Vec<RowId>,
    /// Less of everything: each row within a minute, for a first look; figures vary more
    #[arg(long)]
    pub quick: bool,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Compare with the figures of an earlier run, and say what got worse beyond noise (then the exit code is 1)
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the report, its charts and its figures into this folder, as `benchmark.md`, `benchmark/*.svg` and
    /// `benchmark/figures.json`; rows that stand there and are not measured this time stay
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
    /// Measure this executable instead: anything that speaks the Lambda Runtime API
    #[arg(long, value_name = "FILE")]
    pub command: Option<PathBuf>,
    /// A variable for the function, `NAME=VALUE`; `{endpoint}` and `{index}` in the value stand for the run's own
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The same seed writes the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
