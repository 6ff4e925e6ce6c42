//! B17: rows B1, B3 and B4 for the function behind Kinesis, beside the function behind DynamoDB Streams.
//!
//! - `one_lane`, `backlog`, `shard_limit`: the parts, each with the workload of its row.
//! - `pair`: the two functions, which get the same changes in turn.

mod backlog;
mod one_lane;
mod pair;
mod shard_limit;

use anyhow::Result;

use super::About;
use crate::figures::{Row, RowId, thousands};
use crate::test_bed::TestBed;

pub(crate) const ABOUT: About = About {
    number: "B17",
    name: "kinesis-path",
    title: "the way through Kinesis beside that through streams",
    headline: "one at a time, INSERT: p50 over streams",
    notes: include_str!("../kinesis_path.md"),
};

/// Measures the parts, one after the other.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let workload = format!(
        "{} changes of each kind one at a time; {} batches of 1,000 of each kind; {} s of each load through either stream",
        thousands(one_lane::counted(bed) as f64),
        backlog::batches(bed),
        shard_limit::seconds(bed)
    );
    let mut row = Row::new(RowId::KinesisPath, workload);
    one_lane::run(bed, &mut row).await?;
    bed.drop_indices().await?;
    backlog::run(bed, &mut row).await?;
    shard_limit::run(bed, &mut row).await?;
    Ok(row)
}
